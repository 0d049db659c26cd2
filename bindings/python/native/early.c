/* early: what happens before the interpreter starts, in a process that `python -m hakmem run` has begun. The variables
 * of the environment by which it was told go back to what they were, so that programs that this one starts are as they
 * would be without hakmem. See memory.h. */
#include "memory.h"

#include "exit.h"

#include <stdlib.h>
#include <string.h>

static bool restore(const char *name) {
    enum { LONGEST = 256 };
    static const char prefix[] = "HAKMEM_PYTHON_WAS_";
    char was[LONGEST];
    if (strlen(name) + sizeof prefix > sizeof was)
        return true;
    strcpy(was, prefix);
    strcat(was, name);
    const char *value = getenv(was);
    bool done = value != NULL ? setenv(name, value, 1) == 0 : unsetenv(name) == 0;
    return unsetenv(was) == 0 && done;
}

/* HAKMEM_PYTHON_CHANGED has the names, separated by commas. False if there is no memory. */
static bool restore_all(void) {
    const char *changed = getenv("HAKMEM_PYTHON_CHANGED");
    char *names = changed != NULL ? strdup(changed) : NULL;
    char *rest = NULL;
    bool done = names != NULL || changed == NULL;
    for (char *name = names != NULL ? strtok_r(names, ",", &rest) : NULL; name != NULL;
         name = strtok_r(NULL, ",", &rest))
        done &= restore(name);
    free(names);
    return done;
}

/* As hakmem._errors has it: all other policies, and what is none, leave misuse to Python. */
static bool leaves_misuse_to_library(void) {
    const char *policy = getenv("HAKMEM_ON_ERROR");
    return policy != NULL && (strcmp(policy, "abort") == 0 || strcmp(policy, "ignore") == 0);
}

const char *hakmem_python_start_early(void) {
    const char *domains = getenv("HAKMEM_PYTHON_DOMAINS");
    if (domains == NULL || !native_install_named(domains))
        return "HAKMEM_PYTHON_DOMAINS names no domains";
    if (!leaves_misuse_to_library())
        native_misuse_start();
    hkm_exit_begin();
    return restore_all() ? NULL : "there is no memory";
}

__attribute__((destructor)) static void end(void) {
    native_misuse_finish();
    hkm_exit_end();
}
