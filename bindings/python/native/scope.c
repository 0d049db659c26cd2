/* scope: arenas that running code can be charged to. scope_context.c says which one that is. See memory.h.
 *
 * State, all under the GIL: which slots' arenas are scopes'.
 *
 * A scope lives as long as a context or anybody else refers to it. Then nobody can be charged to it any more, and its
 * arena is retired: what lives in it stays valid. */
#include "memory.h"

#include "arena.h"

PyTypeObject *native_scope_type;
size_t native_scopes;

static bool is_scopes[HKI_SLOTS_MAX];

static native_scope *as_scope(PyObject *object) {
    return (native_scope *)object;
}

hki_arena *native_scope_arena(uintptr_t granule) {
    uintptr_t owner = atomic_load_explicit(&hki_granule_unit(granule)->owner, memory_order_acquire);
    hki_arena *arena = hki_arena_of_owner(owner);
    return arena != NULL && is_scopes[hki_slot_number(&hki_arena_slots, arena)] ? arena : NULL;
}

void native_scope_own(const hki_arena *arena, bool is_owned) {
    is_scopes[hki_slot_number(&hki_arena_slots, arena)] = is_owned;
}

/* ---- refusals ---- */

size_t native_scope_room(const native_scope *scope) {
    size_t room = HKI_NO_LIMIT;
    for (const hki_quota *quota = &scope->arena->quota; quota != NULL; quota = quota->parent) {
        size_t limit = atomic_load_explicit(&quota->limit_lines, memory_order_relaxed);
        size_t held = atomic_load_explicit(&quota->held_lines, memory_order_relaxed);
        room = hki_min(room, limit > held ? limit - held : 0);
    }
    return room;
}

static hki_arena *arena_of(hki_quota *quota) {
    return (hki_arena *)(void *)((char *)quota - offsetof(hki_arena, quota));
}

void native_scope_note_refusal(native_scope *scope, size_t size) {
    hki_quota *by = hki_quota_that_refused(&scope->arena->quota);
    size_t held_lines = atomic_load_explicit(&by->held_lines, memory_order_relaxed);
    scope->refused_bytes = size;
    scope->refused_by = hk_last_status() == HK_ERR_LIMIT ? arena_of(by) : NULL;
    scope->refused_held = held_lines << HKI_LINE_SHIFT;
}

void *native_scope_refuse(native_scope *scope, size_t size) {
    native_scope_note_refusal(scope, size);
    scope->is_short = true;
    scope->refusals++;
    return NULL;
}

/* ---- life ---- */

static void end_arena(native_scope *scope) {
    native_scope_own(scope->arena, false);
    native_scopes--;
    (void)hk_arena_retire(scope->handle);
    native_scope_end_reserves(scope);
}

/* A parent may end with it, and that one's parent: one after the other, as there may be very many. */
static void dealloc(PyObject *self) {
    native_scope *scope = as_scope(self);
    while (scope != NULL) {
        PyTypeObject *type = Py_TYPE(scope);
        native_scope *parent = scope->parent;
        if (scope->arena != NULL)
            end_arena(scope);
        type->tp_free(scope);
        Py_DECREF(type);
        if (parent != NULL && Py_REFCNT(parent) > 1) {
            Py_DECREF(parent);
            parent = NULL;
        }
        scope = parent;
    }
}

static bool parse(PyObject *arguments, PyObject *keywords, hk_arena_config *config, PyObject **parent) {
    static char *names[] = {"name", "limit", "parent", NULL};
    Py_ssize_t limit;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "snO", names, &config->name, &limit, parent))
        return false;
    if (*parent != Py_None && !Py_IS_TYPE(*parent, native_scope_type)) {
        PyErr_Format(PyExc_TypeError, "the parent is a scope or None, not %R", *parent);
        return false;
    }
    config->limit_bytes = (size_t)limit;
    config->flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config->parent = *parent == Py_None ? hk_arena_default() : as_scope(*parent)->handle;
    return true;
}

/* Sizes and names have been looked at by hakmem._scopes. One without a limit is an account's. */
static PyObject *new (PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    PyObject *parent;
    if (!parse(arguments, keywords, &config, &parent))
        return NULL;
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
    scope->is_account = config.limit_bytes == 0;
    native_scope_own(scope->arena, true);
    native_scopes++;
    return (PyObject *)scope;
}

/* ---- what Python sees ---- */

static PyObject *current(PyObject *type, PyObject *unused) {
    (void)type;
    (void)unused;
    native_look();
    return Py_NewRef(native_seen.scope != NULL ? (PyObject *)native_seen.scope : Py_None);
}

static PyObject *count(PyObject *type, PyObject *unused) {
    (void)type;
    (void)unused;
    return PyLong_FromSize_t(native_scopes);
}

static PyObject *get_handle(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromVoidPtr(as_scope(self)->handle);
}

static PyObject *get_refusals(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(as_scope(self)->refusals);
}

PyTypeObject *native_make_scope_type(void) {
    static PyMethodDef methods[] = {
        {"count", count, METH_NOARGS | METH_STATIC, "How many scopes there are."},
        {"current", current, METH_NOARGS | METH_STATIC, "The scope of the running context, or None."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef properties[] = {
        {"handle", get_handle, NULL, "The address of its arena's handle.", NULL},
        {"refusals", get_refusals, NULL, "How many requests got no memory here.", NULL},
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
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
