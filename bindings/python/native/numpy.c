/* numpy: arrays whose data lies in an arena, by NumPy's handlers of data memory (its enhancement proposal 49).
 *
 * A handler is a capsule, which every array that was made with it holds; the capsule holds the arena. NumPy is looked
 * for when the first handler is asked for, so this module works without it.
 *
 * The ways of small blocks are as short as can be: NumPy asks for one with every temporary number. */
#include "native.h"

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/ndarrayobject.h>
#include <string.h>

enum {
    ARRAY_ALIGNMENT = 64,
    LINE_BYTES = 1024,
    /* Where a block is aligned like this, it may be of any size, whatever NumPy says that it frees. */
    LARGEST_ALIGNMENT = 4 << 20,
};

typedef struct handler {
    PyDataMem_Handler numpy;
    native_arena *arena;
    size_t alignment;
    bool is_ordinary; /* its small blocks are aligned if their sizes are multiples of the alignment */
    bool advises;     /* large blocks are to be of huge pages */
} handler;

/* ---- into the arena and out ---- */

typedef struct visit {
    bool is_alone;
    native_gil gil;
    native_misuse misuse;
} visit;

/* Nobody is inside of the arena, and nobody can come in before the GIL is let go of, which nothing here does: so there
 * is no need of the lock. Others may wait for it, or have it and wait for the GIL. */
static inline bool is_alone(const native_arena *arena) {
    return native_has_gil() && arena->depth == 0 && arena->handle != NULL;
}

static bool enter_slowly(native_arena *arena, visit *visit) {
    visit->gil = native_gil_take();
    if (native_lock_unraisable(arena, (PyObject *)arena)) {
        if (arena->handle != NULL)
            return true;
        native_unlock(arena); /* it was closed within its with block: NumPy gets no memory */
    }
    native_gil_give(visit->gil);
    return false;
}

static inline bool enter(native_arena *arena, visit *visit) {
    visit->is_alone = is_alone(arena);
    visit->gil.has_taken = false;
    if (!visit->is_alone && !enter_slowly(arena, visit))
        return false;
    visit->misuse.status = HK_OK;
    return true;
}

/* What the library has reported meanwhile is told when the arena has been left, and under the GIL. */
static inline void leave(native_arena *arena, const visit *visit) {
    if (!visit->is_alone)
        native_unlock(arena);
    if (visit->misuse.status != HK_OK)
        native_surface_unraisable(&visit->misuse, (PyObject *)arena);
    native_gil_give(visit->gil);
}

/* ---- allocate ---- */

/* A large request that the cache has nothing for says that the cache holds the wrong sizes. */
static void *obtain(const handler *handler, size_t size, bool zeroed) {
    native_arena *arena = handler->arena;
    if (size > NATIVE_SMALL_BYTES) {
        void *cached = native_cache_take(arena, size, handler->alignment);
        if (cached != NULL)
            return zeroed ? memset(cached, 0, size) : cached;
        native_cache_empty(arena);
    }
    void *block = native_allocate(arena, size, handler->alignment, zeroed);
    if (block == NULL && arena->cache.count != 0) {
        native_cache_empty(arena);
        block = native_allocate(arena, size, handler->alignment, zeroed);
    }
    if (block != NULL && handler->advises && size >= NATIVE_HUGE_BYTES)
        native_advise_huge_pages(arena, block, size);
    return block;
}

static void *allocate(const handler *handler, size_t size, bool zeroed) {
    native_arena *arena = handler->arena;
    visit visit;
    if (!enter(arena, &visit))
        return NULL;
    native_misuse_here = &visit.misuse;
    void *block = obtain(handler, size, zeroed);
    native_misuse_here = NULL;
    arena->arrays += block != NULL;
    leave(arena, &visit);
    return block;
}

/* Small blocks as native_allocate has them, without the rest: allocations of ordinary arenas report no misuse. */
static inline void *allocate_any(const handler *handler, size_t size, bool zeroed) {
    native_arena *arena = handler->arena;
    size_t alignment = handler->alignment;
    if (size - 1 >= NATIVE_SMALL_BYTES || !handler->is_ordinary || !is_alone(arena))
        return allocate(handler, size, zeroed);
    void *block = hk_arena_alloc(arena->handle, (size + alignment - 1) & ~(alignment - 1));
    if (block != NULL && ((uintptr_t)block & (alignment - 1)) == 0) {
        arena->arrays++;
        return zeroed ? memset(block, 0, size) : block;
    }
    if (block == NULL && arena->cache.count == 0)
        return NULL;
    (void)hk_arena_free(arena->handle, block);
    native_cache_empty(arena);
    return allocate(handler, size, zeroed);
}

