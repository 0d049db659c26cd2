/* misuse: from the library's reports to Python's exceptions.
 *
 * The library calls the handler in the middle of a free or an allocation, on any thread, with or without the GIL. So the
 * handler calls nothing of Python's: it fills in the record that the function which called the library has put up for
 * its thread. When the library has returned, that function hands the record to hakmem._errors. */
#include "native.h"

#include <stdio.h>
#include <string.h>

_Thread_local native_misuse *native_misuse_here;

static void keep(const hk_error_info *info, void *unused) {
    native_misuse *here = native_misuse_here;
    (void)unused;
    if (here == NULL) {
        fprintf(stderr, "hakmem: %s in %s(%p): %s\n", hk_status_name(info->status), info->function, info->pointer,
                hk_status_message(info->status));
        return;
    }
    if (here->status != HK_OK)
        return;
    *here = (native_misuse){
        .status = info->status,
        .function = info->function,
        .pointer = info->pointer,
        .block_size = info->block_size,
    };
    if (info->arena_name != NULL)
        (void)snprintf(here->arena_name, sizeof here->arena_name, "%s", info->arena_name);
}

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

PyObject *native_catch_misuse(PyObject *module, PyObject *catches) {
    int truth = PyObject_IsTrue(catches);
    (void)module;
    if (truth < 0)
        return NULL;
    hk_set_error_handler(truth ? keep : NULL, NULL);
    Py_RETURN_NONE;
}
