/* memory: CPython's allocators. See memory.h.
 *
 * The domains mem and obj share one heap, which the GIL guards: objects that one thread makes and another one ends
 * never leave it. Interpreters may have a lock of their own from Python 3.12 on: as long as there are any but the main
 * one, they use the heaps of their threads, as raw does anyway.
 *
 * State: that heap; the allocators that were there before. Blocks of theirs that turn up, as they do when ours were
 * installed late, go back to them; the registry tells whose a block is. Ours stay for ever, since their blocks do.
 *
 * A block that grows goes to whom the running code is charged to. */
#include "memory.h"

#include "block.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

enum { DOMAINS = 3 };

static struct {
    PyMemAllocatorEx previous[DOMAINS];
    unsigned installed; /* a bit for each domain */
} state;

hki_heap *native_gil_heap = &hki_empty_heap; /* a heap of the process's arena, as soon as mem or obj are installed */
hki_heap *native_heap = &hki_empty_heap;

static const char *const domain_names[DOMAINS] = {
    [PYMEM_DOMAIN_RAW] = "raw",
    [PYMEM_DOMAIN_MEM] = "mem",
    [PYMEM_DOMAIN_OBJ] = "obj",
};

/* What the allocators do, for one of the domains; `function` is for reports. */
typedef struct domain {
    PyMemAllocatorDomain number;
    const uint8_t *class_table;
    const char *free_function;
    const char *realloc_function;
} domain;

HKI_INLINE bool is_scoped(const domain *domain) {
    return domain->number != PYMEM_DOMAIN_RAW && native_scopes != 0;
}

/* ---- the heap ---- */

/* Whether the caller has the GIL that guards the heap of mem and obj, and all that belongs to scopes. */
HKI_INLINE bool has_gil_of_main(const domain *domain) {
    return domain->number != PYMEM_DOMAIN_RAW && HKI_LIKELY(native_is_alone() || native_is_in_main());
}

/* The caller's own of the process's arena. */
static hki_heap *process_heap_of(const domain *domain) {
    return has_gil_of_main(domain) ? native_gil_heap : hki_self.heap;
}

/* That, or the heap of the scope that was current at the last look. */
HKI_INLINE hki_heap *heap_of(const domain *domain) {
    return has_gil_of_main(domain) ? native_heap : hki_self.heap;
}

/* After a look: the scope that pays; NULL: the process does. */
static native_scope *payer_of(const domain *domain) {
    return is_scoped(domain) && has_gil_of_main(domain) ? native_seen.scope : NULL;
}

/* For the slow ways, which take a thread's heaps to be its own. */
typedef struct visit {
    hki_heap *heap; /* NULL: it is the thread's anyway */
    hki_adoption before;
} visit;

static visit enter(const domain *domain) {
    visit visit = {.heap = process_heap_of(domain)};
    if (visit.heap == hki_self.heap)
        visit.heap = NULL;
    else
        visit.before = hki_thread_adopt(visit.heap);
    return visit;
}

static void leave(visit visit) {
    if (visit.heap != NULL)
        hki_thread_release(visit.heap, visit.before);
}

/* ---- allocate ---- */

static void *process_alloc(const domain *domain, hki_request request) {
    hki_arena *arena = hki_process_arena();
    if (arena == NULL)
        return NULL;
    visit visit = enter(domain);
    void *block = hki_alloc(arena, request);
    leave(visit);
    if (!has_gil_of_main(domain))
        return block;
    if (block == NULL && hk_last_status() == HK_ERR_LIMIT)
        return native_process_overdraw(request);
    if (block != NULL && HKI_UNLIKELY(native_process.is_short))
        native_scope_recover(&native_process);
    return block;
}

static void *scope_alloc(native_scope *scope, hki_request request) {
    void *block = hki_alloc(scope->arena, request);
    if (block == NULL)
        return native_scope_overdraw(scope, request);
    if (HKI_UNLIKELY(scope->is_short))
        native_scope_recover(scope);
    return block;
}

static HKI_MISS void *allocate_slow(const domain *domain, size_t size, bool zero) {
    const hki_request request = {.size = size, .alignment = 1, .zero = zero, .class_table = domain->class_table};
    native_scope *scope = payer_of(domain);
    return scope != NULL ? scope_alloc(scope, request) : process_alloc(domain, request);
}

HKI_INLINE void *allocate_from_heap(const domain *domain, size_t size) {
    void *block = hki_process_pop_from(heap_of(domain), domain->class_table, size);
    return HKI_LIKELY(block != NULL) ? block : allocate_slow(domain, size, false);
}

