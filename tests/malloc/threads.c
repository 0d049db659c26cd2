/* Threads that end, in bulk and in the middle of things: nothing leaks, heaps are taken over, memory comes back; also
 * what allocates when a thread's own destructors have run already. */
#include "malloc_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { ROUNDS = 20, AT_ONCE = 100, LATE_KEYS = 40 };

static hk_statistics now(void) {
    hk_statistics figures = {.struct_size = offsetof(hk_statistics, classes)};
    REQUIRE(hk_arena_statistics(hk_arena_default(), &figures) == HK_OK);
    return figures;
}

static size_t resident_bytes(void) {
    size_t total, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%zu %zu", &total, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- in bulk ---- */

static void *work_and_leave_some(void *argument) {
    void **left = argument;
    load_run((uint32_t)(uintptr_t)argument, 400);
    left[0] = malloc(50);
    left[1] = malloc(3000);
    left[2] = malloc(200000);
    return NULL;
}

static void in_bulk(void) {
    static void *left[AT_ONCE][3];
    pthread_t threads[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work_and_leave_some, left[i]) == 0);
    for (int i = 0; i < AT_ONCE; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < AT_ONCE; i++)
        for (int j = 0; j < 3; j++) {
            REQUIRE(is_on_hakmem(left[i][j]));
            free(left[i][j]); /* its thread is gone */
        }
}

static void bulk_comes_and_goes(void) {
    in_bulk();
    hk_purge();
    hk_statistics first = now();
    size_t resident = resident_bytes();
    for (int i = 1; i < ROUNDS; i++)
        in_bulk();
    hk_purge();
    hk_statistics last = now();
    REQUIRE(last.heaps <= AT_ONCE + 1 && first.heaps <= AT_ONCE + 1);
    REQUIRE(last.live_blocks <= first.live_blocks + 10);
    REQUIRE(resident_bytes() <= resident + (8 << 20));
}

/* ---- destructors that allocate ---- */

/* The keys made after hakmem's run after it has given its heap away, and come again, as each leaves a value behind. */
static pthread_key_t keys[LATE_KEYS];
static atomic_uint destructors_run;

static void destroy(void *value) {
    uintptr_t rounds_left = *(uintptr_t *)value;
    free(value);
    atomic_fetch_add(&destructors_run, 1);
    load_run((uint32_t)rounds_left + 5, 50);
    if (rounds_left == 0)
        return;
    uintptr_t *next = calloc(1, 600);
    *next = rounds_left - 1;
    for (int i = 0; i < LATE_KEYS; i++)
        if (pthread_getspecific(keys[i]) == NULL) {
            REQUIRE(pthread_setspecific(keys[i], next) == 0);
            return;
        }
    free(next);
}

static void *use_keys(void *argument) {
    bool allocates_before = argument != NULL;
    if (allocates_before)
        load_run(9, 100);
    for (int i = 0; i < LATE_KEYS; i++) {
        uintptr_t *value = malloc(16 + (size_t)i * 100);
        *value = 2;
        REQUIRE(pthread_setspecific(keys[i], value) == 0);
    }
    return NULL;
}

/* Only destructors allocate in this thread. */
static void *set_value(void *value) {
    REQUIRE(pthread_setspecific(keys[0], value) == 0);
    return NULL;
}

static void run_thread(void *(*work)(void *), void *argument) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, work, argument) == 0 && pthread_join(thread, NULL) == 0);
}

static void destructors_allocate(void) {
    for (int i = 0; i < LATE_KEYS; i++)
        REQUIRE(pthread_key_create(&keys[i], destroy) == 0);
    run_thread(use_keys, keys);
    size_t live = now().live_blocks;
    for (int i = 0; i < 50; i++) {
        run_thread(use_keys, i % 2 == 0 ? keys : NULL);
        uintptr_t *value = malloc(16);
        *value = 3;
        run_thread(set_value, value);
    }
    REQUIRE(atomic_load(&destructors_run) >= 51 * LATE_KEYS * 2);
    REQUIRE(now().live_blocks == live && now().heaps <= AT_ONCE + 1);
    for (int i = 0; i < LATE_KEYS; i++)
        REQUIRE(pthread_key_delete(keys[i]) == 0);
}

/* ---- pthread_exit ---- */

static void *end_by_exit(void *argument) {
    load_run((uint32_t)(uintptr_t)argument, 300);
    pthread_exit(NULL);
}

static void threads_that_exit(void) {
    run_thread(end_by_exit, (void *)1); /* the first one loads the unwinder */
    size_t live = now().live_blocks;
    for (uintptr_t i = 0; i < 200; i++)
        run_thread(end_by_exit, (void *)(i + 1));
    REQUIRE(now().live_blocks == live);
}

int main(void) {
    require_hakmem();
    bulk_comes_and_goes();
    destructors_allocate();
    threads_that_exit();
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
