/* parents_test: what the tests of arenas below others share. A header, as each test program is one file. No state. */
#ifndef HAKMEM_PARENTS_TEST_H
#define HAKMEM_PARENTS_TEST_H

#include "api_test.h"

static inline hk_status try_child(hk_arena *parent, uint32_t flags, size_t limit_bytes, hk_arena **child) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = flags;
    config.limit_bytes = limit_bytes;
    config.parent = parent;
    config.name = "child";
    return hk_arena_create(&config, child);
}

static inline hk_arena *make_child_of_kind(hk_arena *parent, uint32_t flags, size_t limit_bytes) {
    hk_arena *child;
    cr_assert_eq(try_child(parent, flags, limit_bytes, &child), HK_OK);
    return child;
}

/* One thread at a time. */
static inline hk_arena *make_child(hk_arena *parent, size_t limit_bytes) {
    return make_child_of_kind(parent, HK_ARENA_ONE_THREAD_AT_A_TIME, limit_bytes);
}

static inline size_t held_bytes_of(hk_arena *arena) {
    return totals_of(arena).held_bytes;
}

static inline size_t children_bytes_of(hk_arena *arena) {
    hk_statistics all = {.struct_size = sizeof all};
    cr_assert_eq(hk_arena_statistics(arena, &all), HK_OK);
    return all.children_bytes;
}

static inline size_t limit_failures_of(hk_arena *arena) {
    return totals_of(arena).limit_failures;
}

static inline void end_arena(hk_arena *arena) {
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* By a limit; and nothing is charged for it. */
static inline void assert_refused(hk_arena *arena, size_t size) {
    size_t before = held_bytes_of(arena);
    cr_assert_null(hk_arena_alloc(arena, size));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(held_bytes_of(arena), before);
}

#endif
