/* api_test: what the tests of the public interface share: subjects, contents, figures, threads. A header, as each test
 * program is one file. No state.
 *
 * A subject is a way to get blocks: the functions of the process heap, or an arena of some kind. What holds for all of
 * them is tested with each. */
#ifndef HAKMEM_API_TEST_H
#define HAKMEM_API_TEST_H

#include <criterion/criterion.h>
#include <hakmem.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    LINE = 1024,       /* what a limit counts in, as hakmem.h has it */
    UNIT = 64 * 1024,  /* what an arena owns address space in */
    SMALL_MAX = 16384, /* the largest size class of today; beyond are whole lines */
};

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

/* Of all orders of magnitude below 2^bits alike. */
static inline size_t random_size(uint32_t *state, unsigned bits) {
    size_t top = (size_t)1 << next_random(state) % bits;
    return top + next_random64(state) % top;
}

/* ---- contents: what follows from seed and position alone, so that any beginning can be verified ---- */

static inline uint64_t content_word(uint64_t seed, size_t index) {
    return (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + index * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline void fill(void *block, size_t size, uint64_t seed) {
    uint64_t *words = block;
    size_t count = size / sizeof *words;
    for (size_t i = 0; i < count; i++)
        words[i] = content_word(seed, i);
    uint64_t last = content_word(seed, count);
    memcpy((char *)block + count * sizeof last, &last, size % sizeof last);
}

static inline bool holds(const void *block, size_t size, uint64_t seed) {
    const uint64_t *words = block;
    size_t count = size / sizeof *words;
    uint64_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong |= words[i] ^ content_word(seed, i);
    uint64_t last = content_word(seed, count);
    return wrong == 0 && memcmp((const char *)block + count * sizeof last, &last, size % sizeof last) == 0;
}

static inline bool is_zero(const void *block, size_t size) {
    const unsigned char *bytes = block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline bool is_aligned(const void *block, size_t alignment) {
    return (uintptr_t)block % alignment == 0;
}

/* ---- arenas ---- */

static inline hk_arena *make_named_arena(const char *name, uint32_t flags, uint32_t min_alignment) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.flags = flags;
    config.min_alignment = min_alignment;
    config.name = name;
    config.reserve_bytes = (flags & HK_ARENA_REWINDABLE) != 0 ? (size_t)4 << 30 : 0;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    return arena;
}

/* One thread at a time, alignment 16. */
static inline hk_arena *make_arena(size_t limit_bytes) {
    hk_arena *arena = make_named_arena("test", HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
    cr_assert_eq(hk_arena_set_limit(arena, limit_bytes), HK_OK);
    return arena;
}

/* Totals only. */
static inline hk_statistics totals_of(hk_arena *arena) {
    hk_statistics totals;
    memset(&totals, 0, sizeof totals);
    totals.struct_size = offsetof(hk_statistics, classes);
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    return totals;
}

static inline void assert_sound(hk_arena *arena) {
    cr_assert_eq(hk_arena_check(arena), HK_OK);
}

/* The books agree, and no block is live. */
static inline void assert_empty(hk_arena *arena) {
    assert_sound(arena);
    hk_statistics totals = totals_of(arena);
    cr_assert_eq(totals.live_blocks, 0);
    cr_assert_eq(totals.live_bytes, 0);
    cr_assert_eq(totals.large_blocks, 0);
}

/* ---- subjects ---- */

typedef struct subject {
    hk_arena *arena;
    bool process; /* by the functions of the process heap */
    bool lends;   /* while it is small, a rare size may get a block of up to twice the size */
    bool rewindable;
    size_t alignment;
} subject;

enum { SUBJECTS = 8 };

/* 0: the process heap; 1: its arena, by handle; then arenas of each kind. */
static inline subject make_subject(int which) {
    static const uint32_t flags[] = {0, HK_ARENA_ONE_THREAD_AT_A_TIME, HK_ARENA_REWINDABLE};
    static const char *const names[] = {"shared 16",    "shared 8",      "one-thread 16",
                                        "one-thread 8", "rewindable 16", "rewindable 8"};
    subject made = {.arena = hk_arena_default(), .process = which == 0, .alignment = 16};
    if (which < 2)
        return made;
    made.lends = which == 5 || which == 7;
    made.rewindable = which >= 6;
    made.alignment = which % 2 == 0 ? 16 : 8;
    made.arena = make_named_arena(names[which - 2], flags[which / 2 - 1], (uint32_t)made.alignment);
    return made;
}

static inline void end_subject(const subject *ended) {
    assert_empty(ended->arena);
    if (ended->arena != hk_arena_default())
        cr_assert_eq(hk_arena_destroy(ended->arena), HK_OK);
}

static inline void *subject_alloc(const subject *in, size_t size) {
    return in->process ? hk_malloc(size) : hk_arena_alloc(in->arena, size);
}

static inline void *subject_calloc(const subject *in, size_t count, size_t size) {
    return in->process ? hk_calloc(count, size) : hk_arena_calloc(in->arena, count, size);
}

static inline void *subject_realloc(const subject *in, void *block, size_t size) {
    return in->process ? hk_realloc(block, size) : hk_arena_realloc(in->arena, block, size);
}

static inline void *subject_aligned_alloc(const subject *in, size_t alignment, size_t size) {
    return in->process ? hk_aligned_alloc(alignment, size) : hk_arena_aligned_alloc(in->arena, alignment, size);
}

static inline void subject_free(const subject *in, void *block) {
    if (in->process)
        hk_free(block);
    else
        cr_assert_eq(hk_arena_free(in->arena, block), HK_OK);
}

static inline void subject_free_sized(const subject *in, void *block, size_t size) {
    if (in->process)
        hk_free_sized(block, size);
    else
        cr_assert_eq(hk_arena_free_sized(in->arena, block, size), HK_OK);
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
