/* misuse: from the library's reports to Python's exceptions.
 *
 * The library calls the handler in the middle of a free or an allocation, on any thread, with or without the GIL. So
 * the handler calls nothing of Python's that allocates: it fills in the record that the function which called the
 * library has put up for its thread. When the library has returned, that function hands the record to hakmem._errors.
 *
 * Where there is no such function, it was CPython itself that called the library. Then the record waits for the main
 * thread, which surfaces it as soon as it runs Python code; where that will not be, it becomes a line on standard
 * error. It waits in `waiting`: any thread moves a slot from EMPTY by FILLING to FULL, and whoever takes it, under the
 * GIL or at the very end, from FULL by FILLING to EMPTY.
 */
#include "memory.h"

#include "report.h"

#include <stdio.h>
#include <string.h>

_Thread_local native_misuse *native_misuse_here;

enum { WAITING_MAX = 16 };

typedef enum slot_state { EMPTY, FILLING, FULL } slot_state;

static struct {
    _Atomic slot_state state;
    native_misuse misuse;
} waiting[WAITING_MAX];

/* Acquire and release pair with each other: the record belongs to whoever has made it FILLING. */
static bool seize(size_t slot, slot_state from) {
    return atomic_compare_exchange_strong_explicit(&waiting[slot].state, &from, FILLING, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void let_go(size_t slot, slot_state to) {
    atomic_store_explicit(&waiting[slot].state, to, memory_order_release);
}

static void write_line(const native_misuse *misuse) {
    hki_text text = {0};
    hki_text_add(&text, hk_status_name(misuse->status));
    hki_text_add(&text, " in ");
    hki_text_add(&text, misuse->function);
    hki_text_add(&text, "(");
    hki_text_add_address(&text, misuse->pointer);
    hki_text_add(&text, "): ");
    hki_text_add(&text, hk_status_message(misuse->status));
    hki_text_write(&text);
}

/* ---- in the middle of an allocation or a free ---- */

static void record(native_misuse *misuse, const hk_error_info *info) {
    *misuse = (native_misuse){
        .status = info->status,
        .function = info->function,
        .pointer = info->pointer,
        .block_size = info->block_size,
    };
    if (info->arena_name != NULL)
        (void)snprintf(misuse->arena_name, sizeof misuse->arena_name, "%s", info->arena_name);
}

/* Whether the main interpreter lives, and is not kept waiting by another one that its main thread runs. */
static bool will_run_python(void) {
    const PyThreadState *thread = Py_IsInitialized() != 0 ? _PyThreadState_UncheckedGet() : NULL;
    return Py_IsInitialized() != 0 && (thread == NULL || thread->interp == PyInterpreterState_Main());
}

static int surface_waiting(void *unused);

static bool wait(const hk_error_info *info) {
    size_t slot = 0;
    if (!will_run_python())
        return false;
    while (slot < WAITING_MAX && !seize(slot, EMPTY))
        slot++;
    if (slot == WAITING_MAX)
        return false;
    record(&waiting[slot].misuse, info);
    let_go(slot, FULL);
    if (Py_AddPendingCall(surface_waiting, NULL) == 0 || !seize(slot, FULL))
        return true;
    let_go(slot, EMPTY); /* too many calls are pending, and nobody has come for this one meanwhile */
    return false;
}

static void keep(const hk_error_info *info, void *unused) {
    native_misuse *here = native_misuse_here;
    (void)unused;
    if (here != NULL) {
        if (here->status == HK_OK)
            record(here, info);
    } else if (!wait(info)) {
        native_misuse misuse;
        record(&misuse, info);
        write_line(&misuse);
    }
}

void native_misuse_start(void) {
    hk_set_error_handler(keep, NULL);
}

/* ---- afterwards ---- */

int native_surface(const native_misuse *misuse) {
    PyObject *errors = PyImport_ImportModule("hakmem._errors");
    if (errors == NULL)
        return -1;
    PyObject *result = PyObject_CallMethod(errors, "surface", "sssKns", hk_status_name(misuse->status),
                                           hk_status_message(misuse->status), misuse->function,
                                           (unsigned long long)(uintptr_t)misuse->pointer,
                                           (Py_ssize_t)misuse->block_size, misuse->arena_name);
    Py_DECREF(errors);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

void native_surface_unraisable(const native_misuse *misuse, PyObject *context) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (native_surface(misuse) != 0)
        PyErr_WriteUnraisable(context);
    PyErr_Restore(type, value, traceback);
}

/* In the main thread, under the GIL. A program need not be able to import the package: then the line must do. */
static int surface_waiting(void *unused) {
    PyObject *type, *value, *traceback;
    (void)unused;
    for (size_t slot = 0; slot < WAITING_MAX; slot++) {
        if (!seize(slot, FULL))
            continue;
        native_misuse misuse = waiting[slot].misuse;
        let_go(slot, EMPTY);
        PyErr_Fetch(&type, &value, &traceback);
        PyObject *errors = PyImport_ImportModule("hakmem._errors");
        PyObject *where = errors == NULL ? NULL : PyUnicode_FromString("memory of CPython's own");
        PyErr_Restore(type, value, traceback);
        if (where != NULL)
            native_surface_unraisable(&misuse, where);
        else
            write_line(&misuse);
        Py_XDECREF(where);
        Py_XDECREF(errors);
    }
    return 0;
}

void native_misuse_finish(void) {
    for (size_t slot = 0; slot < WAITING_MAX; slot++) {
        if (!seize(slot, FULL))
            continue;
        write_line(&waiting[slot].misuse);
        let_go(slot, EMPTY);
    }
}

PyObject *native_catch_misuse(PyObject *module, PyObject *catches) {
    int truth = PyObject_IsTrue(catches);
    (void)module;
    if (truth < 0)
        return NULL;
    hk_set_error_handler(truth ? keep : NULL, NULL);
    Py_RETURN_NONE;
}
