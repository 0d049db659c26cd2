/* capsule: hakmem._C_API, what other extension modules may call. The contract is hakmem_python.h. See native.h.
 *
 * What the library reports of a visit to an arena is raised when the arena has been left. */
#include "native.h"

#include "hakmem_python.h"

#include <stddef.h>

typedef struct visit {
    native_arena *arena;
    native_misuse misuse;
} visit;

static bool enter(PyObject *object, visit *visit) {
    if (!native_is_arena(object))
        return false;
    visit->arena = (native_arena *)object;
    visit->misuse.status = HK_OK;
    return native_enter(visit->arena);
}

/* False, with an error set, if there was misuse that the policy raises. */
static bool leave(const visit *visit) {
    native_misuse_here = NULL;
    native_unlock(visit->arena);
    return visit->misuse.status == HK_OK || native_surface(&visit->misuse) == 0;
}

static bool is_alignment(size_t alignment) {
    if (alignment <= 256 << 20 && (alignment & (alignment - 1)) == 0)
        return true;
    PyErr_Format(PyExc_ValueError, "the alignment is %zu; it can be 0, or a power of two up to 268435456", alignment);
    return false;
}

/* Without blocks of extensions, a live block is a buffer's or an array's. */
static bool can_be_an_extension_s(const native_arena *arena, const void *block) {
    return arena->extension_blocks != 0 || !hk_arena_owns(arena->handle, block);
}

static void *raise_owner(const visit *visit, const void *block) {
    if (leave(visit))
        PyErr_Format(PyExc_ValueError, "the block at %p is that of a Buffer or a NumPy array", block);
    return NULL;
}

/* ---- blocks ---- */

static void free_unraisable(PyObject *object, void *block);

static void *allocate(PyObject *object, size_t size, size_t alignment, bool zeroed) {
    visit visit;
    if (!is_alignment(alignment) || !enter(object, &visit))
        return NULL;
    native_misuse_here = &visit.misuse;
    size_t wanted = alignment != 0 ? alignment : visit.arena->alignment;
    void *block = native_allocate_any(visit.arena, size, wanted, zeroed);
    hk_status status = block != NULL ? HK_OK : hk_last_status();
    visit.arena->extension_blocks += block != NULL;
    if (!leave(&visit)) {
        free_unraisable(object, block);
        return NULL;
    }
    return block != NULL ? block : native_raise_allocation(visit.arena, status, size);
}

static void *arena_alloc(PyObject *arena, size_t size, size_t alignment) {
    return allocate(arena, size, alignment, false);
}

static void *arena_calloc(PyObject *arena, size_t count, size_t size, size_t alignment) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    return allocate(arena, bytes, alignment, true);
}

static void *arena_realloc(PyObject *object, void *block, size_t size, size_t alignment) {
    visit visit;
    if (block == NULL)
        return arena_alloc(object, size, alignment);
    if (!is_alignment(alignment) || !enter(object, &visit))
        return NULL;
    if (!can_be_an_extension_s(visit.arena, block))
        return raise_owner(&visit, block);
    native_misuse_here = &visit.misuse;
    void *resized = native_reallocate(visit.arena, block, size, alignment != 0 ? alignment : visit.arena->alignment);
    hk_status status = resized != NULL ? HK_OK : hk_last_status();
    if (!leave(&visit))
        return NULL;
    if (resized == NULL && visit.misuse.status != HK_OK)
        return PyErr_Format(PyExc_RuntimeError, "%s: %s", hk_status_name(status), hk_status_message(status));
    return resized != NULL ? resized : native_raise_allocation(visit.arena, status, size);
}

static int arena_free(PyObject *object, void *block) {
    visit visit;
    if (block == NULL)
        return 0;
    if (!enter(object, &visit))
        return -1;
    if (!can_be_an_extension_s(visit.arena, block)) {
        (void)raise_owner(&visit, block);
        return -1;
    }
    native_misuse_here = &visit.misuse;
    hk_status status = hk_arena_free(visit.arena->handle, block);
    /* An overwritten block is refused by the library, and goes with the arena. */
    if ((status == HK_OK || status == HK_ERR_OVERFLOW) && visit.arena->extension_blocks != 0)
        visit.arena->extension_blocks--;
    return leave(&visit) ? 0 : -1;
}

static void free_unraisable(PyObject *object, void *block) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (arena_free(object, block) != 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, traceback);
}

/* ---- handles ---- */

static hk_arena *arena_from_object(PyObject *object) {
    if (!native_is_arena(object))
        return NULL;
    hk_arena *handle = ((native_arena *)object)->handle;
    if (handle == NULL)
        PyErr_SetString(PyExc_ValueError, "the arena is closed");
    return handle;
}

/* Whoever is inside counts as a block: the lock is recursive, so this thread could close the arena meanwhile. */
static hk_arena *arena_enter(PyObject *object) {
    if (!native_is_arena(object) || !native_enter((native_arena *)object))
        return NULL;
    native_arena *arena = (native_arena *)object;
    native_lock_stays(arena);
    arena->extension_blocks++;
    return arena->handle;
}

