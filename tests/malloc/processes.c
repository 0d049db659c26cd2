/* vfork, posix_spawn, system, popen, and clone in the ways that programs use it. */
#include "malloc_test.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { TIMES = 200 };

static void require_exit(pid_t child, int exit_code) {
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == exit_code);
}

/* The child is in the parent's memory until it execs: what it allocates and frees, the parent goes on with. */
static void by_vfork(void) {
    void *block = malloc(100);
    void *volatile made = NULL;
    pid_t child = vfork();
    if (child == 0) {
        free(block);
        made = malloc(3000);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    require_exit(child, 0);
    REQUIRE(is_on_hakmem(made));
    free(made);
}

static void by_spawn(void) {
    pid_t child;
    char *arguments[] = {"sh", "-c", "exit 3", NULL};
    REQUIRE(posix_spawnp(&child, "sh", NULL, NULL, arguments, environ) == 0);
    require_exit(child, 3);
}

static void by_popen(void) {
    char line[16] = "";
    FILE *pipe = popen("echo text", "r");
    REQUIRE(pipe != NULL && fgets(line, sizeof line, pipe) != NULL && strcmp(line, "text\n") == 0);
    REQUIRE(pclose(pipe) == 0 && WEXITSTATUS(system("exit 4")) == 4);
}

static int in_clone(void *argument) {
    free(argument);
    load_run(5, 1000);
    _exit(7);
}

static int in_clone_of_memory(void *argument) {
    *(void **)argument = malloc(500);
    _exit(8);
}

/* Without CLONE_VM it is a fork that no handler hears of, so no other thread may be inside of malloc. With CLONE_VM and
 * CLONE_VFORK it is what vfork does, on a stack of its own. */
static void by_clone(void) {
    enum { STACK = 256 << 10 };
    char *stack = malloc(STACK);
    void *made = NULL;
    require_exit(clone(in_clone, stack + STACK, SIGCHLD, malloc(100)), 7);
    require_exit(clone(in_clone_of_memory, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &made), 8);
    REQUIRE(is_on_hakmem(made));
    free(made);
    free(stack);
}

int main(void) {
    pthread_t thread;
    require_hakmem();
    unsetenv("LD_PRELOAD"); /* the programs that are started are not what is tested */
    for (int i = 0; i < TIMES; i++)
        by_clone();
    REQUIRE(pthread_create(&thread, NULL, load_until_stopped, (void *)1) == 0);
    for (int i = 0; i < TIMES; i++)
        by_vfork();
    for (int i = 0; i < TIMES / 4; i++) {
        by_spawn();
        by_popen();
    }
    atomic_store(&load_stop, true);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
