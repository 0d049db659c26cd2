/* memory: CPython's allocators. See memory.h.
 *
 * State: the allocators that were there before. Blocks of theirs that turn up, as they do when ours were installed late,
 * go back to them; the registry tells whose a block is. Ours stay for ever, since their blocks do.
 *
 * A block that has to move goes to whom the running code is charged to. */
#include "memory.h"

#include "block.h"

#include <string.h>

enum { DOMAINS = 3 };

static struct {
    PyMemAllocatorEx previous[DOMAINS];
    unsigned installed; /* a bit for each domain */
} state;

static const char *const domain_names[DOMAINS] = {
    [PYMEM_DOMAIN_RAW] = "raw",
    [PYMEM_DOMAIN_MEM] = "mem",
    [PYMEM_DOMAIN_OBJ] = "obj",
};

/* What the allocators do, for one of the domains; `function` is for reports. */
typedef struct domain {
    PyMemAllocatorDomain number;
    const char *free_function;
    const char *realloc_function;
} domain;

/* ---- allocate ---- */

HKI_INLINE void *process_malloc(size_t size) {
    void *block = hki_process_pop(hki_class_table_16, size);
    return HKI_LIKELY(block != NULL) ? block : hki_process_alloc(size, 1, false);
}

HKI_INLINE void *process_calloc(size_t bytes) {
    void *block = hki_process_pop(hki_class_table_16, bytes);
    return HKI_LIKELY(block != NULL) ? memset(block, 0, bytes) : hki_process_alloc(bytes, 1, true);
}

static HKI_MISS void *scope_malloc(size_t size) {
    native_scope *scope = native_scope_current();
    if (scope == NULL)
        return process_malloc(size);
    void *block = hk_arena_alloc(scope->handle, size);
    return HKI_LIKELY(block != NULL) ? block : native_scope_refuse(scope, size);
}

static HKI_MISS void *scope_calloc(size_t bytes) {
    native_scope *scope = native_scope_current();
    if (scope == NULL)
        return process_calloc(bytes);
    void *block = hk_arena_calloc(scope->handle, 1, bytes);
    return HKI_LIKELY(block != NULL) ? block : native_scope_refuse(scope, bytes);
}

HKI_INLINE void *allocate(bool scoped, size_t size) {
    return HKI_UNLIKELY(scoped && native_scopes != 0) ? scope_malloc(size) : process_malloc(size);
}

HKI_INLINE void *allocate_zeroed(bool scoped, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return HKI_UNLIKELY(scoped && native_scopes != 0) ? scope_calloc(bytes) : process_calloc(bytes);
}

/* ---- free ---- */

/* The granule that an address lies in, at its start or not. */
static uintptr_t granule_around(const char *pointer) {
    return hki_granule_of(pointer - (uintptr_t)pointer % HKI_GRANULE_SIZE);
}

/* Whether it is the previous allocators'. In a window that is reserved nobody else has anything; else all between our
 * segments may be theirs. */
static bool is_foreign(const void *pointer) {
    return hki_block_find(pointer).kind == HK_POINTER_FOREIGN &&
           (hki_segments_are_scarce() || !hki_granule_exists(granule_around(pointer)));
}

/* The arena that may free what lies at an address in our window; for what is no live block, it reports that. */
static hki_arena *arena_of(bool scoped, const void *pointer) {
    const native_scope *scope = scoped ? native_scope_of(granule_around(pointer)) : NULL;
    return scope != NULL ? scope->arena : hki_process_arena();
}

static bool is_scoped(const domain *domain) {
    return domain->number != PYMEM_DOMAIN_RAW && native_scopes != 0;
}

/* Whether it was a scope's block, and has been freed in the short way. */
static bool push_in_scope(const domain *domain, void *pointer) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (!is_scoped(domain) || !hki_granule_exists(granule))
        return false;
    hki_arena *arena = arena_of(true, pointer);
    return arena->one_thread && hki_heap_find(&arena->heap, granule, &found) &&
           hki_heap_push(&arena->heap, granule, found);
}

static HKI_MISS void free_slow(const domain *domain, void *pointer) {
    if (pointer == NULL || push_in_scope(domain, pointer))
        return;
    if (is_foreign(pointer)) {
        PyMemAllocatorEx *previous = &state.previous[domain->number];
        previous->free(previous->ctx, pointer);
        return;
    }
    (void)hki_free(arena_of(is_scoped(domain), pointer), hki_target_of(domain->free_function, pointer));
}

HKI_INLINE void release(const domain *domain, void *pointer) {
    if (!hki_process_push(pointer))
        free_slow(domain, pointer);
}

/* ---- reallocate ---- */

