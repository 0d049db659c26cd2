/* early: preloaded into a Python process by `python -m hakmem run`, before its interpreter starts. It loads the
 * package's extension module, whose path is in HAKMEM_PYTHON_NATIVE, and lets it install itself. In other processes,
 * such as a shell script that starts the interpreter, it does nothing, so they hand it on. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_OF_OURS = 125 };

static _Noreturn void die(const char *why) {
    fprintf(stderr, "python -m hakmem run: %s\n", why);
    _exit(EXIT_OF_OURS);
}

__attribute__((constructor)) static void load(void) {
    const char *native = getenv("HAKMEM_PYTHON_NATIVE");
    if (native == NULL || dlsym(RTLD_DEFAULT, "PyMem_SetAllocator") == NULL)
        return;
    void *library = dlopen(native, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        die(dlerror());
    union {
        void *symbol;
        const char *(*start)(void); /* what was wrong, or NULL */
    } found = {dlsym(library, "hakmem_python_start_early")};
    const char *wrong = found.symbol != NULL ? found.start() : "the extension module is of another version";
    if (wrong != NULL)
        die(wrong);
}
