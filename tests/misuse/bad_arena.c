/* Bad handles: null, invented, stale, through every function that takes a handle. */
#include "misuse_test.h"

/* ---- every function that takes a handle; the value is that of a failed call ---- */

static bool destroy_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_destroy(bad) == HK_ERR_BAD_ARENA;
}

static bool alloc_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_alloc(bad, 64) == NULL;
}

static bool alloc_large_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_alloc(bad, 5 * MIB) == NULL;
}

static bool calloc_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_calloc(bad, 8, 8) == NULL;
}

static bool aligned_alloc_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_aligned_alloc(bad, 4096, 64) == NULL;
}

static bool realloc_of_null_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_realloc(bad, NULL, 64) == NULL;
}

static bool realloc_fails_here(hk_arena *bad, void *block) {
    return hk_arena_realloc(bad, block, 1000) == NULL;
}

static bool realloc_to_0_fails(hk_arena *bad, void *block) {
    return hk_arena_realloc(bad, block, 0) == NULL;
}

static bool realloc_sized_fails(hk_arena *bad, void *block) {
    return hk_arena_realloc_sized(bad, block, 64, 1000) == NULL;
}

static bool realloc_sized_to_same_fails(hk_arena *bad, void *block) {
    return hk_arena_realloc_sized(bad, block, 64, 64) == NULL;
}

static bool free_fails_here(hk_arena *bad, void *block) {
    return hk_arena_free(bad, block) == HK_ERR_BAD_ARENA;
}

static bool free_sized_fails_here(hk_arena *bad, void *block) {
    return hk_arena_free_sized(bad, block, 64) == HK_ERR_BAD_ARENA;
}

static bool set_limit_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_set_limit(bad, MIB) == HK_ERR_BAD_ARENA;
}

static bool limit_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_limit(bad) == 0;
}

static bool name_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_name(bad) == NULL;
}

static bool statistics_fails(hk_arena *bad, void *block) {
    hk_statistics figures = {.struct_size = sizeof figures, .live_blocks = 4711};
    (void)block;
    return hk_arena_statistics(bad, &figures) == HK_ERR_BAD_ARENA && figures.live_blocks == 4711;
}

static bool reset_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_reset(bad) == HK_ERR_BAD_ARENA;
}

static bool retire_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_retire(bad) == HK_ERR_BAD_ARENA;
}

static bool trim_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_trim(bad) == HK_ERR_BAD_ARENA;
}

static bool check_fails(hk_arena *bad, void *block) {
    (void)block;
    return hk_arena_check(bad) == HK_ERR_BAD_ARENA;
}

static const struct {
    const char *function;
    bool (*fails)(hk_arena *bad, void *block);
} functions[] = {
    {"hk_arena_destroy", destroy_fails},
    {"hk_arena_alloc", alloc_fails},
    {"hk_arena_alloc", alloc_large_fails},
    {"hk_arena_calloc", calloc_fails},
    {"hk_arena_aligned_alloc", aligned_alloc_fails},
    {"hk_arena_realloc", realloc_of_null_fails},
    {"hk_arena_realloc", realloc_fails_here},
    {"hk_arena_realloc", realloc_to_0_fails},
    {"hk_arena_realloc_sized", realloc_sized_fails},
    {"hk_arena_realloc_sized", realloc_sized_to_same_fails},
    {"hk_arena_free", free_fails_here},
    {"hk_arena_free_sized", free_sized_fails_here},
    {"hk_arena_set_limit", set_limit_fails},
    {"hk_arena_limit", limit_fails},
    {"hk_arena_name", name_fails},
    {"hk_arena_statistics", statistics_fails},
    {"hk_arena_reset", reset_fails},
    {"hk_arena_retire", retire_fails},
    {"hk_arena_trim", trim_fails},
    {"hk_arena_check", check_fails},
};

/* ---- the proof ---- */

