/* interpreters: whether there are others than the main one, which may have a lock of their own from Python 3.12 on.
 * That is asked at every allocation, so it must be had by two loads.
 *
 * State: where Python keeps its newest interpreter, which is the main one if there are no others; and the main one, as
 * far as it has been seen. */
#include "memory.h"

#include <dlfcn.h>
#include <string.h>

static PyInterpreterState *no_other;
PyInterpreterState *const *native_newest_interpreter = &no_other;
PyInterpreterState *native_main_interpreter;

bool native_is_in_main(void) {
    const PyThreadState *thread = _PyThreadState_UncheckedGet();
    PyInterpreterState *main_interpreter = PyInterpreterState_Main();
    native_main_interpreter = main_interpreter;
    return main_interpreter == NULL || (thread != NULL && thread->interp == main_interpreter);
}

#if PY_VERSION_HEX >= 0x030C0000
/* From now on, all ask for the interpreter of their thread. */
static void expect_others(void) {
    static const char other;
    no_other = (PyInterpreterState *)(uintptr_t)&other;
    native_newest_interpreter = &no_other;
}
#endif

#if PY_VERSION_HEX >= 0x030D0000
/* Not all ways to make an interpreter are audited here. But the runtime begins with offsets for debuggers
 * (Include/internal/pycore_debug_offsets.h): a cookie, version and free_threaded, the runtime's size, `finalizing` and
 * `interpreters.head`. */
static void watch(void) {
    enum { SIZE = 3, HEAD = 5 };
    const uint64_t *runtime = dlsym(RTLD_DEFAULT, "_PyRuntime");
    if (runtime == NULL || memcmp(runtime, "xdebugpy", sizeof *runtime) != 0 || runtime[HEAD] >= runtime[SIZE] ||
        runtime[HEAD] % sizeof(void *) != 0) {
        expect_others();
        return;
    }
    native_newest_interpreter = (PyInterpreterState *const *)(uintptr_t)((const char *)runtime + runtime[HEAD]);
    if (*native_newest_interpreter != PyInterpreterState_Head())
        expect_others();
}
#elif PY_VERSION_HEX >= 0x030C0000
static int on_audit(const char *event, PyObject *arguments, void *unused) {
    (void)arguments;
    (void)unused;
    if (strcmp(event, "cpython.PyInterpreterState_New") == 0 && PyInterpreterState_Main() != NULL)
        expect_others();
    return 0;
}

static void watch(void) {
    if (PyInterpreterState_Head() != PyInterpreterState_Main() || PySys_AddAuditHook(on_audit, NULL) != 0)
        expect_others();
}
#else
static void watch(void) {
} /* all interpreters have one lock */
#endif

void native_watch_interpreters(void) {
    no_other = native_main_interpreter = PyInterpreterState_Main();
    watch();
}
