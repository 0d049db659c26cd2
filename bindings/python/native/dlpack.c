/* dlpack: buffers for the array libraries that exchange memory by DLPack, as one row of unsigned bytes. A capsule, and
 * the tensor that a library makes of it, is a view of the buffer like any other.
 *
 * The structures are those of the DLPack specification: of before version 1, and of version 1, which can say that
 * memory is not to be written to. */
#include "native.h"

#include <stdlib.h>

enum { DEVICE_CPU = 1, CODE_UNSIGNED = 1, VERSION_MAJOR = 1, VERSION_MINOR = 0, FLAG_READ_ONLY = 1 };

typedef struct tensor {
    void *data;
    struct {
        int32_t type;
        int32_t id;
    } device;
    int32_t dimensions;
    struct {
        uint8_t code;
        uint8_t bits;
        uint16_t lanes;
    } element;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
} tensor;

typedef struct unversioned {
    tensor tensor;
    void *owner;
    void (*delete)(struct unversioned *self);
} unversioned;

typedef struct versioned {
    struct {
        uint32_t major;
        uint32_t minor;
    } version;
    void *owner;
    void (*delete)(struct versioned *self);
    uint64_t flags;
    tensor tensor;
} versioned;

/* One allocation holds both forms' common needs; the buffer is held as an object and as a view. */
typedef struct lent {
    native_buffer *buffer;
    int64_t shape[1];
    int64_t strides[1];
    union {
        unversioned old;
        versioned new;
    } form;
} lent;

/* By a library that is done with it, on any of its threads, with the GIL or without. At the very end of the process
 * there is nobody left to tell. */
static void give_back(lent *lent) {
    if (!Py_IsInitialized())
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    native_buffer_release(lent->buffer);
    Py_DECREF(lent->buffer);
    free(lent);
    PyGILState_Release(state);
}

static void delete_old(unversioned *self) {
    give_back(self->owner);
}

static void delete_new(versioned *self) {
    give_back(self->owner);
}

/* A capsule that was taken over has another name, and its memory is the taker's to give back. */
static void end_old_capsule(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor"))
        delete_old(PyCapsule_GetPointer(capsule, "dltensor"));
}

static void end_new_capsule(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned"))
        delete_new(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
}

static tensor describe(lent *lent) {
    lent->shape[0] = (int64_t)lent->buffer->size_bytes;
    lent->strides[0] = 1;
    return (tensor){
        .data = lent->buffer->bytes,
        .device = {DEVICE_CPU, 0},
        .dimensions = 1,
        .element = {CODE_UNSIGNED, 8, 1},
        .shape = lent->shape,
        .strides = lent->strides,
    };
}

static PyObject *lend(native_buffer *buffer, bool is_versioned) {
    lent *lent = malloc(sizeof *lent);
    PyObject *capsule;
    if (lent == NULL)
        return PyErr_NoMemory();
    lent->buffer = buffer;
    if (is_versioned) {
        lent->form.new = (versioned){
            .version = {VERSION_MAJOR, VERSION_MINOR},
            .owner = lent,
            .delete = delete_new,
            .flags = buffer->is_readonly ? FLAG_READ_ONLY : 0,
            .tensor = describe(lent),
        };
        capsule = PyCapsule_New(&lent->form.new, "dltensor_versioned", end_new_capsule);
    } else {
        lent->form.old = (unversioned){.tensor = describe(lent), .owner = lent, .delete = delete_old};
        capsule = PyCapsule_New(&lent->form.old, "dltensor", end_old_capsule);
    }
    if (capsule == NULL) {
        free(lent);
        return NULL;
    }
    Py_INCREF(buffer);
    native_buffer_export(buffer);
    return capsule;
}

static bool parse_pair(const char *name, PyObject *pair, long *first, long *second) {
    if (PyTuple_Check(pair))
        return PyArg_ParseTuple(pair, "ll", first, second) != 0;
    PyErr_Format(PyExc_TypeError, "%s is %R; it can be None or a tuple of two integers", name, pair);
    return false;
}

static bool is_cpu(PyObject *device) {
    long type, id;
    if (device == Py_None)
        return true;
    if (!parse_pair("dl_device", device, &type, &id))
        return false;
    if (type == DEVICE_CPU && id == 0)
        return true;
    PyErr_Format(PyExc_BufferError, "a buffer is memory of the CPU, device (1, 0); (%ld, %ld) was asked for", type, id);
    return false;
}

/* The arguments of __dlpack__ that matter; `stream` is for devices that have any. -1 for an error, else the major
 * version that the caller understands. */
static long parse(PyObject *const *values, PyObject *names) {
    long major = 0, minor = 0;
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "max_version") == 0) {
            if (values[i] != Py_None && !parse_pair("max_version", values[i], &major, &minor))
                return -1;
        } else if (PyUnicode_CompareWithASCIIString(name, "dl_device") == 0) {
            if (!is_cpu(values[i]))
                return -1;
        } else if (PyUnicode_CompareWithASCIIString(name, "copy") == 0) {
            if (values[i] == Py_True) {
                PyErr_SetString(PyExc_BufferError, "a buffer is lent as it is; copy what was made of it");
                return -1;
            }
        } else if (PyUnicode_CompareWithASCIIString(name, "stream") != 0) {
            PyErr_Format(PyExc_TypeError, "__dlpack__() knows no argument %R", name);
            return -1;
        }
    }
    return major < 0 ? 0 : major;
}

PyObject *native_buffer_dlpack(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
    native_buffer *buffer = (native_buffer *)self;
    if (count != 0)
        return PyErr_Format(PyExc_TypeError, "__dlpack__() takes arguments by name only");
    long major = parse(arguments, names);
    if (major < 0 || !native_buffer_is_open(buffer))
        return NULL;
    if (major == 0 && buffer->is_readonly)
        return PyErr_Format(PyExc_BufferError, "the buffer is read-only, which DLPack can say from version 1 on");
    return lend(buffer, major > 0);
}

PyObject *native_buffer_dlpack_device(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return Py_BuildValue("ii", DEVICE_CPU, 0);
}
