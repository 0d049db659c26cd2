/* slots: what all stress tests share: a random sequence of fixed seed, blocks whose contents can be verified, and one
 * way to call the process heap and the arenas. A header, as each test program is one file. No state.
 *
 * A block's first words say its size and its seed; from them follows each word behind (as far as they fit: a block of
 * fewer bytes than a head is verified by those that hold it). So whoever gets hold of a block can verify it in full. */
#ifndef HAKMEM_STRESS_SLOTS_H
#define HAKMEM_STRESS_SLOTS_H

#include <criterion/criterion.h>
#include <hakmem.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define STRESS_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define STRESS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRESS_TSAN 1
#elif __has_feature(address_sanitizer)
#define STRESS_ASAN 1
#endif
#endif

/* How much less is done where a sanitizer makes everything slower. */
#ifdef STRESS_TSAN
enum { STRESS_LESS = 10 };
#elif defined(STRESS_ASAN)
enum { STRESS_LESS = 4 };
#else
enum { STRESS_LESS = 1 };
#endif

/* For every thread: cr_assert is for the main one alone. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline uint32_t stress_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* ---- contents ---- */

typedef struct stress_head {
    uint64_t size;
    uint64_t seed;
} stress_head;

static inline uint64_t stress_word(size_t size, uint64_t seed, size_t index) {
    return (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + size * UINT64_C(0xbf58476d1ce4e5b9) + index;
}

/* Fills a block of `size` bytes. */
static inline void stress_fill(void *block, size_t size, uint64_t seed) {
    uint64_t *words = block;
    size_t count = size / sizeof *words;
    for (size_t i = 0; i < count; i++)
        words[i] = stress_word(size, seed, i);
    if (size >= sizeof(stress_head)) {
        stress_head head = {size, seed};
        memcpy(block, &head, sizeof head);
    }
    uint64_t last = stress_word(size, seed, count);
    memcpy((char *)block + count * sizeof last, &last, size % sizeof last);
}

/* Whether the first `count` bytes are as stress_fill(block, size, seed) left them. */
static inline bool stress_holds_first(const void *block, size_t count, size_t size, uint64_t seed) {
    const uint64_t *words = block;
    uint64_t wrong = 0;
    stress_head head = {size, seed};
    size_t first = size >= sizeof head ? sizeof head / sizeof *words : 0;
    if (first != 0)
        wrong = (uint64_t)memcmp(block, &head, count < sizeof head ? count : sizeof head);
    for (size_t i = first; i < count / sizeof *words; i++)
        wrong |= words[i] ^ stress_word(size, seed, i);
    uint64_t last = stress_word(size, seed, count / sizeof last);
    bool tail_is_head = count < first * sizeof last;
    if (!tail_is_head)
        wrong |= (uint64_t)memcmp((const char *)block + count / sizeof last * sizeof last, &last, count % sizeof last);
    return wrong == 0;
}

static inline bool stress_holds(const void *block, size_t size, uint64_t seed) {
    return stress_holds_first(block, size, size, seed);
}

static inline bool stress_is_zero(const void *block, size_t size) {
    const unsigned char *bytes = block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* ---- one way to call; a NULL arena is the process heap ---- */

static inline void *stress_alloc(hk_arena *arena, size_t size) {
    return arena == NULL ? hk_malloc(size) : hk_arena_alloc(arena, size);
}

static inline void *stress_realloc(hk_arena *arena, void *block, size_t size) {
    return arena == NULL ? hk_realloc(block, size) : hk_arena_realloc(arena, block, size);
}

static inline void stress_free(hk_arena *arena, void *block) {
    if (arena == NULL)
        hk_free(block);
    else
        REQUIRE(hk_arena_free(arena, block) == HK_OK);
}

/* A block of at least a head, filled. NULL if there is no memory. */
static inline void *stress_new(hk_arena *arena, size_t size, uint64_t seed) {
    void *block = stress_alloc(arena, size);
    if (block != NULL)
        stress_fill(block, size, seed);
    return block;
}

/* Verifies a block of at least a head. */
static inline void stress_verify(const void *block) {
    stress_head head;
    memcpy(&head, block, sizeof head);
    REQUIRE(head.size >= sizeof head && head.size <= hk_usable_size(block));
    REQUIRE(stress_holds(block, head.size, head.seed));
}

/* Verifies such a block and frees it; NULL is ignored. */
static inline void stress_end(hk_arena *arena, void *block) {
    if (block == NULL)
        return;
    stress_verify(block);
    stress_free(arena, block);
}

/* ---- arenas ---- */

static inline hk_arena *stress_arena(uint32_t flags, size_t limit_bytes) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.flags = flags;
    config.limit_bytes = limit_bytes;
    config.name = "stress";
    REQUIRE(hk_arena_create(&config, &arena) == HK_OK);
    return arena;
}

/* Totals only. */
static inline hk_statistics stress_totals(hk_arena *arena) {
    hk_statistics totals;
    memset(&totals, 0, sizeof totals);
    totals.struct_size = offsetof(hk_statistics, classes);
    REQUIRE(hk_arena_statistics(arena != NULL ? arena : hk_arena_default(), &totals) == HK_OK);
    return totals;
}

static inline void stress_check(hk_arena *arena) {
    REQUIRE(hk_arena_check(arena != NULL ? arena : hk_arena_default()) == HK_OK);
}

/* The books agree and no block is live. No other thread may be inside. */
static inline void stress_expect_empty(hk_arena *arena) {
    stress_check(arena);
    hk_statistics totals = stress_totals(arena);
    REQUIRE(totals.live_blocks == 0 && totals.live_bytes == 0 && totals.large_blocks == 0);
    stress_check(arena);
}

#endif
