/* arena_vector: DoubleVector, a growing row of doubles that lie in a hakmem.Arena, or in hakmem's process heap.
 *
 *   with hakmem.Arena(limit="64M") as arena:
 *       vector = arena_vector.DoubleVector([1, 2, 3], arena=arena)
 *       vector.append(4)
 *       numpy.asarray(vector).sum()
 *
 * Built with setuptools: `pip install examples/python/c_extension`. A vector holds its arena, and its block holds the arena
 * open: arena.close() raises BufferError as long as there are vectors with items. Under the GIL: everything. */
#define PY_SSIZE_T_CLEAN
#include <hakmem_python.h>

#include <stdbool.h>

typedef struct vector {
    PyObject ob_base;
    PyObject *arena; /* NULL: the process heap */
    double *items;   /* NULL: no items yet */
    Py_ssize_t length;
    Py_ssize_t room;
    Py_ssize_t exports; /* views of it that somebody holds: items stay where they are */
} vector;

enum { CACHE_LINE = 64, FIRST_ROOM = 8 };

/* ---- memory ---- */

static bool grow(vector *self) {
    Py_ssize_t room = self->room != 0 ? self->room * 2 : FIRST_ROOM;
    size_t bytes = (size_t)room * sizeof *self->items;
    double *items = self->arena != NULL ? hakmem_api->arena_realloc(self->arena, self->items, bytes, CACHE_LINE)
                                        : hakmem_api->hk_realloc(self->items, bytes);
    if (items == NULL) {
        if (self->arena == NULL)
            PyErr_NoMemory();
        return false;
    }
    self->items = items;
    self->room = room;
    return true;
}

static bool append_item(vector *self, PyObject *object) {
    double item = PyFloat_AsDouble(object);
    if (item == -1 && PyErr_Occurred() != NULL)
        return false;
    if (self->exports != 0) {
        PyErr_Format(PyExc_BufferError, "the vector cannot grow: %zd view(s) of it are in use", self->exports);
        return false;
    }
    if (self->length == self->room && !grow(self))
        return false;
    self->items[self->length++] = item;
    return true;
}

static void dealloc(PyObject *object) {
    vector *self = (vector *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->arena != NULL)
        hakmem_api->arena_free_unraisable(self->arena, self->items);
    else
        hakmem_api->hk_free(self->items);
    Py_XDECREF(self->arena);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- for Python ---- */

static bool append_all(vector *self, PyObject *items) {
    PyObject *iterator = PyObject_GetIter(items);
    PyObject *item;
    if (iterator == NULL)
        return false;
    while ((item = PyIter_Next(iterator)) != NULL) {
        bool has_worked = append_item(self, item);
        Py_DECREF(item);
        if (!has_worked)
            break;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() == NULL;
}

static PyObject *make(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    static char *names[] = {"items", "arena", NULL};
    PyObject *items = NULL, *arena = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O$O:DoubleVector", names, &items, &arena))
        return NULL;
    /* That it is an open arena is the first question; it is asked again whenever there is a block to be had. */
    if (arena != Py_None && hakmem_api->arena_from_object(arena) == NULL)
        return NULL;
    vector *self = (vector *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->arena = arena != Py_None ? Py_NewRef(arena) : NULL;
    if (items == NULL || append_all(self, items))
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static PyObject *append(PyObject *self, PyObject *item) {
    if (!append_item((vector *)self, item))
        return NULL;
    Py_RETURN_NONE;
}

static Py_ssize_t length(PyObject *self) {
    return ((vector *)self)->length;
}

static PyObject *get_item(PyObject *object, Py_ssize_t index) {
    vector *self = (vector *)object;
    if (index >= 0 && index < self->length)
        return PyFloat_FromDouble(self->items[index]);
    PyErr_Format(PyExc_IndexError, "item %zd of a vector of %zd", index, self->length);
    return NULL;
}

static int get_view(PyObject *object, Py_buffer *view, int flags) {
    static Py_ssize_t stride = sizeof(double);
    static double nothing;
    vector *self = (vector *)object;
    if (PyBuffer_FillInfo(view, object, self->items != NULL ? self->items : &nothing, self->length * stride, 0,
                          flags) != 0)
        return -1;
    view->itemsize = stride;
    view->format = (flags & PyBUF_FORMAT) != 0 ? "d" : NULL;
    view->shape = (flags & PyBUF_ND) != 0 ? &self->length : NULL; /* which does not change while there are views */
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &stride : NULL;
    self->exports++;
    return 0;
}

static void release_view(PyObject *self, Py_buffer *view) {
    (void)view;
    ((vector *)self)->exports--;
}

static PyObject *make_type(void) {
    static PyMethodDef methods[] = {
        {"append", append, METH_O, "Adds an item at the end."},
        {NULL, NULL, 0, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_new, make},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_sq_length, length},
        {Py_sq_item, get_item},
        {Py_bf_getbuffer, get_view},
        {Py_bf_releasebuffer, release_view},
        {Py_tp_doc, "DoubleVector(items=(), *, arena=None): doubles in an arena, or in hakmem's process heap."},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "arena_vector.DoubleVector",
        .basicsize = sizeof(vector),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    return PyType_FromSpec(&spec);
}

PyMODINIT_FUNC PyInit_arena_vector(void) {
    static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "arena_vector", .m_size = -1};
    if (hakmem_import() != 0)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = module == NULL ? NULL : make_type();
    if (type == NULL || PyModule_AddObjectRef(module, "DoubleVector", type) != 0)
        Py_CLEAR(module);
    Py_XDECREF(type);
    return module;
}
