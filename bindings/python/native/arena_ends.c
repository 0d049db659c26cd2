/* arena_ends: how arenas end, start again and go back. See native.h. */
#include "native.h"

static native_arena *as_arena(PyObject *object) {
    return (native_arena *)object;
}

/* Of an arena that is entered: false, with an error set, if memory that would go is in use. */
static bool is_unused(const native_arena *arena, const char *what) {
    if (arena->exports == 0 && arena->arrays == 0 && arena->extension_blocks == 0)
        return true;
    PyErr_Format(PyExc_BufferError,
                 "the arena cannot %s: %zu view(s) of its buffers and %zu NumPy array(s) are in use, "
                 "and %zu block(s) of extension modules",
                 what, arena->exports, arena->arrays, arena->extension_blocks);
    return false;
}

static void drop_buffers(native_arena *arena, uint64_t base_serial, const char *end) {
    while (arena->newest != NULL && arena->newest->serial > base_serial)
        native_buffer_drop(arena->newest, end);
}

PyObject *native_arena_close(PyObject *self, PyObject *unused) {
    native_arena *arena = as_arena(self);
    (void)unused;
    if (arena->handle == NULL)
        Py_RETURN_NONE;
    if (!native_enter(arena)) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError))
            return NULL;
        PyErr_Clear(); /* another thread has closed it */
        Py_RETURN_NONE;
    }
    if (!is_unused(arena, "close")) {
        native_unlock(arena);
        return NULL;
    }
    drop_buffers(arena, 0, "its arena was closed");
    hk_arena *handle = arena->handle;
    arena->handle = NULL;
    native_lock_stays(arena);
    Py_BEGIN_ALLOW_THREADS;
    (void)hk_arena_destroy(handle);
    Py_END_ALLOW_THREADS;
    native_unlock(arena);
    Py_RETURN_NONE;
}

PyObject *native_arena_reset(PyObject *self, PyObject *unused) {
    native_arena *arena = as_arena(self);
    (void)unused;
    if (!native_enter(arena))
        return NULL;
    if (!is_unused(arena, "be reset")) {
        native_unlock(arena);
        return NULL;
    }
    drop_buffers(arena, 0, "its arena was reset");
    native_lock_stays(arena);
    Py_BEGIN_ALLOW_THREADS;
    (void)hk_arena_reset(arena->handle);
    Py_END_ALLOW_THREADS;
    native_unlock(arena);
    Py_RETURN_NONE;
}

static PyObject *raise_rewind(hk_status status) {
    if (status == HK_ERR_UNSUPPORTED)
        PyErr_SetString(PyExc_ValueError, "the arena was not made with rewindable=True");
    else if (status == HK_ERR_INVALID_ARGUMENT)
        PyErr_SetString(PyExc_ValueError, "there was no checkpoint to go back to");
    else
        PyErr_SetString(status == HK_ERR_NO_MEMORY ? PyExc_MemoryError : PyExc_RuntimeError, hk_status_message(status));
    return NULL;
}

/* The GIL is kept by these two: to Python code, each is one step. */
PyObject *native_arena_checkpoint(PyObject *self, PyObject *unused) {
    native_arena *arena = as_arena(self);
    (void)unused;
    if (!native_enter(arena))
        return NULL;
    hk_status status = hk_arena_checkpoint(arena->handle);
    if (status == HK_OK) {
        arena->base_serial = arena->serial;
        arena->has_base = true;
    }
    native_unlock(arena);
    if (status != HK_OK)
        return raise_rewind(status);
    Py_RETURN_NONE;
}

static bool is_newer_unused(const native_arena *arena) {
    size_t exports = 0;
    for (const native_buffer *buffer = arena->newest; buffer != NULL && buffer->serial > arena->base_serial;
         buffer = buffer->older)
        exports += buffer->exports;
    if (exports == 0 && arena->arrays == 0 && arena->extension_blocks == 0)
        return true;
    PyErr_Format(PyExc_BufferError,
                 "the arena cannot go back: %zu view(s) of buffers made since the checkpoint and "
                 "%zu NumPy array(s) are in use, and %zu block(s) of extension modules",
                 exports, arena->arrays, arena->extension_blocks);
    return false;
}

PyObject *native_arena_rollback(PyObject *self, PyObject *unused) {
    native_arena *arena = as_arena(self);
    (void)unused;
    if (!native_enter(arena))
        return NULL;
    if (arena->has_base && !is_newer_unused(arena)) {
        native_unlock(arena);
        return NULL;
    }
    hk_status status = hk_arena_rollback(arena->handle);
    if (status == HK_OK)
        drop_buffers(arena, arena->base_serial, "its arena was rolled back to before it");
    native_unlock(arena);
    if (status != HK_OK)
        return raise_rewind(status);
    Py_RETURN_NONE;
}

/* Nobody can reach it, and its buffers and arrays would have held it: it is empty, and nobody is inside. */
void native_arena_dealloc(PyObject *self) {
    native_arena *arena = as_arena(self);
    PyTypeObject *type = Py_TYPE(self);
    if (arena->handle != NULL) {
        native_cache_empty(arena);
        (void)hk_arena_destroy(arena->handle);
    }
    if (arena->has_lock)
        (void)pthread_mutex_destroy(&arena->lock);
    type->tp_free(self);
    Py_DECREF(type);
}