HKI_INLINE void *allocate_scoped(const domain *domain, size_t size) {
    native_look();
    return allocate_from_heap(domain, size);
}

static HKI_MISS void *allocate(const domain *domain, size_t size) {
    return is_scoped(domain) ? allocate_scoped(domain, size) : allocate_from_heap(domain, size);
}

HKI_INLINE void *allocate_zeroed(const domain *domain, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    if (HKI_UNLIKELY(is_scoped(domain)))
        native_look();
    void *block = hki_process_pop_from(heap_of(domain), domain->class_table, bytes);
    return HKI_LIKELY(block != NULL) ? memset(block, 0, bytes) : allocate_slow(domain, bytes, true);
}

/* ---- free ---- */

/* The granule that an address lies in, at its start or not. */
static uintptr_t granule_around(const char *pointer) {
    return hki_granule_of(pointer - (uintptr_t)pointer % HKI_GRANULE_SIZE);
}

/* Whether it is the previous allocators'. In a window that is reserved nobody else has anything; else all between our
 * segments may be theirs. */
static bool is_foreign(const void *pointer) {
    return !hki_granule_exists(granule_around(pointer)) ||
           (hki_segments_are_scarce() && hki_block_find(pointer).kind == HK_POINTER_FOREIGN);
}

/* The arena of a scope's in which an address in our window lies; NULL: in none. */
static hki_arena *owner_of(const domain *domain, const void *pointer) {
    return is_scoped(domain) ? native_scope_arena(granule_around(pointer)) : NULL;
}

static void process_free(const domain *domain, hki_target target) {
    visit visit = enter(domain);
    (void)hki_process_free(target);
    leave(visit);
}

static HKI_MISS void free_slow(const domain *domain, void *pointer) {
    if (pointer == NULL)
        return;
    if (is_foreign(pointer)) {
        PyMemAllocatorEx *previous = &state.previous[domain->number];
        previous->free(previous->ctx, pointer);
        return;
    }
    hki_arena *arena = owner_of(domain, pointer);
    const hki_target target = hki_target_of(domain->free_function, pointer);
    if (arena == NULL)
        process_free(domain, target);
    else if (!hki_process_push_to(&arena->heap, pointer))
        (void)hki_free(arena, target);
}

/* It may be a block of the process's, where a scope is current. */
static HKI_MISS void free_missed(const domain *domain, void *pointer) {
    if (!is_scoped(domain) || !hki_process_push_to(process_heap_of(domain), pointer))
        free_slow(domain, pointer);
}

HKI_INLINE void release(const domain *domain, void *pointer) {
    if (!hki_process_push_to(heap_of(domain), pointer))
        free_missed(domain, pointer);
}

/* ---- reallocate ---- */

static void *move(const domain *domain, void *pointer, size_t usable, void *block) {
    if (block == NULL)
        return NULL;
    memcpy(block, pointer, usable);
    release(domain, pointer);
    return block;
}

/* To the reserve of a scope that has no room, or of the process, for NULL. */
static HKI_MISS void *move_beyond(const domain *domain, hki_target target, size_t size, native_scope *scope) {
    const hki_request request = {.size = size, .alignment = 1, .class_table = domain->class_table};
    hki_block block = hki_block_find(target.pointer);
    if (block.status != HK_OK)
        return NULL;
    void *moved = scope != NULL ? native_scope_overdraw(scope, request) : native_process_overdraw(request);
    return move(domain, target.pointer, block.size, moved);
}

static void *process_realloc(const domain *domain, hki_target target, size_t size) {
    visit visit = enter(domain);
    void *block = hki_process_realloc(target, size);
    leave(visit);
    if (block != NULL || !has_gil_of_main(domain) || hk_last_status() != HK_ERR_LIMIT)
        return block;
    return move_beyond(domain, target, size, NULL);
}

/* Where there are scopes. A block that shrinks stays with its arena; one that grows goes to whom the running code is
 * charged to. */
static void *reallocate_scoped(const domain *domain, hki_target target, size_t size) {
    native_look();
    native_scope *scope = payer_of(domain);
    if (scope != NULL && size <= HKI_SMALL_MAX) {
        void *resized = hki_heap_resize_small(&scope->arena->heap, domain->class_table, target.pointer, size);
        if (HKI_LIKELY(resized != NULL))
            return resized;
    }
    hki_arena *owner = owner_of(domain, target.pointer);
    hki_arena *payer = scope != NULL ? scope->arena : NULL;
    if (owner != payer) {
        hki_block block = hki_block_find(target.pointer);
        if (block.status == HK_OK && size > block.size)
            return move(domain, target.pointer, block.size, allocate(domain, size));
    }
    if (owner == NULL)
        return process_realloc(domain, target, size);
    void *resized = hki_realloc(owner, target, size);
    return resized != NULL || scope == NULL ? resized : move_beyond(domain, target, size, scope);
}

