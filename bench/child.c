/* child: see child.h. A child that hangs is ended by its own alarm. */
#include "child.h"

#include "support.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 24, SECONDS_MAX = 300, JSON_BYTES_MAX = 4096, ERROR_BYTES_MAX = 2048 };

static _Noreturn void become_child(const char *const *arguments, int output, int errors) {
    char program[] = "hkbench";
    char command[] = "run";
    char json[] = "--json";
    char *argv[ARGUMENTS_MAX + 4] = {program, command, json};
    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++)
        argv[i + 3] = strdup(arguments[i]);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    alarm(SECONDS_MAX);
    execv("/proc/self/exe", argv);
    _exit(127);
}

static size_t read_all(int file, char *text, size_t size) {
    size_t length = 0;
    while (length < size - 1) {
        ssize_t count = read(file, text + length, size - 1 - length);
        if (count <= 0 && errno != EINTR)
            break;
        if (count > 0)
            length += (size_t)count;
        else if (count == 0)
            break;
    }
    text[length] = '\0';
    return length;
}

static int wait_status(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void copy_text(char *to, size_t size, const cJSON *object, const char *key) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    snprintf(to, size, "%s", text == NULL ? "" : text);
}

static double number_of(const cJSON *object, const char *key) {
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void read_figures(const cJSON *figures, child_result *result) {
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, figures) {
        if (result->figures == FIGURES_MAX)
            return;
        figure *f = &result->figure[result->figures++];
        snprintf(f->name, sizeof f->name, "%s", item->string);
        f->value = cJSON_GetNumberValue(item);
    }
}

static void read_report(const char *text, child_result *result) {
    cJSON *json = cJSON_Parse(text);
    if (json == NULL) {
        result->exit_status = EXIT_FAILED;
        snprintf(result->message, sizeof result->message, "its report is not JSON");
        return;
    }
    result->operations_per_second = number_of(json, "operations_per_second");
    result->peak_resident_bytes = number_of(json, "peak_resident_bytes");
    copy_text(result->version, sizeof result->version, json, "version");
    copy_text(result->output, sizeof result->output, json, "output");
    read_figures(cJSON_GetObjectItemCaseSensitive(json, "figures"), result);
    cJSON_Delete(json);
}

static void keep_message(const char *errors, child_result *result) {
    const char own[] = "hkbench: ";
    const char *line = errors + strspn(errors, "\n");
    for (const char *at = line; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, own, strlen(own)) == 0) {
            line = at;
            break;
        }
    }
    snprintf(result->message, sizeof result->message, "%.*s", (int)strcspn(line, "\n"), line);
}

void run_child(const char *const *arguments, child_result *result) {
    int pipe_ends[2];
    int errors = memfd_create("hkbench-errors", MFD_CLOEXEC);
    if (errors < 0 || pipe2(pipe_ends, O_CLOEXEC) != 0)
        die(EXIT_FAILED, "cannot make a pipe: %s", strerror(errno));
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die(EXIT_FAILED, "cannot start a process: %s", strerror(errno));
    if (child == 0)
        become_child(arguments, pipe_ends[1], errors);
    close(pipe_ends[1]);
    char text[JSON_BYTES_MAX];
    char text_of_errors[ERROR_BYTES_MAX];
    read_all(pipe_ends[0], text, sizeof text);
    close(pipe_ends[0]);
    *result = (child_result){.exit_status = wait_status(child)};
    lseek(errors, 0, SEEK_SET);
    read_all(errors, text_of_errors, sizeof text_of_errors);
    close(errors);
    keep_message(text_of_errors, result);
    if (result->exit_status == 0)
        read_report(text, result);
}
