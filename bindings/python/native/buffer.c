/* buffer: hakmem.Buffer. See native.h. */
#include "native.h"

#include <stddef.h>

PyTypeObject *native_buffer_type;

static native_buffer *as_buffer(PyObject *object) {
    return (native_buffer *)object;
}

/* ---- life ---- */

native_buffer *native_buffer_new(native_arena *arena) {
    native_buffer *buffer = PyObject_New(native_buffer, native_buffer_type);
    if (buffer == NULL)
        return NULL;
    Py_INCREF(arena);
    buffer->arena = arena;
    buffer->bytes = NULL;
    buffer->size_bytes = 0;
    buffer->exports = 0;
    buffer->end = "closed";
    buffer->is_readonly = false;
    return buffer;
}

void native_buffer_fill(native_buffer *buffer, void *bytes, size_t size_bytes) {
    native_arena *arena = buffer->arena;
    buffer->bytes = bytes;
    buffer->size_bytes = size_bytes;
    buffer->serial = ++arena->serial;
    buffer->newer = NULL;
    buffer->older = arena->newest;
    if (arena->newest != NULL)
        arena->newest->newer = buffer;
    arena->newest = buffer;
}

void native_buffer_drop(native_buffer *buffer, const char *end) {
    if (buffer->newer != NULL)
        buffer->newer->older = buffer->older;
    else
        buffer->arena->newest = buffer->older;
    if (buffer->older != NULL)
        buffer->older->newer = buffer->newer;
    buffer->bytes = NULL;
    buffer->size_bytes = 0;
    buffer->end = end;
}

static void free_large(native_arena *arena, void *bytes) {
    native_lock_stays(arena);
    Py_BEGIN_ALLOW_THREADS;
    (void)hk_arena_free(arena->handle, bytes);
    Py_END_ALLOW_THREADS;
}

/* Frees the block under the lock; what was true before it was had may not be any more. An overwritten block is refused
 * by the library, and goes with the arena. False if somebody has exported it meanwhile. */
static bool free_block(native_buffer *buffer, native_misuse *misuse) {
    bool is_free = buffer->exports == 0;
    if (is_free && buffer->bytes != NULL) {
        void *bytes = buffer->bytes;
        bool is_large = buffer->size_bytes >= NATIVE_LARGE_BYTES;
        native_buffer_drop(buffer, "closed");
        native_misuse_here = misuse;
        if (is_large)
            free_large(buffer->arena, bytes);
        else
            (void)hk_arena_free(buffer->arena->handle, bytes);
        native_misuse_here = NULL;
    }
    return is_free;
}

static void dealloc(PyObject *self) {
    native_buffer *buffer = as_buffer(self);
    native_misuse misuse;
    misuse.status = HK_OK;
    if (buffer->bytes != NULL) {
        if (native_lock_unraisable(buffer->arena, (PyObject *)native_buffer_type)) {
            (void)free_block(buffer, &misuse);
            native_unlock(buffer->arena);
        } else
            native_buffer_drop(buffer, "closed");
        if (misuse.status != HK_OK)
            native_surface_unraisable(&misuse, (PyObject *)native_buffer_type);
    }
    Py_DECREF(buffer->arena);
    PyObject_Free(self);
    Py_DECREF(native_buffer_type);
}

static PyObject *close_buffer(PyObject *self, PyObject *unused) {
    native_buffer *buffer = as_buffer(self);
    native_misuse misuse;
    bool is_free;
    (void)unused;
    if (buffer->bytes == NULL)
        Py_RETURN_NONE;
    misuse.status = HK_OK;
    if (!native_lock(buffer->arena))
        return NULL;
    is_free = free_block(buffer, &misuse);
    native_unlock(buffer->arena);
    if (!is_free)
        return PyErr_Format(PyExc_BufferError, "%zu view(s) of the buffer are still in use", buffer->exports);
    if (misuse.status != HK_OK && native_surface(&misuse) != 0)
        return NULL;
    Py_RETURN_NONE;
}

bool native_buffer_is_open(const native_buffer *buffer) {
    if (buffer->bytes == NULL)
        PyErr_Format(PyExc_ValueError, "the buffer has no memory any more: %s", buffer->end);
    return buffer->bytes != NULL;
}

/* ---- views ---- */

void native_buffer_export(native_buffer *buffer) {
    buffer->exports++;
    buffer->arena->exports++;
}

void native_buffer_release(native_buffer *buffer) {
    buffer->exports--;
    buffer->arena->exports--;
}

static int get_view(PyObject *self, Py_buffer *view, int flags) {
    native_buffer *buffer = as_buffer(self);
    view->obj = NULL;
    if (!native_buffer_is_open(buffer) ||
        PyBuffer_FillInfo(view, self, buffer->bytes, (Py_ssize_t)buffer->size_bytes, buffer->is_readonly, flags) != 0)
        return -1;
    native_buffer_export(buffer);
    return 0;
}

