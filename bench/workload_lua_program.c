/* workload_lua_program: a Lua program in an interpreter of its own. With hakmem that is hklua, with the others
 * hkbench-lua with the allocator's library preloaded; both lie beside hkbench. The time is what the interpreter took
 * of a processor, from its start to its end: programs here have one thread, and waiting for a processor is nobody's
 * doing. */
#include "lua_memory.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 640, ARGUMENT_BYTES = 24 };

typedef struct command {
    char interpreter[PATH_BYTES];
    char wrapper[PATH_BYTES]; /* with_peak.lua */
    char program[PATH_BYTES];
    char argument[ARGUMENT_BYTES]; /* empty: none */
    const char *preload;           /* NULL: nothing */
} command;

static void compose(const allocator *a, const run_options *options, command *it) {
    char folder[512];
    int is_hakmem = strcmp(a->name, "hakmem") == 0;
    program_directory(folder, sizeof folder);
    snprintf(it->interpreter, sizeof it->interpreter, "%s/%s", folder, is_hakmem ? "hklua" : "hkbench-lua");
    if (access(it->interpreter, X_OK) != 0)
        die(EXIT_UNABLE, "there is no %s", it->interpreter);
    if (strncmp(a->name, "hakmem-", strlen("hakmem-")) == 0)
        die(EXIT_UNABLE, "hklua has no hardened arenas");
    lua_find_program("with_peak", it->wrapper, sizeof it->wrapper);
    lua_find_program(options->script, it->program, sizeof it->program);
    if (options->blocks > 0)
        snprintf(it->argument, sizeof it->argument, "%llu", (unsigned long long)options->blocks);
    it->preload = is_hakmem || strcmp(a->name, "system") == 0 ? NULL : a->path;
}

static _Noreturn void become(const command *it, int output, int errors) {
    /* What hkbench itself may need to load an allocator by dlopen, the interpreter need not. */
    unsetenv("GLIBC_TUNABLES");
    unsetenv("LUA_INIT");
    unsetenv("LUA_INIT_5_4");
    if (it->preload != NULL)
        setenv("LD_PRELOAD", it->preload, 1);
    else
        unsetenv("LD_PRELOAD");
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execl(it->interpreter, it->interpreter, it->wrapper, it->program, it->argument[0] != '\0' ? it->argument : NULL,
          (char *)NULL);
    _exit(127);
}

static int open_memory(const char *name) {
    int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0)
        die(EXIT_FAILED, "cannot make a file in memory");
    return file;
}

/* Closes the file. What does not fit is cut off, and so is the last newline. */
static void read_and_close(int file, char *text, size_t size) {
    ssize_t length = pread(file, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    close(file);
}

static double seconds_of(const struct timeval *time) {
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void run_once(const command *it, run_result *result) {
    int output = open_memory("output");
    int errors = open_memory("errors");
    struct rusage usage;
    int status;
    pid_t child = fork();
    if (child == 0)
        become(it, output, errors);
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        die(EXIT_FAILED, "cannot start %s", it->interpreter);
    char told[512];
    read_and_close(output, result->output, sizeof result->output);
    read_and_close(errors, told, sizeof told);
    char *end = told;
    double peak = strtod(told, &end) * 1024;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || end == told || *end != '\0')
        die(EXIT_FAILED, "%s %s failed: %s", it->interpreter, it->program, told);
    result->seconds += seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
    if (peak > result->peak_resident_bytes)
        result->peak_resident_bytes = peak;
}

void run_lua_program(const allocator *allocator, const run_options *options, run_result *result) {
    command it = {.preload = NULL};
    compose(allocator, options, &it);
    for (uint64_t i = 0; i < options->operations; i++)
        run_once(&it, result);
    result->operations = (double)options->operations;
    snprintf(result->note, sizeof result->note, "%s",
             it.preload != NULL ? "hkbench-lua, preloaded" : strrchr(it.interpreter, '/') + 1);
}