static HKI_MISS void *reallocate_slow(const domain *domain, void *pointer, size_t size) {
    const hki_target target = hki_target_of(domain->realloc_function, pointer);
    if (pointer == NULL)
        return allocate(domain, size);
    if (is_foreign(pointer)) {
        PyMemAllocatorEx *previous = &state.previous[domain->number];
        return previous->realloc(previous->ctx, pointer, size);
    }
    size = hki_max(size, 1);
    return is_scoped(domain) ? reallocate_scoped(domain, target, size) : process_realloc(domain, target, size);
}

HKI_INLINE void *reallocate(const domain *domain, void *pointer, size_t size) {
    return hki_process_keeps_in(heap_of(domain), domain->class_table, pointer, size)
               ? pointer
               : reallocate_slow(domain, pointer, size);
}

/* ---- the three domains ---- */

#define DOMAIN(name, constant, table, prefix)                                                                          \
    static const domain name##_domain = {constant, hki_class_table_##table, prefix "Free", prefix "Realloc"};          \
    /* A function of its own, so that the other way saves no register for the call in the look. */                     \
    static HKI_MISS void *name##_malloc_scoped(void *context, size_t size) {                                           \
        (void)context;                                                                                                 \
        return allocate_scoped(&name##_domain, size);                                                                  \
    }                                                                                                                  \
    static void *name##_malloc(void *context, size_t size) {                                                           \
        return HKI_UNLIKELY(is_scoped(&name##_domain)) ? name##_malloc_scoped(context, size)                           \
                                                       : allocate_from_heap(&name##_domain, size);                     \
    }                                                                                                                  \
    static void *name##_calloc(void *context, size_t count, size_t size) {                                             \
        (void)context;                                                                                                 \
        return allocate_zeroed(&name##_domain, count, size);                                                           \
    }                                                                                                                  \
    static void *name##_realloc(void *context, void *pointer, size_t size) {                                           \
        (void)context;                                                                                                 \
        return reallocate(&name##_domain, pointer, size);                                                              \
    }                                                                                                                  \
    static void name##_free(void *context, void *pointer) {                                                            \
        (void)context;                                                                                                 \
        release(&name##_domain, pointer);                                                                              \
    }

DOMAIN(raw, PYMEM_DOMAIN_RAW, 16, "PyMem_Raw")
DOMAIN(mem, PYMEM_DOMAIN_MEM, 16, "PyMem_")
DOMAIN(obj, PYMEM_DOMAIN_OBJ, object, "PyObject_")

#undef DOMAIN

/* ---- install ---- */

static bool take_heap(void) {
    hki_arena *arena = hki_process_arena();
    hki_heap *heap = arena != NULL ? hki_arena_take_heap(arena) : NULL;
    if (heap == NULL)
        return false;
    native_gil_heap = native_heap = heap;
    native_watch_interpreters();
    return true;
}

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

/* Interpreters free and allocate the same memory all the time, in waves that are longer than those of C programs:
 * unless the environment says something else, pages stay for longer. */
static void be_patient(void) {
    enum { PURGE_DELAY_MS = 250 };
    if (getenv("HAKMEM_PURGE_DELAY_MS") == NULL)
        atomic_store_explicit(&hki_purge_delay_ms, PURGE_DELAY_MS, memory_order_relaxed);
}

/* False if there is no memory; then nothing has changed. */
static bool install_all(unsigned domains) {
    if (native_gil_heap == &hki_empty_heap && !take_heap())
        return false;
    be_patient();
    for (int domain = 0; domain < DOMAINS; domain++)
        if ((domains >> domain & 1) != 0)
            install((PyMemAllocatorDomain)domain);
    return true;
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
    return install_all(domains);
}

PyObject *native_install(PyObject *module, PyObject *domains) {
    unsigned long bits = PyLong_AsUnsignedLong(domains);
    (void)module;
    if (bits == (unsigned long)-1 && PyErr_Occurred() != NULL)
        return NULL;
    if (bits >= 1UL << DOMAINS)
        return PyErr_Format(PyExc_ValueError, "%lu is no set of domains", bits);
    if (!install_all((unsigned)bits))
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject *native_installed(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLong(state.installed);
}