/* Whether this thread has the lock: then it can be had once more. */
static bool is_inside(native_arena *arena) {
    if (pthread_mutex_trylock(&arena->lock) != 0)
        return false;
    bool is_inside = arena->depth != 0;
    (void)pthread_mutex_unlock(&arena->lock);
    return is_inside;
}

static int arena_leave(PyObject *object, Py_ssize_t more_blocks) {
    native_arena *arena = (native_arena *)object;
    if (!native_is_arena(object))
        return -1;
    if (!is_inside(arena) || arena->extension_blocks == 0) {
        PyErr_SetString(PyExc_RuntimeError, "this thread has not entered the arena");
        return -1;
    }
    size_t blocks = --arena->extension_blocks;
    size_t fewer = more_blocks < 0 ? -(size_t)more_blocks : 0;
    if (fewer <= blocks)
        arena->extension_blocks += (size_t)more_blocks;
    native_unlock(arena);
    if (fewer <= blocks)
        return 0;
    PyErr_Format(PyExc_ValueError, "the arena cannot have %zu block(s) of extensions less, as there are %zu", fewer,
                 blocks);
    return -1;
}

/* ---- buffers ---- */

static PyObject *buffer_new(PyObject *arena, size_t size) {
    return native_is_arena(arena) ? native_arena_buffer((native_arena *)arena, size) : NULL;
}

static void *buffer_bytes(PyObject *object, size_t *size) {
    const native_buffer *buffer = (const native_buffer *)object;
    if (!Py_IS_TYPE(object, native_buffer_type))
        return PyErr_Format(PyExc_TypeError, "a Buffer is needed, not %R", object);
    if (!native_buffer_is_open(buffer))
        return NULL;
    if (size != NULL)
        *size = buffer->size_bytes;
    return buffer->bytes;
}

/* ---- the table ---- */

static const hakmem_python_api api = {
    .struct_size = sizeof(hakmem_python_api),
    .abi_major = HAKMEM_PYTHON_ABI_MAJOR,
    .abi_minor = HAKMEM_PYTHON_ABI_MINOR,
    .arena_alloc = arena_alloc,
    .arena_calloc = arena_calloc,
    .arena_realloc = arena_realloc,
    .arena_free = arena_free,
    .arena_free_unraisable = free_unraisable,
    .arena_from_object = arena_from_object,
    .arena_enter = arena_enter,
    .arena_leave = arena_leave,
    .buffer_new = buffer_new,
    .buffer_bytes = buffer_bytes,
    .hk_version = hk_version,
    .hk_status_name = hk_status_name,
    .hk_status_message = hk_status_message,
    .hk_last_status = hk_last_status,
    .hk_good_size = hk_good_size,
    .hk_malloc = hk_malloc,
    .hk_calloc = hk_calloc,
    .hk_realloc = hk_realloc,
    .hk_aligned_alloc = hk_aligned_alloc,
    .hk_free = hk_free,
    .hk_free_sized = hk_free_sized,
    .hk_usable_size = hk_usable_size,
    .hk_arena_create = hk_arena_create,
    .hk_arena_destroy = hk_arena_destroy,
    .hk_arena_reset = hk_arena_reset,
    .hk_arena_retire = hk_arena_retire,
    .hk_arena_trim = hk_arena_trim,
    .hk_purge = hk_purge,
    .hk_arena_alloc = hk_arena_alloc,
    .hk_arena_calloc = hk_arena_calloc,
    .hk_arena_realloc = hk_arena_realloc,
    .hk_arena_aligned_alloc = hk_arena_aligned_alloc,
    .hk_arena_free = hk_arena_free,
    .hk_arena_free_sized = hk_arena_free_sized,
    .hk_arena_realloc_sized = hk_arena_realloc_sized,
    .hk_arena_default = hk_arena_default,
    .hk_arena_of = hk_arena_of,
    .hk_arena_owns = hk_arena_owns,
    .hk_arena_set_limit = hk_arena_set_limit,
    .hk_arena_limit = hk_arena_limit,
    .hk_arena_name = hk_arena_name,
    .hk_arena_statistics = hk_arena_statistics,
    .hk_classify = hk_classify,
};

/* Extensions that were built for an older version read this one: what it had is where it was. */
_Static_assert(offsetof(hakmem_python_api, arena_alloc) == 16, "version 1.0 begins here");
_Static_assert(offsetof(hakmem_python_api, hk_version) == 16 + 10 * sizeof(void (*)(void)), "version 1.0");
_Static_assert(offsetof(hakmem_python_api, hk_classify) == 16 + 42 * sizeof(void (*)(void)), "version 1.0 ends here");

PyObject *native_make_capsule(void) {
    return PyCapsule_New((void *)(uintptr_t)&api, HAKMEM_PYTHON_CAPSULE, NULL);
}
