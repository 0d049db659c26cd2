/* Policies, seen from outside: what a process that misuses hakmem writes, and whether it lives on. */
#include "misuse_test.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef struct outcome {
    int status; /* as of waitpid */
    char out[1024], errors[32 * KIB];
    const char *pointer; /* as the victim wrote it */
    const char *rest;    /* of what it wrote to standard output */
} outcome;

static void read_all(int from, char *text, size_t size) {
    size_t length = 0;
    ssize_t more;
    while ((more = read(from, text + length, size - 1 - length)) > 0)
        length += (size_t)more;
    text[length] = '\0';
    close(from);
}

static void set_environment(const char *on_error) {
    if (on_error == NULL)
        cr_assert_eq(unsetenv("HAKMEM_ON_ERROR"), 0);
    else
        cr_assert_eq(setenv("HAKMEM_ON_ERROR", on_error, 1), 0);
}

static pid_t spawn(const char *policy, const char *misuse, const int out[2], const int errors[2]) {
    char program[] = MISUSE_VICTIM, arguments[2][32];
    char *const argv[] = {program, arguments[0], arguments[1], NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    snprintf(arguments[0], sizeof arguments[0], "%s", policy);
    snprintf(arguments[1], sizeof arguments[1], "%s", misuse);
    cr_assert_eq(posix_spawn_file_actions_init(&actions), 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
    for (int i = 0; i < 2; i++) {
        posix_spawn_file_actions_addclose(&actions, out[i]);
        posix_spawn_file_actions_addclose(&actions, errors[i]);
    }
    cr_assert_eq(posix_spawn(&child, program, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Runs the victim with HAKMEM_ON_ERROR (NULL: not set) and a policy that it sets itself ("-": none). What it writes fits
 * into a pipe. */
static const outcome *run(const char *on_error, const char *policy, const char *misuse) {
    static outcome seen_outside;
    int out[2], errors[2];
    cr_assert(pipe(out) == 0 && pipe(errors) == 0);
    set_environment(on_error);
    pid_t child = spawn(policy, misuse, out, errors);
    close(out[1]);
    close(errors[1]);
    cr_assert_eq(waitpid(child, &seen_outside.status, 0), child);
    read_all(out[0], seen_outside.out, sizeof seen_outside.out);
    read_all(errors[0], seen_outside.errors, sizeof seen_outside.errors);
    char *end = strchr(seen_outside.out, '\n');
    cr_assert_not_null(end, "%s", seen_outside.errors);
    *end = '\0';
    seen_outside.pointer = strcmp(seen_outside.out, "(nil)") == 0 ? "0x0" : seen_outside.out;
    seen_outside.rest = end + 1;
    return &seen_outside;
}

/* ---- what is expected ---- */

static const struct misuse_case {
    const char *name;
    hk_status status;
    const char *function;
    const char *about; /* what the line says of the block; %s is the process heap's arena */
} cases[] = {
    {"double_free", HK_ERR_DOUBLE_FREE, "hk_free", "; block of 64 bytes in arena \"%s\""},
    {"foreign", HK_ERR_FOREIGN_POINTER, "hk_realloc", ""},
    {"interior", HK_ERR_INTERIOR_POINTER, "hk_usable_size", "; block of 64 bytes in arena \"%s\""},
    {"wrong_arena", HK_ERR_WRONG_ARENA, "hk_free", "; block of 64 bytes in arena \"victim's\""},
    {"wrong_size", HK_ERR_SIZE_MISMATCH, "hk_arena_free_sized",
     "; block of 64 bytes in arena \"victim's\", given size 5000"},
    {"bad_arena", HK_ERR_BAD_ARENA, "hk_arena_alloc", ""},
};

/* The one line. */
static const char *line_of(const struct misuse_case *misuse, const char *pointer) {
    static char line[512];
    int length = snprintf(line, sizeof line, "hakmem: %s in %s(%s): %s", hk_status_name(misuse->status),
                          misuse->function, pointer, hk_status_message(misuse->status));
    const char *name = strstr(misuse->about, "%s");
    int before = name != NULL ? (int)(name - misuse->about) : (int)strlen(misuse->about);
    length += snprintf(line + length, sizeof line - (size_t)length, "%.*s", before, misuse->about);
    if (name != NULL)
        length +=
            snprintf(line + length, sizeof line - (size_t)length, "%s%s", hk_arena_name(hk_arena_default()), name + 2);
    snprintf(line + length, sizeof line - (size_t)length, "\n");
    return line;
}

static void assert_aborted(const outcome *of) {
    cr_assert(WIFSIGNALED(of->status) && WTERMSIG(of->status) == SIGABRT, "status %x", (unsigned)of->status);
    cr_assert_str_eq(of->rest, "");
}

static void assert_went_on(const outcome *of, hk_status status) {
    char rest[64];
    snprintf(rest, sizeof rest, "went on: %s, unharmed\n", hk_status_name(status));
    cr_assert(WIFEXITED(of->status) && WEXITSTATUS(of->status) == 0, "status %x", (unsigned)of->status);
    cr_assert_str_eq(of->rest, rest);
}

/* ---- the policies ---- */

static void each_case_aborts(const char *on_error, const char *policy) {
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        const outcome *of = run(on_error, policy, cases[i].name);
        assert_aborted(of);
        cr_assert_str_eq(of->errors, line_of(&cases[i], of->pointer));
    }
}

static void each_case_is_reported(const char *on_error, const char *policy) {
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        const outcome *of = run(on_error, policy, cases[i].name);
        assert_went_on(of, cases[i].status);
        cr_assert_str_eq(of->errors, line_of(&cases[i], of->pointer));
    }
}

static void each_case_is_ignored(const char *on_error, const char *policy) {
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        const outcome *of = run(on_error, policy, cases[i].name);
        assert_went_on(of, cases[i].status);
        cr_assert_str_eq(of->errors, "");
    }
}

Test(policy, abort_is_the_default) {
    each_case_aborts(NULL, "-");
    each_case_aborts("", "-");
}

Test(policy, abort_on_request) {
    each_case_aborts("abort", "-");
    each_case_aborts(NULL, "abort");
}

Test(policy, report) {
    each_case_is_reported("report", "-");
    each_case_is_reported(NULL, "report");
}

Test(policy, ignore) {
    each_case_is_ignored("ignore", "-");
    each_case_is_ignored(NULL, "ignore");
}

/* The environment sets the first value only. */
Test(policy, a_call_outdoes_the_environment) {
    each_case_aborts("ignore", "abort");
    each_case_aborts("report", "abort");
    each_case_is_reported("abort", "report");
    each_case_is_reported("ignore", "report");
    each_case_is_ignored("abort", "ignore");
    each_case_is_ignored("report", "ignore");
}

Test(policy, every_misuse_gets_its_line) {
    const outcome *of = run("report", "-", "twice");
    char lines[1024];
    const char *line = line_of(&cases[0], of->pointer);
    snprintf(lines, sizeof lines, "%s%s", line, line);
    cr_assert_str_eq(of->errors, lines);
    of = run("abort", "-", "twice");
    assert_aborted(of);
    cr_assert_str_eq(of->errors, line_of(&cases[0], of->pointer));
}

Test(policy, nothing_is_written_without_misuse) {
    static const char *const values[] = {NULL, "", "abort", "report", "ignore"};
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        const outcome *of = run(values[i], "-", "no_misuse");
        assert_went_on(of, HK_OK);
        cr_assert_str_eq(of->errors, "");
    }
}

/* ---- HAKMEM_ON_ERROR with a value that is none ---- */

static void assert_one_clear_line(const char *errors, const char *value) {
    static const char *const needed[] = {"HAKMEM_ON_ERROR", "abort", "report", "ignore"};
    cr_assert_eq(strncmp(errors, "hakmem: ", strlen("hakmem: ")), 0, "%s", errors);
    cr_assert_eq(strchr(errors, '\n'), errors + strlen(errors) - 1, "%s", errors);
    for (size_t i = 0; i < LENGTH_OF(needed); i++)
        cr_assert_not_null(strstr(errors, needed[i]), "%s", errors);
    cr_assert_not_null(strstr(errors, value), "%s", errors);
}

Test(environment, an_invalid_value_gets_a_clear_line) {
    static const char *const values[] = {"Report", "ignore ", " abort", "1", "0", "report,ignore", "reports", "abor"};
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        const outcome *of = run(values[i], "-", "no_misuse");
        assert_went_on(of, HK_OK);
        assert_one_clear_line(of->errors, values[i]);
    }
}

Test(environment, an_invalid_value_leaves_the_default) {
    const outcome *of = run("Report", "-", "double_free");
    assert_aborted(of);
    const char *second = strchr(of->errors, '\n');
    cr_assert_not_null(second);
    cr_assert_str_eq(second + 1, line_of(&cases[0], of->pointer));
}

Test(environment, an_endless_value_gets_a_line_too) {
    static char value[20000];
    memset(value, 'x', sizeof value - 1);
    const outcome *of = run(value, "-", "no_misuse");
    assert_went_on(of, HK_OK);
    cr_assert_eq(strncmp(of->errors, "hakmem: HAKMEM_ON_ERROR", strlen("hakmem: HAKMEM_ON_ERROR")), 0);
    cr_assert_eq(strchr(of->errors, '\n'), of->errors + strlen(of->errors) - 1);
    cr_assert_lt(strlen(of->errors), 1024);
}
