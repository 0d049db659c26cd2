/* scope_block: the with statement of scopes. In C, as it has to end a block where no Python code can run any more for
 * want of memory, and where a signal's handler must not come in between. See memory.h. */
#include "memory.h"

#include "arena.h"

typedef struct native_block {
    PyObject ob_base;
    native_scope *scope;
    native_entry *entry; /* NULL: no block is under way */
    uint64_t refusals;   /* of the scope, when the block began */
} native_block;

PyTypeObject *native_block_type;

static native_block *as_block(PyObject *object) {
    return (native_block *)object;
}

static PyObject *new (PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    static char *names[] = {"scope", NULL};
    PyObject *scope;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!", names, native_scope_type, &scope))
        return NULL;
    native_block *block = as_block(type->tp_alloc(type, 0));
    if (block == NULL)
        return NULL;
    block->scope = (native_scope *)Py_NewRef(scope);
    return (PyObject *)block;
}

static void dealloc(PyObject *self) {
    native_block *block = as_block(self);
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(block->entry);
    Py_XDECREF(block->scope);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- with ---- */

/* What a limit bounds, an account must not take out of it. */
static bool may_enter_account(const native_scope *scope) {
    for (const native_entry *outer = native_entry_current(); outer != NULL; outer = outer->outer) {
        if (outer->scope == scope || hk_arena_limit(outer->scope->handle) == 0)
            continue;
        PyErr_Format(PyExc_RuntimeError,
                     "the account '%s' cannot be entered within the limit '%s': "
                     "enter the account first, and the limit within it",
                     hk_arena_name(scope->handle), hk_arena_name(outer->scope->handle));
        return false;
    }
    return true;
}

static bool may_enter_limit(const native_scope *scope) {
    const native_entry *outer = native_entry_current();
    if ((outer != NULL ? outer->scope : NULL) == scope->parent)
        return true;
    PyErr_Format(PyExc_RuntimeError,
                 "the limit '%s' was made %s%s, and can be entered there only: make it where it is needed",
                 hk_arena_name(scope->handle), scope->parent != NULL ? "within " : "outside of all limits and accounts",
                 scope->parent != NULL ? hk_arena_name(scope->parent->handle) : "");
    return false;
}

static bool may_enter(const native_block *block) {
    const native_scope *scope = block->scope;
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "limits and accounts are for the main interpreter, not for subinterpreters");
        return false;
    }
    if (block->entry != NULL) {
        PyErr_Format(PyExc_RuntimeError, "the scope '%s' is in use by a with block; each block needs one of its own",
                     hk_arena_name(scope->handle));
        return false;
    }
    return scope->is_account ? may_enter_account(scope) : may_enter_limit(scope);
}

static PyObject *enter(PyObject *self, PyObject *unused) {
    native_block *block = as_block(self);
    (void)unused;
    if (!may_enter(block))
        return NULL;
    block->refusals = block->scope->refusals;
    block->entry = native_entry_begin(block->scope);
    return block->entry != NULL ? Py_NewRef(self) : NULL;
}

/* Raises the bare MemoryError of an allocator again, with what is known. Always NULL. */
static PyObject *explain(const native_scope *scope, PyObject *error) {
    const hki_arena *by = scope->refused_by;
    PyObject *text = by != NULL ? PyUnicode_FromFormat("'%s': %zu bytes requested, limit %zu bytes, %zu held", by->name,
                                                       scope->refused_bytes, hk_arena_limit(hki_arena_handle(by)),
                                                       scope->refused_held)
                                : PyUnicode_FromFormat("'%s': %zu bytes requested, and the system has no more",
                                                       hk_arena_name(scope->handle), scope->refused_bytes);
    PyObject *explained = text != NULL ? PyObject_CallOneArg(PyExc_MemoryError, text) : NULL;
    Py_XDECREF(text);
    if (explained == NULL)
        return NULL;
    PyException_SetCause(explained, Py_NewRef(error));
    PyErr_SetObject(PyExc_MemoryError, explained);
    Py_DECREF(explained);
    return NULL;
}

static bool is_bare_memory_error(PyObject *error) {
    if (!Py_IS_TYPE(error, (PyTypeObject *)PyExc_MemoryError))
        return false;
    PyObject *arguments = ((PyBaseExceptionObject *)error)->args;
    return arguments == NULL || PyTuple_GET_SIZE(arguments) == 0;
}

static PyObject *leave(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    native_block *block = as_block(self);
    if (count != 3)
        return PyErr_Format(PyExc_TypeError, "__exit__ takes 3 arguments, not %zd", count);
    native_entry *entry = block->entry;
    if (entry == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the with block of the scope '%s' has ended already",
                            hk_arena_name(block->scope->handle));
    block->entry = NULL;
    int status = native_entry_end(entry);
    Py_DECREF(entry);
    if (status != 0)
        return NULL;
    if (block->scope->refusals != block->refusals && is_bare_memory_error(arguments[1]))
        return explain(block->scope, arguments[1]);
    Py_RETURN_NONE;
}

static PyObject *get_core(PyObject *self, void *unused) {
    (void)unused;
    return Py_NewRef(as_block(self)->scope);
}

PyTypeObject *native_make_block_type(void) {
    static PyMethodDef methods[] = {
        {"__enter__", enter, METH_NOARGS, "Charges the running context to the scope."},
        {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL,
         "Ends the block. A MemoryError of the limit's is raised again with a message that says so."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef properties[] = {
        {"_core", get_core, NULL, "The scope.", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "The with statement of a scope."},
        {Py_tp_new, new},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, properties},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "hakmem._native.ScopeBlock",
        .basicsize = sizeof(native_block),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
