/* module: what hakmem._native consists of. See native.h. */
#include "memory.h"

#include "options.h"
#include "tables.h"

/* CFFI's view of hakmem.h is a module of its own by name, in this library. */
PyMODINIT_FUNC PyInit__view(void);

/* The library's options, as they are in force: (name, value or None, default or None, what they can be). */
static PyObject *list_options(PyObject *module, PyObject *unused) {
    PyObject *options = PyList_New(0);
    (void)module;
    (void)unused;
#define ADD(option)                                                                                                    \
    do {                                                                                                               \
        PyObject *row = options == NULL ? NULL : (option);                                                             \
        if (row == NULL || PyList_Append(options, row) != 0)                                                           \
            Py_CLEAR(options);                                                                                         \
        Py_XDECREF(row);                                                                                               \
    } while (0)
#define NUMBER(variable, name, initial, largest)                                                                       \
    ADD(Py_BuildValue("sIIs", name, atomic_load_explicit(&(variable), memory_order_relaxed), (unsigned)(initial),      \
                      "a whole number from 0 to " #largest));
    HKI_NUMBER_OPTIONS(NUMBER)
#undef NUMBER
#define SIZE(variable, name)                                                                                           \
    ADD(variable == 0 ? Py_BuildValue("sOOs", name, Py_None, Py_None, "a size from 1K to 1T")                          \
                      : Py_BuildValue("snOs", name, (Py_ssize_t)(variable), Py_None, "a size from 1K to 1T"));
    HKI_SIZE_OPTIONS(SIZE)
#undef SIZE
#undef ADD
    return options;
}

static bool add_view(PyObject *module) {
    PyObject *view = PyInit__view();
    bool has_worked = view != NULL;
    static const char *const names[] = {"ffi", "lib"};
    for (size_t i = 0; has_worked && i < sizeof names / sizeof *names; i++) {
        PyObject *part = PyObject_GetAttrString(view, names[i]);
        has_worked = part != NULL && PyModule_AddObjectRef(module, names[i], part) == 0;
        Py_XDECREF(part);
    }
    Py_XDECREF(view);
    return has_worked;
}

static bool add_capsule(PyObject *module) {
    PyObject *capsule = native_make_capsule();
    bool has_worked = capsule != NULL && PyModule_AddObjectRef(module, "_C_API", capsule) == 0;
    Py_XDECREF(capsule);
    return has_worked;
}

PyMODINIT_FUNC PyInit__native(void) {
    static PyMethodDef functions[] = {
        {"catch_misuse", native_catch_misuse, METH_O, "Whether misuse goes to hakmem._errors, or to the policy."},
        {"options", list_options, METH_NOARGS, "The options of the library, as they are in force."},
        {"install", native_install, METH_O, "Lets CPython's domains, a bit for each, allocate from hakmem."},
        {"installed", native_installed, METH_NOARGS, "The domains that do."},
        {"numpy_handler", native_numpy_handler, METH_VARARGS,
         "A handler of NumPy's that serves arrays from this arena."},
        {"numpy_scope_handler", native_numpy_scope_handler, METH_O, "The same for a scope."},
        {"numpy_set_handler", native_numpy_set_handler, METH_O, "Puts a handler in force; returns the last one."},
        {"bench", native_bench, METH_VARARGS, "Runs a loop in C on the functions of an allocator; for hakmem.bench."},
        {NULL, NULL, 0, NULL},
    };
    static PyModuleDef definition = {
        PyModuleDef_HEAD_INIT, .m_name = "hakmem._native", .m_doc = "What the package hakmem has in C.",
        .m_size = -1,          .m_methods = functions,
    };
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    native_buffer_type = native_make_buffer_type();
    native_arena_type = native_make_arena_type();
    native_scope_type = native_make_scope_type();
    native_block_type = native_make_block_type();
    if (native_buffer_type != NULL && native_arena_type != NULL && native_scope_type != NULL &&
        native_block_type != NULL && native_make_context() && add_view(module) &&
        PyModule_AddObjectRef(module, "Buffer", (PyObject *)native_buffer_type) == 0 &&
        PyModule_AddObjectRef(module, "ArenaBase", (PyObject *)native_arena_type) == 0 &&
        PyModule_AddObjectRef(module, "Scope", (PyObject *)native_scope_type) == 0 &&
        PyModule_AddObjectRef(module, "ScopeBlock", (PyObject *)native_block_type) == 0 && add_capsule(module))
        return module;
    Py_DECREF(module);
    return NULL;
}
