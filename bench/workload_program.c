/* workload_program: a real program with the allocator preloaded. A script of bench/programs, named NAME.sh, is called
 * twice in a new folder that is removed afterwards: `prepare SIZE` makes what the program works on, untimed and without
 * preloading; `run SIZE` puts HKBENCH_PRELOAD into LD_PRELOAD and becomes the program. SIZE is left out for the script's
 * own. Exit status 3 of `prepare` says that the program is not on this machine. What `run` prints must be the same with
 * every allocator, but for a line "rate N": so many operations in a second. Without it, one run is one operation.
 *
 * Programs come from the system's folders, whatever PATH says: wrappers of version managers would be measured too. The
 * script's processes are a group, which does not outlive the run, nor this process if that is told to end. */
#include "preload.h"
#include "support.h"
#include "workloads.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 640, TEXT_BYTES = 1024, OPEN_FOLDERS = 16, RANDOM_LETTERS = 6 };

typedef struct program {
    const char *name;
    char script[PATH_BYTES];
    char scripts[PATH_BYTES]; /* the folder of all */
    char folder[PATH_BYTES];  /* to work in */
    char size[32];            /* empty: the script's own */
} program;

typedef struct script_run {
    double seconds;
    int status;
    struct rusage usage; /* of all processes */
    char output[TEXT_BYTES];
    char errors[TEXT_BYTES];
} script_run;

static volatile sig_atomic_t ended_by; /* a signal, or 0 */
static volatile sig_atomic_t group;    /* of the script that runs, or 0 */

static void end_group(int signal_number) {
    ended_by = signal_number;
    if (group > 0)
        kill(-(pid_t)group, SIGKILL);
}

/* ---- files ---- */

/* Looks where an installed hkbench keeps its scripts, then in the source tree that this one was built from. */
static void find_script(program *p) {
    expand_path("@/../share/hakmem/bench/programs", p->scripts, sizeof p->scripts);
    if (access(p->scripts, R_OK) != 0)
        expand_path(HKBENCH_PROGRAMS_DIR, p->scripts, sizeof p->scripts);
    const int length = snprintf(p->script, sizeof p->script, "%s/%s.sh", p->scripts, p->name);
    if (length < 0 || (size_t)length >= sizeof p->script || strchr(p->name, '/') != NULL ||
        access(p->script, R_OK) != 0)
        die(EXIT_USAGE, "there is no program '%s': no script of that name in %s", p->name, p->scripts);
}

