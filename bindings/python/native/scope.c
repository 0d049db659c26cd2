/* scope: which arena the running code is charged to. See memory.h.
 *
 * A scope is an arena, and a value of a context variable. Contexts are switched by the interpreter, without a word to
 * us; but each switch changes a number in the thread's state, as contextvars itself relies on for its cache. So the
 * variable is looked up when that number, or the thread, is another one than at the last look. A look-up allocates
 * nothing.
 *
 * State, all under the GIL: the variable; the scopes by the slots of their arenas; the last look.
 *
 * A scope lives as long as a context or anybody else refers to it. Then nobody can be charged to it any more, and its
 * arena is retired: what lives in it stays valid. */
#include "memory.h"

#include "arena.h"
#include "thread.h"

PyTypeObject *native_scope_type;
size_t native_scopes;

static native_scope *scopes_by_slot[HKI_SLOTS_MAX];
static PyObject *variable; /* the context variable */

static struct {
    const PyThreadState *thread;
    uint64_t thread_id; /* a state's address may be used again */
    uint64_t version;
    native_scope *scope;
} seen;

static native_scope *as_scope(PyObject *object) {
    return (native_scope *)object;
}

/* ---- the current one ---- */

static HKI_MISS native_scope *look_up(PyThreadState *thread) {
    PyObject *value = NULL;
    if (variable == NULL || thread->interp != PyInterpreterState_Main())
        return NULL;
    if (PyContextVar_Get(variable, NULL, &value) != 0)
        PyErr_Clear();
    seen.thread = thread;
    seen.thread_id = thread->id;
    seen.version = thread->context_ver;
    seen.scope = value != NULL && Py_IS_TYPE(value, native_scope_type) ? as_scope(value) : NULL;
    Py_XDECREF(value); /* the context holds it */
    return seen.scope;
}

native_scope *native_scope_current(void) {
    PyThreadState *thread = _PyThreadState_UncheckedGet();
    if (thread == NULL)
        return NULL;
    if (HKI_LIKELY(thread == seen.thread && thread->id == seen.thread_id && thread->context_ver == seen.version))
        return seen.scope;
    return look_up(thread);
}

native_scope *native_scope_of(uintptr_t granule) {
    uintptr_t owner = atomic_load_explicit(&hki_granule_unit(granule)->owner, memory_order_acquire);
    const hki_arena *arena = hki_arena_of_owner(owner);
    return arena != NULL ? scopes_by_slot[hki_slot_number(&hki_arena_slots, arena)] : NULL;
}

void *native_scope_refuse(native_scope *scope, size_t size) {
    size_t held_lines = atomic_load_explicit(&scope->arena->quota.held_lines, memory_order_relaxed);
    scope->refused_bytes = size;
    scope->refused_held = held_lines << HKI_LINE_SHIFT;
    scope->refusals++;
    return NULL;
}

/* What the last look found may not hold any more. */
static void forget(void) {
    seen.thread = NULL;
}

/* ---- life ---- */

static void dealloc(PyObject *self) {
    native_scope *scope = as_scope(self);
    PyTypeObject *type = Py_TYPE(self);
    if (seen.scope == scope)
        forget();
    if (scope->arena != NULL) {
        scopes_by_slot[hki_slot_number(&hki_arena_slots, scope->arena)] = NULL;
        native_scopes--;
        (void)hk_arena_retire(scope->handle);
    }
    native_scope *parent = scope->parent;
    type->tp_free(self);
    Py_DECREF(type);
    Py_XDECREF(parent);
}

static bool parse(PyObject *arguments, PyObject *keywords, hk_arena_config *config, PyObject **parent) {
    static char *names[] = {"name", "limit", "parent", NULL};
    Py_ssize_t limit;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "snO", names, &config->name, &limit, parent))
        return false;
    config->limit_bytes = (size_t)limit;
    config->flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    return true;
}

/* Sizes and names have been looked at by hakmem._scopes. */
static PyObject *new (PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    PyObject *parent;
    if (!parse(arguments, keywords, &config, &parent))
        return NULL;
    if (parent != Py_None && !Py_IS_TYPE(parent, native_scope_type))
        return PyErr_Format(PyExc_TypeError, "the parent is a scope or None, not %R", parent);
    config.parent = parent == Py_None ? hk_arena_default() : as_scope(parent)->handle;
    native_scope *scope = as_scope(type->tp_alloc(type, 0));
    if (scope == NULL)
        return NULL;
    hk_status status = hk_arena_create(&config, &scope->handle);
    if (status != HK_OK) {
        Py_DECREF(scope);
        return PyErr_Format(PyExc_MemoryError, "a scope cannot be made: %s", hk_status_message(status));
    }
    scope->arena = hki_arena_find(scope->handle);
    scope->parent = parent == Py_None ? NULL : as_scope(Py_NewRef(parent));
    scopes_by_slot[hki_slot_number(&hki_arena_slots, scope->arena)] = scope;
    native_scopes++;
    return (PyObject *)scope;
}

/* ---- use ---- */

/* A token, for leave(). */
static PyObject *enter(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *token = PyContextVar_Set(variable, self);
    forget();
    return token;
}

static PyObject *leave(PyObject *self, PyObject *token) {
    (void)self;
    int status = PyContextVar_Reset(variable, token);
    forget();
    if (status != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *current(PyObject *type, PyObject *unused) {
    (void)type;
    (void)unused;
    native_scope *scope = native_scope_current();
    return Py_NewRef(scope != NULL ? (PyObject *)scope : Py_None);
}

static PyObject *get_handle(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromVoidPtr(as_scope(self)->handle);
}

static PyObject *get_parent(PyObject *self, void *unused) {
    native_scope *parent = as_scope(self)->parent;
    (void)unused;
    return Py_NewRef(parent != NULL ? (PyObject *)parent : Py_None);
}

static PyObject *get_refusals(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(as_scope(self)->refusals);
}

static PyObject *get_refused_bytes(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(as_scope(self)->refused_bytes);
}

static PyObject *get_refused_held(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(as_scope(self)->refused_held);
}

PyTypeObject *native_make_scope_type(void) {
    static PyMethodDef methods[] = {
        {"enter", enter, METH_NOARGS, "Charges the running context to this scope; returns a token."},
        {"leave", leave, METH_O, "Takes enter() back."},
        {"current", current, METH_NOARGS | METH_STATIC, "The scope of the running context, or None."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef properties[] = {
        {"handle", get_handle, NULL, "The address of its arena's handle.", NULL},
        {"parent", get_parent, NULL, "The scope that pays as well, or None.", NULL},
        {"refusals", get_refusals, NULL, "How many requests got no memory here.", NULL},
        {"refused_bytes", get_refused_bytes, NULL, "The size of the last one of these.", NULL},
        {"refused_held", get_refused_held, NULL, "What was held then.", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "An arena that contexts can be charged to."},
        {Py_tp_new, new},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, properties},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "hakmem._native.Scope",
        .basicsize = sizeof(native_scope),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    variable = PyContextVar_New("hakmem_scope", NULL);
    return variable == NULL ? NULL : (PyTypeObject *)PyType_FromSpec(&spec);
}
