/* unit_test: what the unit tests share. Each test runs in a process of its own, so it begins with a fresh allocator. */
#ifndef HAKMEM_UNIT_TEST_H
#define HAKMEM_UNIT_TEST_H

#include <criterion/criterion.h>

#include "alloc.h"
#include "check.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "report.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For what runs before the sanitizers do. */
#ifdef __clang__
#define NOT_SANITIZED __attribute__((disable_sanitizer_instrumentation))
#else
#define NOT_SANITIZED __attribute__((no_sanitize("address", "undefined", "thread")))
#endif

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))

/* For a file whose tests start hakmem themselves: the constructor of alloc.c finds that the OS refuses everything.
 * The tests' .init is let_start. */
#define START_LATE()                                                                                                   \
    __attribute__((constructor(101))) static void refuse_early_start(void) {                                           \
        hki_os_fail_calls(0, ULONG_MAX);                                                                               \
    }

static inline void let_start(void) {
    hki_os_fail_calls(0, 0);
}

/* The next calls of the OS succeed `skip` times; then all fail. */
static inline void fail_from(unsigned long skip) {
    hki_os_fail_calls(skip, ULONG_MAX / 2);
}

/* ---- pseudo-random numbers ---- */

static inline uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static inline uint64_t next_random64(uint32_t *state) {
    uint64_t high = next_random(state);
    return high << 32 | next_random(state);
}

/* Of all orders of magnitude up to `max` alike. */
static inline size_t random_size(uint32_t *state, size_t max) {
    size_t top = (size_t)1 << next_random(state) % (hki_highest_bit(max) + 1);
    return hki_min(top + next_random64(state) % top, max);
}

/* ---- arenas ---- */

static inline hk_arena *make_arena(uint32_t flags, uint32_t min_alignment, size_t limit_bytes) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *handle;
    config.flags = flags;
    config.min_alignment = min_alignment;
    config.limit_bytes = limit_bytes;
    config.name = "test";
    cr_assert_eq(hk_arena_create(&config, &handle), HK_OK);
    return handle;
}

/* One thread at a time, alignment 16. */
static inline hk_arena *make_plain_arena(void) {
    return make_arena(HK_ARENA_ONE_THREAD_AT_A_TIME, 16, 0);
}

static inline void assert_sound(hki_arena *arena) {
    const void *where;
    const char *wrong = hki_arena_check(arena, &where);
    cr_assert_null(wrong, "%s", wrong);
}

static inline size_t held_lines(const hki_arena *arena) {
    return atomic_load(&arena->quota.held_lines);
}

/* ---- contents ---- */

static inline void fill(void *block, size_t size, unsigned seed) {
    memset(block, (int)(seed % 251 + 1), size);
}

static inline bool is_filled(const void *block, size_t size, unsigned seed) {
    const unsigned char *bytes = block;
    unsigned char wanted = (unsigned char)(seed % 251 + 1);
    return size == 0 || (bytes[0] == wanted && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline bool is_zero(const void *block, size_t size) {
    const unsigned char *bytes = block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Whether the byte at an address can be read, asked of the kernel. */
static inline bool can_read(const void *address) {
    int ends[2], saved = errno;
    cr_assert_eq(pipe(ends), 0);
    bool can = write(ends[1], address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    errno = saved;
    return can;
}

/* ---- what is written to standard error ---- */

typedef struct capture {
    int saved, from;
    char text[4096];
} capture;

static inline void capture_begin(capture *errors) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fflush(stderr);
    errors->saved = dup(STDERR_FILENO);
    errors->from = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

static inline const char *capture_end(capture *errors) {
    fflush(stderr);
    dup2(errors->saved, STDERR_FILENO);
    close(errors->saved);
    ssize_t length = read(errors->from, errors->text, sizeof errors->text - 1);
    close(errors->from);
    errors->text[length > 0 ? length : 0] = '\0';
    return errors->text;
}

/* ---- threads: only the test's own thread may assert ---- */

static inline void *run_in_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    void *result = NULL;
    cr_assert_eq(pthread_create(&thread, NULL, body, argument), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    return result;
}

#endif
