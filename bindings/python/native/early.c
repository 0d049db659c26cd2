/* early: what happens before the interpreter starts, in a process that `python -m hakmem run` has begun. The variables of
 * the environment by which it was told go back to what they were, so that programs that this one starts are as they
 * would be without hakmem. See memory.h. */
#include "memory.h"

#include "exit.h"

#include <stdlib.h>
#include <string.h>

static void restore(const char *name) {
    enum { LONGEST = 256 };
    static const char prefix[] = "HAKMEM_PYTHON_WAS_";
    char was[LONGEST];
    if (strlen(name) + sizeof prefix > sizeof was)
        return;
    strcpy(was, prefix);
    strcat(was, name);
    const char *value = getenv(was);
    if (value != NULL)
        setenv(name, value, 1);
    else
        unsetenv(name);
    unsetenv(was);
}

/* HAKMEM_PYTHON_CHANGED has the names, separated by commas. */
static bool restore_all(void) {
    const char *changed = getenv("HAKMEM_PYTHON_CHANGED");
    char *names = changed != NULL ? strdup(changed) : NULL;
    char *rest = NULL;
    if (names == NULL)
        return changed == NULL;
    for (char *name = strtok_r(names, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest))
        restore(name);
    free(names);
    return true;
}

const char *hakmem_python_start_early(void) {
    const char *domains = getenv("HAKMEM_PYTHON_DOMAINS");
    if (domains == NULL || !native_install_named(domains))
        return "HAKMEM_PYTHON_DOMAINS names no domains";
    hkm_exit_begin();
    if (!restore_all())
        return "there is no memory";
    return NULL;
}

__attribute__((destructor)) static void end(void) {
    hkm_exit_end();
}
