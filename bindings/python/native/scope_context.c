/* scope_context: which scope the running code is charged to. See memory.h.
 *
 * It is the value of a context variable, an entry for each with block that is under way. Contexts are switched by the
 * interpreter, without a word to us; but each switch changes a number in the thread's state. And the variable notes its
 * value for its own use whenever somebody sets it or asks for it: frameworks copy all variables from one context to
 * another, ours with them. So a look holds as long as thread, number and note are the same. It allocates nothing.
 *
 * Entries do not change, so blocks may end in any order, in any context: a context leaves a block exactly if it is in
 * it, and with it all blocks within that one.
 *
 * State, all under the GIL: the variable; the last look; whether a block is just ending. */
#include "memory.h"

static PyTypeObject *entry_type;
static PyObject *variable;
static PyObject *numpy_name;
static bool is_ending; /* nothing is charged to any scope */

static const PyThreadState nobody;
static native_entry *no_note;

native_sight native_seen = {.thread = &nobody, .note = &no_note};
static native_entry **note = &no_note; /* native_seen.note */

static native_entry *as_entry(PyObject *object) {
    return (native_entry *)object;
}

/* ---- looks ---- */

void native_forget(void) {
    native_seen.thread = &nobody;
}

static native_entry *value_of_variable(void) {
    PyObject *value = NULL;
    if (PyContextVar_Get(variable, NULL, &value) != 0)
        return NULL;
    Py_XDECREF(value); /* the context holds it */
    return value != NULL && Py_IS_TYPE(value, entry_type) ? as_entry(value) : NULL;
}

static void see(native_entry *entry) {
    native_seen.entry = entry;
    native_seen.scope = entry != NULL ? entry->scope : NULL;
    native_heap = entry != NULL ? &entry->scope->arena->heap : native_gil_heap;
}

/* Where the variable's note cannot be found, every call comes here, and no look holds. The note of a context that has
 * no value is nobody's: it is cleared, so that it is not taken for that of the next one. */
void native_look_up(const PyThreadState *thread) {
    bool is_main = thread != NULL && thread->interp == PyInterpreterState_Main();
    if (!is_main && !native_is_alone())
        return; /* without the main one's lock */
    native_forget();
    if (!is_main || is_ending || variable == NULL) {
        see(NULL);
        return;
    }
    see(value_of_variable());
    *note = native_seen.entry;
    if (note == &no_note)
        return;
    native_seen.thread = thread;
    native_seen.thread_id = thread->id;
    native_seen.version = thread->context_ver;
}

native_entry *native_entry_current(void) {
    return value_of_variable();
}

bool native_entry_is_around(const native_entry *entry, const native_entry *current) {
    while (current != NULL && current != entry)
        current = current->outer;
    return current != NULL;
}

/* ---- begin and end ---- */

static int set_variable(PyObject *value) {
    PyObject *token = PyContextVar_Set(variable, value);
    native_forget();
    Py_XDECREF(token);
    return token != NULL ? 0 : -1;
}

/* Its handler is set before the variable is, as what that takes is not the scope's. */
static int begin_numpy(native_entry *entry) {
    PyObject *module = PyImport_GetModule(numpy_name);
    bool is_there = module != NULL && module != Py_None;
    Py_XDECREF(module);
    if (!is_there)
        return PyErr_Occurred() != NULL ? -1 : 0;
    PyObject *handler = native_numpy_scope_handler(NULL, (PyObject *)entry->scope);
    if (handler == NULL)
        return -1;
    entry->numpy_handler = native_numpy_set_handler(NULL, handler);
    Py_DECREF(handler);
    return entry->numpy_handler != NULL ? 0 : -1;
}

/* A collection might run code of anybody's meanwhile, which should be charged. */
static int end_uncharged(PyObject *numpy_handler, PyObject *outer) {
    int was_enabled = PyGC_Disable();
    is_ending = true;
    native_forget();
    int status = set_variable(outer);
    PyObject *ended = numpy_handler != NULL ? native_numpy_set_handler(NULL, numpy_handler) : NULL;
    status |= numpy_handler != NULL && ended == NULL ? -1 : 0;
    is_ending = false;
    if (was_enabled != 0)
        PyGC_Enable();
    Py_XDECREF(ended);
    return status;
}

native_entry *native_entry_begin(native_scope *scope) {
    native_entry *entry = PyObject_New(native_entry, entry_type);
    if (entry == NULL)
        return NULL;
    entry->scope = (native_scope *)Py_NewRef(scope);
    entry->outer = (native_entry *)Py_XNewRef(native_entry_current());
    entry->numpy_handler = NULL;
    if (begin_numpy(entry) == 0 && set_variable((PyObject *)entry) == 0)
        return entry;
    PyObject *kind, *error, *traceback;
    PyErr_Fetch(&kind, &error, &traceback);
    if (entry->numpy_handler != NULL)
        (void)end_uncharged(entry->numpy_handler, entry->outer != NULL ? (PyObject *)entry->outer : Py_None);
    PyErr_Restore(kind, error, traceback);
    Py_DECREF(entry);
    return NULL;
}

int native_entry_end(const native_entry *entry) {
    if (!native_entry_is_around(entry, native_entry_current()))
        return 0;
    return end_uncharged(entry->numpy_handler, entry->outer != NULL ? (PyObject *)entry->outer : Py_None);
}

/* ---- the type of entries ---- */

/* The outer one may end with it: see scope.c. */
static void dealloc(PyObject *self) {
    native_entry *entry = as_entry(self);
    while (entry != NULL) {
        native_entry *outer = entry->outer;
        if (native_seen.entry == entry) {
            native_forget();
            see(NULL);
        }
        if (*note == entry)
            *note = NULL;
        Py_DECREF(entry->scope);
        Py_XDECREF(entry->numpy_handler);
        PyObject_Free(entry);
        Py_DECREF(entry_type);
        if (outer != NULL && Py_REFCNT(outer) > 1) {
            Py_DECREF(outer);
            outer = NULL;
        }
        entry = outer;
    }
}

/* The variable's own note of its value stands before the numbers of thread and context for which it holds. No interface
 * tells where; it is found by what is in it. If it is nowhere, the note is ours, and no look holds. */
static bool find_note(void) {
    PyObject *probe = PyLong_FromLong(1L << 20);
    PyObject *token = probe != NULL ? PyContextVar_Set(variable, probe) : NULL;
    const PyThreadState *thread = PyThreadState_Get();
    void **words = (void **)variable;
    size_t count = (size_t)Py_TYPE(variable)->tp_basicsize / sizeof *words;
    for (size_t i = sizeof(PyObject) / sizeof *words; token != NULL && i + 2 < count; i++)
        if (words[i] == probe && (uintptr_t)words[i + 1] == thread->id &&
            (uintptr_t)words[i + 2] == thread->context_ver)
            native_seen.note = note = (native_entry **)&words[i];
    bool is_well = token != NULL && PyContextVar_Reset(variable, token) == 0;
    Py_XDECREF(token);
    Py_XDECREF(probe);
    return is_well;
}

bool native_make_context(void) {
    static PyType_Slot slots[] = {
        {Py_tp_doc, "A with block that is under way."},
        {Py_tp_dealloc, dealloc},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "hakmem._native.ScopeEntry",
        .basicsize = sizeof(native_entry),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    entry_type = (PyTypeObject *)PyType_FromSpec(&spec);
    variable = PyContextVar_New("hakmem_scope", NULL);
    numpy_name = PyUnicode_InternFromString("numpy");
    return entry_type != NULL && variable != NULL && numpy_name != NULL && find_note();
}
