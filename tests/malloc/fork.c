/* fork while other threads allocate, free and fork themselves, from threads too; each child goes on as if it had always
 * been alone. One arena has a checkpoint, and each child rolls back for itself. */
#include "malloc_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { BUSY_THREADS = 4, FORKING_THREADS = 3, FORKS = 60 };

static hk_arena *rewindable;
static unsigned char *at_checkpoint;

static void *allocate_some(void *seed) {
    load_run((uint32_t)(uintptr_t)seed, 300);
    return NULL;
}

static void roll_back(void) {
    memset(at_checkpoint, 9, 5000);
    void *since = hk_arena_alloc(rewindable, 100);
    REQUIRE(since != NULL && hk_arena_rollback(rewindable) == HK_OK);
    for (size_t i = 0; i < 5000; i++)
        REQUIRE(at_checkpoint[i] == 1);
    REQUIRE(!hk_arena_owns(rewindable, since) && hk_arena_check(rewindable) == HK_OK);
}

/* What a child does: allocates, starts threads, forks again, ends by exit. */
static void live_on(uint32_t seed, bool again) {
    pthread_t thread;
    load_run(seed, 300);
    REQUIRE(pthread_create(&thread, NULL, allocate_some, (void *)(uintptr_t)(seed + 1)) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    if (again) {
        int status;
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            live_on(seed + 2, false);
            _exit(0);
        }
        REQUIRE(waitpid(child, &status, 0) == child && status == 0);
        roll_back(); /* one at a time: only children of the main thread do */
    }
    hk_purge();
}

static void fork_once(uint32_t seed, bool again, void *block) {
    int status;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        free(block); /* the parent's block is the child's too */
        live_on(seed, again);
        exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
}

static void *fork_often(void *seed) {
    for (uint32_t i = 0; i < FORKS; i++) {
        void *block = malloc(100);
        fork_once((uint32_t)(uintptr_t)seed + i, false, block);
        free(block);
    }
    return NULL;
}

int main(void) {
    require_hakmem();
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_REWINDABLE;
    config.reserve_bytes = 16 << 20;
    REQUIRE(hk_arena_create(&config, &rewindable) == HK_OK);
    at_checkpoint = hk_arena_alloc(rewindable, 5000);
    REQUIRE(at_checkpoint != NULL);
    memset(at_checkpoint, 1, 5000);
    REQUIRE(hk_arena_checkpoint(rewindable) == HK_OK);

    pthread_t busy[BUSY_THREADS], forking[FORKING_THREADS];
    for (uintptr_t i = 0; i < BUSY_THREADS; i++)
        REQUIRE(pthread_create(&busy[i], NULL, load_until_stopped, (void *)(i + 11)) == 0);
    for (uintptr_t i = 0; i < FORKING_THREADS; i++)
        REQUIRE(pthread_create(&forking[i], NULL, fork_often, (void *)(i * 1000 + 1)) == 0);
    for (uint32_t i = 0; i < FORKS; i++)
        fork_once(i + 77, true, malloc(5000));
    for (int i = 0; i < FORKING_THREADS; i++)
        REQUIRE(pthread_join(forking[i], NULL) == 0);
    atomic_store(&load_stop, true);
    for (int i = 0; i < BUSY_THREADS; i++)
        REQUIRE(pthread_join(busy[i], NULL) == 0);
    roll_back();
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
