/* hakmem_run: starts a program with libhakmem-malloc.so preloaded. It sets LD_PRELOAD and the HAKMEM_* variables that
 * its options stand for, and becomes the program: standard streams, exit code and process number are the program's.
 * Programs that this one starts inherit all of it. */
#include "exit.h"
#include "options.h"
#include "tables.h"

#include <argp.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As of the shell and env(1). */
enum { EXIT_OF_OURS = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

enum { KEY_STATS = 256, KEY_LIMIT, KEY_ON_ERROR, KEY_HEAP_MAP, KEY_STATS_SIGNAL };

static const struct argp_option options[] = {
    {"limit", KEY_LIMIT, "SIZE", 0,
     "let the process heap hold at most SIZE: bytes, or with K, M, G or T behind; what does "
     "not fit gets NULL and ENOMEM",
     0},
    {"stats", KEY_STATS, "json", OPTION_ARG_OPTIONAL, "at exit, print on standard error what the process heap holds",
     0},
    {"heap-map", KEY_HEAP_MAP, "FILE", 0,
     "at exit, write a picture of the process heap into FILE, as SVG; %p in FILE "
     "stands for the process's number",
     0},
    {"on-error", KEY_ON_ERROR, "POLICY", 0, "what misuse of memory leads to: abort, report or ignore", 0},
    {"stats-signal", KEY_STATS_SIGNAL, "NAME", 0, "print figures whenever the signal comes: USR1, USR2, HUP or QUIT",
     0},
    {0},
};

const char *argp_program_version = "hakmem-run " HK_VERSION_STRING;

static void set(struct argp_state *state, const char *name, const char *value) {
    if (setenv(name, value, 1) != 0)
        argp_failure(state, EXIT_OF_OURS, errno, "cannot set %s", name);
}

static void expect_word(struct argp_state *state, const char *option, const char *value, const char *const *words) {
    for (const char *const *word = words; *word != NULL; word++)
        if (strcmp(value, *word) == 0)
            return;
    char list[128] = "";
    for (const char *const *word = words; *word != NULL; word++) {
        strcat(list, " ");
        strcat(list, *word);
    }
    argp_error(state, "--%s: '%s' is none of:%s", option, value, list);
}

static void set_limit(struct argp_state *state, const char *text) {
    size_t bytes;
    if (!hki_parse_size(text, &bytes))
        argp_error(state, "--limit: '%s' is no " HKI_SIZE_EXPECTED, text);
    set(state, "HAKMEM_LIMIT", text);
}

static error_t parse(int key, char *value, struct argp_state *state) {
    static const char *const formats[] = {"json", NULL};
#define WORD(constant, word) word,
    static const char *const policies[] = {HKI_POLICIES(WORD) NULL};
#undef WORD
#define WORD(word, number) word,
    static const char *const signals[] = {HKM_SIGNALS(WORD) NULL};
#undef WORD
    switch (key) {
    case KEY_LIMIT:
        set_limit(state, value);
        return 0;
    case KEY_STATS:
        if (value != NULL)
            expect_word(state, "stats", value, formats);
        set(state, "HAKMEM_STATS", value != NULL ? value : "1");
        return 0;
    case KEY_HEAP_MAP:
        if (*value == '\0')
            argp_error(state, "--heap-map needs the name of a file");
        set(state, "HAKMEM_HEAP_MAP", value);
        return 0;
    case KEY_ON_ERROR:
        expect_word(state, "on-error", value, policies);
        set(state, "HAKMEM_ON_ERROR", value);
        return 0;
    case KEY_STATS_SIGNAL:
        expect_word(state, "stats-signal", value, signals);
        set(state, "HAKMEM_STATS_SIGNAL", value);
        return 0;
    case ARGP_KEY_ARG:
        *(char ***)state->input = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which program is to run?");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static _Noreturn __attribute__((format(printf, 2, 3))) void die(int exit_code, const char *format, ...) {
    va_list arguments;
    fputs("hakmem-run: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(exit_code);
}

/* ---- the library ---- */

/* Beside this program: in the build tree, or where both have been installed. */
static void find_library(char path[PATH_MAX]) {
    static const char *const places[] = {HAKMEM_RUN_LIBRARY_PLACES};
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length < 0)
        die(EXIT_OF_OURS, "cannot read /proc/self/exe: %s", strerror(errno));
    folder[length] = '\0';
    *strrchr(folder, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char candidate[2 * PATH_MAX];
        snprintf(candidate, sizeof candidate, "%s/%s/libhakmem-malloc.so", folder, places[i]);
        if (realpath(candidate, path) != NULL)
            return;
    }
    die(EXIT_OF_OURS, "there is no libhakmem-malloc.so in %s/%s", folder, places[0]);
}

static void preload(void) {
    char library[PATH_MAX];
    find_library(library);
    if (strpbrk(library, ": ") != NULL)
        die(EXIT_OF_OURS, "LD_PRELOAD cannot hold the path '%s': it has a space or a colon in it", library);
    const char *others = getenv("LD_PRELOAD");
    char *value = NULL;
    if (asprintf(&value, others != NULL && *others != '\0' ? "%s:%s" : "%s", library, others) < 0 ||
        setenv("LD_PRELOAD", value, 1) != 0)
        die(EXIT_OF_OURS, "cannot set LD_PRELOAD: %s", strerror(errno));
    free(value);
}

/* ---- the program ---- */

/* Where the shell would find it; false if nowhere. */
static bool find_program(const char *name, char path[PATH_MAX]) {
    if (strchr(name, '/') != NULL)
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    const char *folders = getenv("PATH");
    for (const char *at = folders != NULL ? folders : "/bin:/usr/bin"; *at != '\0';) {
        size_t length = strcspn(at, ":");
        int written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
        if (length > 0 && written < PATH_MAX && access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

/* Whether it is an ELF program of this machine's word size that no dynamic linker loads, so that nothing is
 * preloaded. */
static bool is_static(int file) {
    Elf64_Ehdr header;
    if (pread(file, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr part;
        off_t at = (off_t)(header.e_phoff + (size_t)i * header.e_phentsize);
        if (pread(file, &part, sizeof part, at) != (ssize_t)sizeof part || part.p_type == PT_INTERP)
            return false;
    }
    return true;
}

/* Says when the program will run without hakmem. */
static void warn_if_in_vain(const char *name) {
    char path[PATH_MAX];
    struct stat status;
    int file = find_program(name, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    if (is_static(file))
        fprintf(stderr, "hakmem-run: %s is linked statically, so it runs without hakmem\n", path);
    else if (fstat(file, &status) == 0 && (status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
        fprintf(stderr, "hakmem-run: %s runs with another user's rights, so it may run without hakmem\n", path);
    close(file);
}

int main(int argc, char **argv) {
    static const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "PROGRAM [ARGUMENT...]",
        .doc =
            "Runs a program with hakmem as its malloc.\vThe exit code is the program's; 125 if hakmem-run fails, 126 "
            "and 127 if PROGRAM cannot be run or found.",
    };
    char **command = NULL;
    argp_err_exit_status = EXIT_OF_OURS;
    argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &command);
    warn_if_in_vain(command[0]);
    preload();
    execvp(command[0], command);
    die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, "cannot run '%s': %s", command[0], strerror(errno));
}