static void release_view(PyObject *self, Py_buffer *view) {
    (void)view;
    native_buffer_release(as_buffer(self));
}

/* Items and slices are those of a memoryview. */
static PyObject *get_item(PyObject *self, PyObject *key) {
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *item = view == NULL ? NULL : PyObject_GetItem(view, key);
    Py_XDECREF(view);
    return item;
}

static int set_item(PyObject *self, PyObject *key, PyObject *value) {
    PyObject *view = PyMemoryView_FromObject(self);
    int result = -1;
    if (view != NULL)
        result = value == NULL ? PyObject_DelItem(view, key) : PyObject_SetItem(view, key, value);
    Py_XDECREF(view);
    return result;
}

static PyObject *iterate(PyObject *self) {
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *iterator = view == NULL ? NULL : PyObject_GetIter(view);
    Py_XDECREF(view);
    return iterator;
}

static Py_ssize_t length(PyObject *self) {
    return native_buffer_is_open(as_buffer(self)) ? (Py_ssize_t)as_buffer(self)->size_bytes : -1;
}

/* ---- what it tells ---- */

static PyObject *get_address(PyObject *self, void *unused) {
    (void)unused;
    return native_buffer_is_open(as_buffer(self)) ? PyLong_FromVoidPtr(as_buffer(self)->bytes) : NULL;
}

static PyObject *get_size(PyObject *self, void *unused) {
    (void)unused;
    return native_buffer_is_open(as_buffer(self)) ? PyLong_FromSize_t(as_buffer(self)->size_bytes) : NULL;
}

static PyObject *get_arena(PyObject *self, void *unused) {
    (void)unused;
    return Py_NewRef((PyObject *)as_buffer(self)->arena);
}

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(as_buffer(self)->bytes == NULL);
}

static PyObject *get_readonly(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(as_buffer(self)->is_readonly);
}

static int set_readonly(PyObject *self, PyObject *value, void *unused) {
    native_buffer *buffer = as_buffer(self);
    (void)unused;
    if (value == NULL || !PyBool_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "readonly is True or False");
        return -1;
    }
    if (buffer->exports != 0) {
        PyErr_Format(PyExc_BufferError, "readonly cannot change: %zu view(s) of the buffer are in use",
                     buffer->exports);
        return -1;
    }
    buffer->is_readonly = value == Py_True;
    return 0;
}

static PyObject *repr(PyObject *self) {
    native_buffer *buffer = as_buffer(self);
    if (buffer->bytes == NULL)
        return PyUnicode_FromFormat("<hakmem.Buffer without memory: %s>", buffer->end);
    return PyUnicode_FromFormat("<hakmem.Buffer of %zu bytes at %p in %R>", buffer->size_bytes, buffer->bytes,
                                buffer->arena);
}

static PyObject *enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return native_buffer_is_open(as_buffer(self)) ? Py_NewRef(self) : NULL;
}

static PyObject *leave(PyObject *self, PyObject *exception) {
    (void)exception;
    return close_buffer(self, NULL);
}

PyTypeObject *native_make_buffer_type(void) {
    static PyMethodDef methods[] = {
        {"close", close_buffer, METH_NOARGS, "Free the memory now; BufferError while there are views of it."},
        {"__enter__", enter, METH_NOARGS, NULL},
        {"__exit__", leave, METH_VARARGS, NULL},
        {"__dlpack__", (PyCFunction)(void (*)(void))native_buffer_dlpack, METH_FASTCALL | METH_KEYWORDS,
         "A DLPack capsule of unsigned bytes."},
        {"__dlpack_device__", native_buffer_dlpack_device, METH_NOARGS, "The CPU: (1, 0)."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef properties[] = {
        {"address", get_address, NULL, "Where the bytes lie.", NULL},
        {"nbytes", get_size, NULL, "How many bytes there are.", NULL},
        {"arena", get_arena, NULL, "The arena of the buffer.", NULL},
        {"closed", get_closed, NULL, "Whether the memory is gone.", NULL},
        {"readonly", get_readonly, set_readonly, "Whether views of the buffer are read-only.", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_dealloc, dealloc},
        {Py_tp_repr, repr},
        {Py_tp_iter, iterate},
        {Py_tp_methods, methods},
        {Py_tp_getset, properties},
        {Py_mp_length, length},
        {Py_mp_subscript, get_item},
        {Py_mp_ass_subscript, set_item},
        {Py_bf_getbuffer, get_view},
        {Py_bf_releasebuffer, release_view},
        {Py_tp_doc, "A block of an arena: bytes for memoryview, NumPy, struct, ctypes, sockets. Made by Arena.alloc."},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "hakmem.Buffer",
        .basicsize = sizeof(native_buffer),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