static void make_folder(program *p) {
    const char *parent = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%s/hkbench-", parent == NULL || *parent == '\0' ? P_tmpdir : parent);
    const size_t length = strlen(p->folder);
    if (length + RANDOM_LETTERS >= sizeof p->folder)
        die(EXIT_FAILED, "TMPDIR is too long: %s", parent);
    memset(p->folder + length, 'X', RANDOM_LETTERS); /* what mkdtemp replaces */
    if (mkdtemp(p->folder) == NULL)
        die(EXIT_FAILED, "cannot make the folder %s: %s", p->folder, strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

static void remove_folder(const program *p) {
    nftw(p->folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static int memory_file(void) {
    const int file = memfd_create("hkbench-program", MFD_CLOEXEC);
    if (file < 0)
        die(EXIT_FAILED, "cannot make a file in memory: %s", strerror(errno));
    return file;
}

/* Reads its beginning, and closes it. */
static void read_file(int file, char text[TEXT_BYTES]) {
    const ssize_t length = pread(file, text, TEXT_BYTES - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    close(file);
}

/* ---- processes ---- */

static void set_environment(const program *p) {
    char folders[256] = "";
    confstr(_CS_PATH, folders, sizeof folders);
    if (setenv("PATH", folders, 1) != 0 || setenv("LC_ALL", "C", 1) != 0 || setenv("HOME", p->folder, 1) != 0 ||
        setenv("HKBENCH_PROGRAMS", p->scripts, 1) != 0 || setenv("HKBENCH_PRELOAD", preloaded_library(), 1) != 0 ||
        unsetenv("LD_PRELOAD") != 0)
        _exit(127);
}

static _Noreturn void become_script(const program *p, const char *step, int output, int errors) {
    setpgid(0, 0);
    set_environment(p);
    if (chdir(p->folder) != 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        _exit(127);
    execl("/bin/sh", "sh", p->script, step, p->size[0] == '\0' ? NULL : p->size, NULL);
    _exit(127);
}

/* Never returns if a signal has asked this process to end meanwhile. */
static void run_script(const program *p, const char *step, script_run *run) {
    const int output = memory_file();
    const int errors = memory_file();
    const double start = seconds_now();
    const pid_t child = fork();
    if (child < 0)
        die(EXIT_FAILED, "cannot start a process: %s", strerror(errno));
    if (child == 0)
        become_script(p, step, output, errors);
    setpgid(child, child); /* as the child itself does; whoever is first */
    group = child;
    if (ended_by != 0)
        end_group(ended_by);
    siginfo_t info;
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    run->seconds = seconds_now() - start;
    kill(-child, SIGKILL); /* what the script has left running; the group's number is taken as long as the child is */
    wait4(child, &run->status, 0, &run->usage);
    group = 0;
    read_file(output, run->output);
    read_file(errors, run->errors);
    if (ended_by != 0) {
        remove_folder(p);
        signal(ended_by, SIG_DFL);
        raise(ended_by);
    }
}

static void catch_signals(void) {
    static const int signals[] = {SIGALRM, SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = end_group};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

/* Ends this process unless the script went well. */
static void check(const program *p, const char *step, script_run *run) {
    if (WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0)
        return;
    run->errors[strcspn(run->errors, "\n")] = '\0';
    remove_folder(p);
    if (WIFSIGNALED(run->status))
        die(EXIT_FAILED, "program %s, %s: ended by signal %d: %s", p->name, step, WTERMSIG(run->status), run->errors);
    if (strcmp(step, "prepare") == 0 && WEXITSTATUS(run->status) == EXIT_UNABLE)
        die(EXIT_UNABLE, "%s", run->errors);
    die(EXIT_FAILED, "program %s, %s: exit status %d: %s", p->name, step, WEXITSTATUS(run->status), run->errors);
}

/* ---- the figures ---- */

/* All lines but the one with the rate go to the result. Returns the rate; 0 if there is none. */
static double take_output(char *text, run_result *result) {
    double rate = 0;
    size_t used = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "rate ", 5) == 0)
            rate = strtod(line + 5, NULL);
        else if (used < sizeof result->output)
            used += (size_t)snprintf(result->output + used, sizeof result->output - used, "%s%s", used > 0 ? "\n" : "",
                                     line);
    }
    return rate;
}

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static void take_figures(script_run *run, run_result *result) {
    const double rate = take_output(run->output, result);
    result->seconds = run->seconds;
    result->operations = rate > 0 ? rate * run->seconds : 1;
    result->peak_resident_bytes = (double)run->usage.ru_maxrss * 1024;
    add_figure(result, "cpu_seconds", seconds_of(run->usage.ru_utime) + seconds_of(run->usage.ru_stime));
}

void run_program(const allocator *allocator, const run_options *options, run_result *result) {
    program p = {.name = options->script};
    script_run run = {0};
    (void)allocator; /* preloaded */
    find_script(&p);
    if (options->blocks > 0)
        snprintf(p.size, sizeof p.size, "%llu", (unsigned long long)options->blocks);
    catch_signals();
    make_folder(&p);
    run_script(&p, "prepare", &run);
    check(&p, "prepare", &run);
    run_script(&p, "run", &run);
    check(&p, "run", &run);
    take_figures(&run, result);
    remove_folder(&p);
}
