/* numpy_scope: a handler of NumPy's (see numpy.c) for the data of arrays that are made in a scope. Its capsule holds
 * the scope, and every array holds the capsule, so the arena is there as long as there are arrays. It is for holders of
 * the GIL. */
#include "memory.h"

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/ndarraytypes.h>

typedef struct handler {
    PyDataMem_Handler numpy;
    native_scope *scope;
} handler;

static void *array_malloc(void *context, size_t size) {
    native_scope *scope = context;
    native_gil gil = native_gil_take();
    void *block = hk_arena_alloc(scope->handle, size);
    if (block == NULL)
        native_scope_refuse(scope, size);
    native_gil_give(gil);
    return block;
}

static void *array_calloc(void *context, size_t count, size_t size) {
    native_scope *scope = context;
    native_gil gil = native_gil_take();
    void *block = hk_arena_calloc(scope->handle, count, size);
    if (block == NULL)
        native_scope_refuse(scope, count * size);
    native_gil_give(gil);
    return block;
}

static void *array_realloc(void *context, void *block, size_t new_size) {
    native_scope *scope = context;
    native_gil gil = native_gil_take();
    void *resized = hk_arena_realloc(scope->handle, block, new_size != 0 ? new_size : 1);
    if (resized == NULL)
        native_scope_refuse(scope, new_size);
    native_gil_give(gil);
    return resized;
}

static void array_free(void *context, void *block, size_t size) {
    const native_scope *scope = context;
    native_gil gil = native_gil_take();
    (void)size;
    if (block != NULL)
        (void)hk_arena_free(scope->handle, block);
    native_gil_give(gil);
}

static void end_handler(PyObject *capsule) {
    handler *handler = PyCapsule_GetPointer(capsule, "mem_handler");
    if (handler == NULL)
        return;
    Py_DECREF(handler->scope);
    PyMem_Free(handler);
}

PyObject *native_numpy_scope_handler(PyObject *module, PyObject *object) {
    (void)module;
    if (!Py_IS_TYPE(object, native_scope_type))
        return PyErr_Format(PyExc_TypeError, "a Scope is needed, not %R", object);
    handler *handler = PyMem_Calloc(1, sizeof *handler);
    if (handler == NULL)
        return PyErr_NoMemory();
    handler->scope = (native_scope *)object;
    handler->numpy = (PyDataMem_Handler){
        .name = "hakmem_scope",
        .version = 1,
        .allocator = {.ctx = object,
                      .malloc = array_malloc,
                      .calloc = array_calloc,
                      .realloc = array_realloc,
                      .free = array_free},
    };
    PyObject *capsule = PyCapsule_New(&handler->numpy, "mem_handler", end_handler);
    if (capsule == NULL) {
        PyMem_Free(handler);
        return NULL;
    }
    Py_INCREF(object);
    return capsule;
}