/* To another arena. NULL, and the block as it was, if that has no room; a shrink stays where it is then. */
static void *move(const domain *domain, void *pointer, size_t usable, size_t size) {
    if (size <= usable && size > usable / 2)
        return pointer;
    void *block = allocate(true, size);
    if (block == NULL)
        return size <= usable ? pointer : NULL;
    memcpy(block, pointer, hki_min(usable, size));
    release(domain, pointer);
    return block;
}

static HKI_MISS void *reallocate_slow(const domain *domain, void *pointer, size_t size) {
    bool scoped = is_scoped(domain);
    if (pointer == NULL)
        return allocate(scoped, size);
    if (is_foreign(pointer)) {
        PyMemAllocatorEx *previous = &state.previous[domain->number];
        return previous->realloc(previous->ctx, pointer, size);
    }
    const hki_target target = hki_target_of(domain->realloc_function, pointer);
    size_t size_or_1 = hki_max(size, 1);
    if (!scoped)
        return hki_process_realloc(target, size_or_1);
    native_scope *scope = native_scope_current();
    hki_arena *own = arena_of(true, pointer);
    hki_block block = hki_block_find(pointer);
    if (block.status != HK_OK || own == (scope != NULL ? scope->arena : hki_process_arena())) {
        void *resized = hki_realloc(own, target, size_or_1);
        return resized != NULL || scope == NULL ? resized : native_scope_refuse(scope, size);
    }
    return move(domain, pointer, block.size, size_or_1);
}

HKI_INLINE void *reallocate(const domain *domain, void *pointer, size_t size) {
    return hki_process_keeps(hki_class_table_16, pointer, size) ? pointer : reallocate_slow(domain, pointer, size);
}

/* ---- the three domains ---- */

#define DOMAIN(name, constant, scoped, prefix)                                                                         \
    static const domain name##_domain = {constant, prefix "Free", prefix "Realloc"};                                   \
    static void *name##_malloc(void *context, size_t size) {                                                           \
        (void)context;                                                                                                 \
        return allocate(scoped, size);                                                                                 \
    }                                                                                                                  \
    static void *name##_calloc(void *context, size_t count, size_t size) {                                             \
        (void)context;                                                                                                 \
        return allocate_zeroed(scoped, count, size);                                                                   \
    }                                                                                                                  \
    static void *name##_realloc(void *context, void *pointer, size_t size) {                                           \
        (void)context;                                                                                                 \
        return reallocate(&name##_domain, pointer, size);                                                              \
    }                                                                                                                  \
    static void name##_free(void *context, void *pointer) {                                                            \
        (void)context;                                                                                                 \
        release(&name##_domain, pointer);                                                                              \
    }

DOMAIN(raw, PYMEM_DOMAIN_RAW, false, "PyMem_Raw")
DOMAIN(mem, PYMEM_DOMAIN_MEM, true, "PyMem_")
DOMAIN(obj, PYMEM_DOMAIN_OBJ, true, "PyObject_")

#undef DOMAIN

/* ---- install ---- */

static void install(PyMemAllocatorDomain domain) {
    static PyMemAllocatorEx ours[DOMAINS] = {
        [PYMEM_DOMAIN_RAW] = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
        [PYMEM_DOMAIN_MEM] = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
        [PYMEM_DOMAIN_OBJ] = {NULL, obj_malloc, obj_calloc, obj_realloc, obj_free},
    };
    if ((state.installed >> domain & 1) != 0)
        return;
    state.installed |= 1U << domain;
    PyMem_GetAllocator(domain, &state.previous[domain]);
    PyMem_SetAllocator(domain, &ours[domain]);
}

static void install_all(unsigned domains) {
    for (int domain = 0; domain < DOMAINS; domain++)
        if ((domains >> domain & 1) != 0)
            install((PyMemAllocatorDomain)domain);
}

bool native_install_named(const char *names) {
    unsigned domains = 0;
    while (*names != '\0') {
        size_t length = strcspn(names, ",");
        unsigned found = 0;
        for (int i = 0; i < DOMAINS; i++)
            if (strlen(domain_names[i]) == length && strncmp(names, domain_names[i], length) == 0)
                found = 1U << i;
        if (found == 0)
            return false;
        domains |= found;
        names += length + (names[length] == ',');
    }
    install_all(domains);
    return true;
}

PyObject *native_install(PyObject *module, PyObject *domains) {
    unsigned long bits = PyLong_AsUnsignedLong(domains);
    (void)module;
    if (bits == (unsigned long)-1 && PyErr_Occurred() != NULL)
        return NULL;
    if (bits >= 1UL << DOMAINS)
        return PyErr_Format(PyExc_ValueError, "%lu is no set of domains", bits);
    if (hki_process_arena() == NULL)
        return PyErr_NoMemory();
    install_all((unsigned)bits);
    Py_RETURN_NONE;
}

PyObject *native_installed(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLong(state.installed);
}
