/* lock: an arena's own lock, and the GIL for those who may come without it. See native.h. */
#include "native.h"

#include <unistd.h>

/* A fork copies the lock as it was. Under the GIL alone it is free at that moment, but a thread that has let go of the
 * GIL, or waits for it, may have been inside; it does not exist in the child. */
bool native_lock_slowly(native_arena *arena) {
    pid_t holder = atomic_load_explicit(&arena->holder, memory_order_relaxed);
    if (holder != 0 && holder != getpid()) {
        PyErr_SetString(PyExc_RuntimeError, "another thread was inside of the arena when this process was forked");
        return false;
    }
    Py_BEGIN_ALLOW_THREADS;
    (void)pthread_mutex_lock(&arena->lock);
    atomic_store_explicit(&arena->holder, getpid(), memory_order_relaxed);
    Py_END_ALLOW_THREADS;
    return true;
}

bool native_lock_unraisable(native_arena *arena, PyObject *context) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    bool has_worked = native_lock(arena);
    if (!has_worked)
        PyErr_WriteUnraisable(context);
    PyErr_Restore(type, value, traceback);
    return has_worked;
}

void native_lock_stays(native_arena *arena) {
    atomic_store_explicit(&arena->holder, getpid(), memory_order_relaxed);
}

_Thread_local native_gil_holder native_gil_seen;

/* Where there are subinterpreters, PyGILState_Check says yes to everybody, also to threads without a state. */
bool native_has_gil_slowly(PyThreadState *current) {
    if (current == NULL || PyGILState_Check() == 0)
        return false;
    native_gil_seen = (native_gil_holder){.state = current, .id = current->id};
    return true;
}

bool native_enter(native_arena *arena) {
    if (arena->handle != NULL) {
        if (!native_lock(arena))
            return false;
        if (arena->handle != NULL) {
            native_cache_empty(arena);
            return true;
        }
        native_unlock(arena);
    }
    PyErr_SetString(PyExc_ValueError, "the arena is closed");
    return false;
}
