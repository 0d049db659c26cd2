/* numpy: arrays whose data lies in an arena, by NumPy's handlers of data memory (its enhancement proposal 49).
 *
 * A handler is a capsule, which every array that was made with it holds; the capsule holds the arena. NumPy is looked
 * for when the first handler is asked for, so this module works without it. */
#include "native.h"

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/ndarrayobject.h>

enum { ARRAY_ALIGNMENT = 64 };

typedef struct handler {
    PyDataMem_Handler numpy;
    native_arena *arena;
} handler;

/* NumPy holds the GIL today whenever it comes here, and nowhere says so. Where it does not, this takes it. */
typedef struct visit {
    bool has_taken;
    PyGILState_STATE state;
} visit;

static bool enter(native_arena *arena, visit *visit) {
    visit->has_taken = PyGILState_Check() == 0;
    if (visit->has_taken)
        visit->state = PyGILState_Ensure();
    if (native_lock_unraisable(arena, (PyObject *)arena)) {
        if (arena->handle != NULL)
            return true;
        native_unlock(arena); /* it was closed within its with block: NumPy gets no memory */
    }
    if (visit->has_taken)
        PyGILState_Release(visit->state);
    return false;
}

static void leave(native_arena *arena, const visit *visit) {
    native_unlock(arena);
    if (visit->has_taken)
        PyGILState_Release(visit->state);
}

static size_t alignment_of(const native_arena *arena) {
    return arena->alignment > ARRAY_ALIGNMENT ? arena->alignment : ARRAY_ALIGNMENT;
}

static void *allocate(native_arena *arena, size_t size, bool zeroed) {
    native_misuse misuse;
    visit visit;
    if (!enter(arena, &visit))
        return NULL;
    misuse.status = HK_OK;
    native_misuse_here = &misuse;
    void *block = native_allocate(arena, size, alignment_of(arena), zeroed);
    native_misuse_here = NULL;
    arena->arrays += block != NULL;
    leave(arena, &visit);
    if (misuse.status != HK_OK)
        native_surface_unraisable(&misuse, (PyObject *)arena);
    return block;
}

static void *array_malloc(void *context, size_t size) {
    return allocate(context, size, false);
}

static void *array_calloc(void *context, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : allocate(context, bytes, true);
}

static void array_free(void *context, void *block, size_t size) {
    native_arena *arena = context;
    native_misuse misuse;
    visit visit;
    (void)size;
    if (block == NULL || !enter(arena, &visit))
        return;
    misuse.status = HK_OK;
    native_misuse_here = &misuse;
    (void)hk_arena_free(arena->handle, block);
    native_misuse_here = NULL;
    arena->arrays--;
    leave(arena, &visit);
    if (misuse.status != HK_OK)
        native_surface_unraisable(&misuse, (PyObject *)arena);
}

static void *array_realloc(void *context, void *block, size_t new_size) {
    native_arena *arena = context;
    native_misuse misuse;
    visit visit;
    if (block == NULL)
        return array_malloc(context, new_size);
    if (!enter(arena, &visit))
        return NULL;
    misuse.status = HK_OK;
    native_misuse_here = &misuse;
    void *resized = native_reallocate(arena, block, new_size, alignment_of(arena));
    native_misuse_here = NULL;
    leave(arena, &visit);
    if (misuse.status != HK_OK)
        native_surface_unraisable(&misuse, (PyObject *)arena);
    return resized;
}

static void end_handler(PyObject *capsule) {
    handler *handler = PyCapsule_GetPointer(capsule, "mem_handler");
    if (handler == NULL)
        return;
    Py_DECREF(handler->arena);
    PyMem_Free(handler);
}

PyObject *native_numpy_handler(PyObject *module, PyObject *arena) {
    (void)module;
    if (!native_is_arena(arena))
        return NULL;
    handler *handler = PyMem_Calloc(1, sizeof *handler);
    if (handler == NULL)
        return PyErr_NoMemory();
    *handler = (struct handler){
        .numpy = {.name = "hakmem",
                  .version = 1,
                  .allocator = {.ctx = arena,
                                .malloc = array_malloc,
                                .calloc = array_calloc,
                                .realloc = array_realloc,
                                .free = array_free}},
        .arena = (native_arena *)arena,
    };
    PyObject *capsule = PyCapsule_New(&handler->numpy, "mem_handler", end_handler);
    if (capsule == NULL) {
        PyMem_Free(handler);
        return NULL;
    }
    Py_INCREF(arena);
    return capsule;
}

/* Returns the handler that was in force before in this context. */
PyObject *native_numpy_set_handler(PyObject *module, PyObject *handler) {
    (void)module;
    if (PyArray_ImportNumPyAPI() < 0)
        return NULL;
    return PyDataMem_SetHandler(handler);
}