static void assert_function_refuses(size_t i, hk_arena *bad, void *block) {
    unsigned before = seen.count;
    bool fails = functions[i].fails(bad, block);
    cr_assert(fails, "%s(%p)", functions[i].function, (void *)bad);
    cr_assert_eq(seen.count, before + 1, "%s(%p): %u reports", functions[i].function, (void *)bad, seen.count - before);
    cr_assert_str_eq(seen.function, functions[i].function);
    cr_assert_eq(seen.status, HK_ERR_BAD_ARENA);
    cr_assert_eq(seen.pointer, bad);
    cr_assert(seen.block_size == 0 && seen.given_size == 0 && !seen.is_in_arena);
    cr_assert_eq(seen.struct_size, sizeof(hk_error_info));
    cr_assert_eq(hk_last_status(), HK_ERR_BAD_ARENA);
}

/* With a block of the process heap and one of an arena, neither of which suffers. */
static void assert_bad(hk_arena *bad) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        void *victim = make_victim(&in, 64);
        for (size_t i = 0; i < LENGTH_OF(functions); i++)
            assert_function_refuses(i, bad, victim);
        unsigned before = seen.count;
        cr_assert_not(hk_arena_owns(bad, victim));
        cr_assert_eq(seen.count, before);
        end_victim(&in, victim, 64);
        end_subject(&in);
    }
}

Test(bad_arena, null, .init = watch) {
    assert_bad(NULL);
}

Test(bad_arena, invented, .init = watch) {
    static char fixed[64];
    char local[64];
    hk_arena *live = make_named_arena("live", 0, 16);
    void *block = hk_arena_alloc(live, 64);
    uintptr_t handle = (uintptr_t)live;
    const uintptr_t invented[] = {1,
                                  8,
                                  16,
                                  4096,
                                  UINTPTR_MAX,
                                  UINTPTR_MAX - 7,
                                  (uintptr_t)1 << 47,
                                  (uintptr_t)1 << 63,
                                  (uintptr_t)fixed,
                                  (uintptr_t)local,
                                  (uintptr_t)block,
                                  (uintptr_t)hk_malloc,
                                  handle + 1,
                                  handle - 1,
                                  handle + 8,
                                  handle - 8,
                                  handle + 4096,
                                  handle + UNIT,
                                  handle + 1000 * (uintptr_t)UNIT,
                                  handle ^ (uintptr_t)1 << 40,
                                  handle | (uintptr_t)1 << 63,
                                  (uintptr_t)hk_arena_default() - UNIT,
                                  (uintptr_t)hk_arena_default() + 8};
    for (size_t i = 0; i < LENGTH_OF(invented); i++)
        assert_bad((hk_arena *)invented[i]);
    cr_assert_eq(hk_arena_destroy(live), HK_OK);
}

Test(bad_arena, random, .init = watch) {
    subject in = make_subject(0);
    void *victim = make_victim(&in, 64);
    uint32_t random = 31;
    for (size_t i = 0; i < 100000; i++)
        assert_function_refuses(i % LENGTH_OF(functions),
                                (hk_arena *)(uintptr_t)(next_random64(&random) | (uint64_t)1 << 62), victim);
    end_victim(&in, victim, 64);
}

Test(bad_arena, destroyed, .init = watch) {
    for (int which = 2; which < SUBJECTS; which++) {
        subject ended = make_subject(which);
        cr_assert_not_null(subject_alloc(&ended, 64));
        cr_assert_eq(hk_arena_destroy(ended.arena), HK_OK);
        assert_bad(ended.arena);
    }
}

/* The same slot serves one arena after the other; all handles but the last one's are bad. */
Test(bad_arena, whose_slot_is_used_again, .init = watch) {
    enum { GENERATIONS = 40 };
    hk_arena *arenas[GENERATIONS];
    for (int i = 0; i < GENERATIONS; i++) {
        arenas[i] = make_named_arena("again", (uint32_t)i % 2, 16);
        for (int k = 0; k < i; k++) {
            cr_assert_neq(arenas[k], arenas[i]);
            assert_function_refuses((size_t)(i + k) % LENGTH_OF(functions), arenas[k], hk_arena_alloc(arenas[i], 64));
        }
        assert_sound(arenas[i]);
        cr_assert_eq(hk_arena_destroy(arenas[i]), HK_OK);
    }
}