static void *array_malloc(void *context, size_t size) {
    return allocate_any(context, size, false);
}

static void *array_calloc(void *context, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : allocate_any(context, bytes, true);
}

/* ---- free ---- */

static hk_status give_back(native_arena *arena, void *block, size_t size) {
    bool is_small = size <= NATIVE_SMALL_BYTES && ((uintptr_t)block & (LARGEST_ALIGNMENT - 1)) != 0;
    if (!is_small && native_cache_put(arena, block))
        return HK_OK;
    if (!is_small && arena->has_advised && hk_arena_owns(arena->handle, block))
        native_unadvise_huge_pages(arena, block, hk_usable_size(block));
    return hk_arena_free(arena->handle, block);
}

static void array_free(void *context, void *block, size_t size) {
    native_arena *arena = ((const handler *)context)->arena;
    visit visit;
    if (block == NULL || !enter(arena, &visit))
        return;
    native_misuse_here = &visit.misuse;
    hk_status status = give_back(arena, block, size);
    native_misuse_here = NULL;
    if (status == HK_OK || status == HK_ERR_OVERFLOW) /* else there was no such block of an array */
        arena->arrays--;
    leave(arena, &visit);
}

/* ---- reallocate ---- */

/* A block that is not resized keeps its advice. */
static void *resize(const handler *handler, void *block, size_t new_size) {
    native_arena *arena = handler->arena;
    native_cache_empty(arena);
    size_t old_size = hk_arena_owns(arena->handle, block) ? hk_usable_size(block) : 0;
    native_unadvise_huge_pages(arena, block, old_size);
    void *resized = native_reallocate(arena, block, new_size, handler->alignment);
    void *now = resized != NULL ? resized : block;
    size_t now_size = resized != NULL ? new_size : old_size;
    if (handler->advises && now_size >= NATIVE_HUGE_BYTES)
        native_advise_huge_pages(arena, now, now_size);
    return resized;
}

static void *array_realloc(void *context, void *block, size_t new_size) {
    const handler *handler = context;
    native_arena *arena = handler->arena;
    visit visit;
    if (block == NULL)
        return array_malloc(context, new_size);
    if (!enter(arena, &visit))
        return NULL;
    native_misuse_here = &visit.misuse;
    void *resized = resize(handler, block, new_size);
    native_misuse_here = NULL;
    leave(arena, &visit);
    return resized;
}

/* ---- handlers ---- */

static void end_handler(PyObject *capsule) {
    handler *handler = PyCapsule_GetPointer(capsule, "mem_handler");
    if (handler == NULL)
        return;
    Py_DECREF(handler->arena);
    PyMem_Free(handler);
}

static handler *make_handler(native_arena *arena, bool advises) {
    handler *handler = PyMem_Calloc(1, sizeof *handler);
    if (handler == NULL)
        return NULL;
    size_t alignment = arena->alignment > ARRAY_ALIGNMENT ? arena->alignment : ARRAY_ALIGNMENT;
    *handler = (struct handler){
        .numpy = {.name = "hakmem",
                  .version = 1,
                  .allocator = {.ctx = handler,
                                .malloc = array_malloc,
                                .calloc = array_calloc,
                                .realloc = array_realloc,
                                .free = array_free}},
        .arena = arena,
        .alignment = alignment,
        .is_ordinary = (arena->flags & HK_ARENA_HARDENED) == 0 && alignment <= LINE_BYTES,
        .advises = advises && (arena->flags & HK_ARENA_REWINDABLE) == 0, /* that one watches its pages, small ones */
    };
    Py_INCREF(arena);
    return handler;
}

PyObject *native_numpy_handler(PyObject *module, PyObject *arguments) {
    PyObject *arena;
    int advises;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Op", &arena, &advises))
        return NULL;
    if (!native_is_arena(arena))
        return NULL;
    handler *handler = make_handler((native_arena *)arena, advises != 0);
    if (handler == NULL)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(&handler->numpy, "mem_handler", end_handler);
    if (capsule == NULL) {
        Py_DECREF(arena);
        PyMem_Free(handler);
    }
    return capsule;
}

/* Returns the handler that was in force before in this context. */
PyObject *native_numpy_set_handler(PyObject *module, PyObject *handler) {
    (void)module;
    if (PyArray_ImportNumPyAPI() < 0)
        return NULL;
    return PyDataMem_SetHandler(handler);
}
