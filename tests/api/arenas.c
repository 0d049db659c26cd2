/* Arenas: what can be made of which configuration, their names, their lives and their handles. */
#include "api_test.h"

#include <stdio.h>

static unsigned reports;

static void count_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reports += info->status == HK_ERR_BAD_ARENA;
}

/* ---- configurations ---- */

Test(config, defaults) {
    hk_arena *arenas[2];
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    cr_assert_eq(hk_arena_create(NULL, &arenas[0]), HK_OK);
    cr_assert_eq(hk_arena_create(&config, &arenas[1]), HK_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(hk_arena_name(arenas[i]), "arena");
        cr_assert_eq(hk_arena_limit(arenas[i]), 0);
        void *block = hk_arena_alloc(arenas[i], 24);
        cr_assert_eq(hk_usable_size(block), hk_good_size(24));
        cr_assert(is_aligned(block, 16));
        cr_assert_eq(hk_arena_destroy(arenas[i]), HK_OK);
    }
}

static bool is_refused(const hk_arena_config *config, hk_status wanted) {
    hk_arena *arena = hk_arena_default();
    return hk_arena_create(config, &arena) == wanted && arena == NULL && hk_last_status() == wanted;
}

#define REFUSED(wanted, ...)                                                                                           \
    cr_assert(is_refused(&(hk_arena_config){.struct_size = sizeof(hk_arena_config), __VA_ARGS__}, wanted))

Test(config, what_is_invalid) {
    char long_name[] = "a name of full 32 characters ...";
    cr_assert_eq(strlen(long_name), HK_ARENA_NAME_MAX + 1);
    for (uint32_t flag = 8; flag != 0; flag <<= 1) {
        REFUSED(HK_ERR_INVALID_ARGUMENT, .flags = flag);
        REFUSED(HK_ERR_INVALID_ARGUMENT, .flags = flag | HK_ARENA_ONE_THREAD_AT_A_TIME);
    }
    REFUSED(HK_ERR_INVALID_ARGUMENT, .name = long_name);
    REFUSED(HK_ERR_INVALID_ARGUMENT, .reserve_bytes = 1);
    REFUSED(HK_ERR_INVALID_ARGUMENT, .reserve_bytes = MIB, .flags = HK_ARENA_ONE_THREAD_AT_A_TIME);
    for (size_t limit = 1; limit < LINE; limit++)
        REFUSED(HK_ERR_INVALID_ARGUMENT, .limit_bytes = limit);
    for (uint32_t alignment = 1; alignment != 0; alignment = alignment < 70 ? alignment + 1 : alignment * 2)
        if (alignment != 8 && alignment != 16)
            REFUSED(HK_ERR_INVALID_ARGUMENT, .min_alignment = alignment);
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    for (size_t size = 0; size <= 2 * sizeof config; size++) {
        config.struct_size = size;
        if (size != sizeof config && size != offsetof(hk_arena_config, parent))
            cr_assert(is_refused(&config, HK_ERR_INVALID_ARGUMENT), "%zu", size);
    }
    config.struct_size = SIZE_MAX;
    cr_assert(is_refused(&config, HK_ERR_INVALID_ARGUMENT));
    cr_assert_eq(hk_arena_create(NULL, NULL), HK_ERR_INVALID_ARGUMENT);
}

Test(config, what_is_not_yet) {
    REFUSED(HK_ERR_UNSUPPORTED, .flags = HK_ARENA_HARDENED | HK_ARENA_REWINDABLE);
    REFUSED(HK_ERR_UNSUPPORTED, .flags = HK_ARENA_HARDENED | HK_ARENA_REWINDABLE, .reserve_bytes = MIB);
}

Test(config, is_copied) {
    char name[] = "a name of exactly 31 characters";
    cr_assert_eq(strlen(name), HK_ARENA_NAME_MAX);
    hk_arena_config config = {.struct_size = sizeof config, .min_alignment = 8, .limit_bytes = LINE, .name = name};
    hk_arena *arena, *nameless;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    memset(name, 'x', sizeof name - 1);
    memset(&config, 0xff, sizeof config);
    cr_assert_str_eq(hk_arena_name(arena), "a name of exactly 31 characters");
    cr_assert_eq(hk_arena_limit(arena), LINE);
    cr_assert_eq(hk_usable_size(hk_arena_alloc(arena, 24)), 24);
    config = (hk_arena_config){.struct_size = sizeof config, .min_alignment = 16, .name = ""};
    cr_assert_eq(hk_arena_create(&config, &nameless), HK_OK);
    cr_assert_str_eq(hk_arena_name(nameless), "");
}

/* ---- the default arena ---- */

Test(default_arena, is_one_and_cannot_be_destroyed) {
    hk_arena *arena = hk_arena_default();
    cr_assert_not_null(arena);
    cr_assert_eq(hk_arena_default(), arena);
    cr_assert_not_null(hk_arena_name(arena));
    void *block = hk_malloc(100);
    cr_assert_eq(hk_arena_of(block), arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert(hk_arena_owns(arena, block));
    hk_free(block);
    assert_empty(arena);
}

static void *get_default_arena(void *unused) {
    (void)unused;
    return hk_arena_default();
}

Test(default_arena, is_the_same_for_all_threads) {
    cr_assert_eq(run_in_thread(get_default_arena, NULL), hk_arena_default());
}

Test(default_arena, blocks_may_come_and_go_either_way) {
    hk_arena *arena = hk_arena_default();
    for (size_t size = 1; size < 10 * MIB; size *= 3) {
        void *block = hk_malloc(size);
        cr_assert_eq(hk_arena_free(arena, block), HK_OK);
        block = hk_arena_alloc(arena, size);
        cr_assert_not_null(block);
        hk_free_sized(block, size);
    }
    cr_assert_eq(hk_last_status(), HK_OK);
    assert_empty(arena);
}

/* ---- lives ---- */

static void populate(hk_arena *arena) {
    for (size_t size = 1; size < 12 * MIB; size += size / 2 + 1)
        cr_assert_not_null(hk_arena_alloc(arena, size));
}

Test(destroy, frees_all_blocks_and_no_others) {
    subject in[SUBJECTS];
    void *kept[SUBJECTS], *gone[SUBJECTS];
    for (int i = 1; i < SUBJECTS; i++) {
        in[i] = make_subject(i);
        kept[i] = subject_alloc(&in[i], 1000);
        fill(kept[i], 1000, (uint64_t)i);
    }
    for (int i = 2; i < SUBJECTS; i++) {
        subject ended = make_subject(i);
        populate(ended.arena);
        gone[i] = subject_alloc(&ended, 100);
        cr_assert_eq(hk_arena_destroy(ended.arena), HK_OK);
        cr_assert_null(hk_arena_of(gone[i]));
        cr_assert_not(hk_arena_owns(ended.arena, gone[i]));
    }
    for (int i = 1; i < SUBJECTS; i++) {
        cr_assert(holds(kept[i], 1000, (uint64_t)i) && hk_arena_of(kept[i]) == in[i].arena);
        subject_free(&in[i], kept[i]);
        end_subject(&in[i]);
    }
}

Test(destroy, leaves_no_trace_in_the_next_arena) {
    for (int round = 0; round < 200; round++) {
        subject in = make_subject(2 + round % 4);
        hk_statistics totals = totals_of(in.arena);
        cr_assert(totals.live_blocks == 0 && totals.held_bytes == 0 && totals.peak_held_bytes == 0);
        cr_assert(totals.limit_bytes == 0 && totals.limit_failures == 0 && totals.system_failures == 0);
        unsigned char *zeroed = subject_calloc(&in, 1, 200 * KIB);
        cr_assert(is_zero(zeroed, 200 * KIB));
        memset(zeroed, 0xff, 200 * KIB);
        cr_assert_eq(hk_arena_set_limit(in.arena, 300 * KIB), HK_OK);
        cr_assert_null(hk_arena_alloc(in.arena, 300 * KIB));
        cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
    }
}

static void *use_arena(void *arena) {
    for (size_t size = 1; size < MIB; size *= 2) {
        void *block = hk_arena_alloc(arena, size);
        if (block == NULL || (size % 3 == 1 && hk_arena_free(arena, block) != HK_OK))
            return NULL;
    }
    return arena;
}

Test(destroy, what_several_threads_have_used_in_turn) {
    for (int i = 2; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (int turn = 0; turn < 5; turn++) {
            cr_assert_eq(run_in_thread(use_arena, in.arena), in.arena);
            cr_assert_eq(use_arena(in.arena), in.arena);
            assert_sound(in.arena);
        }
        cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
    }
}

Test(thousands, of_arenas_at_once) {
    enum { ARENAS = 3000 };
    static hk_arena *arenas[ARENAS];
    static void *blocks[ARENAS];
    char name[HK_ARENA_NAME_MAX + 1];
    for (size_t i = 0; i < ARENAS; i++) {
        snprintf(name, sizeof name, "arena %zu", i);
        arenas[i] = make_named_arena(name, i % 2 == 0 ? 0 : HK_ARENA_ONE_THREAD_AT_A_TIME, i % 3 == 0 ? 8 : 16);
        cr_assert_eq(hk_arena_set_limit(arenas[i], (i + 20) * LINE), HK_OK);
        blocks[i] = hk_arena_alloc(arenas[i], 1 + i % 2000);
        fill(blocks[i], 1 + i % 2000, i);
    }
    for (size_t k = 0; k < ARENAS; k++) {
        size_t i = k * 7 % ARENAS;
        snprintf(name, sizeof name, "arena %zu", i);
        cr_assert_str_eq(hk_arena_name(arenas[i]), name);
        cr_assert_eq(hk_arena_limit(arenas[i]), (i + 20) * LINE);
        cr_assert(hk_arena_of(blocks[i]) == arenas[i] && holds(blocks[i], 1 + i % 2000, i));
        cr_assert_not(hk_arena_owns(arenas[(i + 1) % ARENAS], blocks[i]));
        if (k % 100 == 0)
            assert_sound(arenas[i]);
        cr_assert_eq(hk_arena_destroy(arenas[i]), HK_OK);
        blocks[i] = NULL;
    }
}

/* ---- handles ---- */

Test(handles, which_are_none_own_nothing) {
    hk_set_error_handler(count_report, NULL);
    hk_arena *ended = make_arena(0), *arena = make_arena(0);
    void *block = hk_arena_alloc(arena, 100);
    cr_assert_eq(hk_arena_destroy(ended), HK_OK);
    const hk_arena *const handles[] = {NULL,
                                       ended,
                                       (const hk_arena *)&reports,
                                       (const hk_arena *)(uintptr_t)1,
                                       (const hk_arena *)UINTPTR_MAX,
                                       block,
                                       (const hk_arena *)((uintptr_t)arena + 8)};
    for (size_t i = 0; i < LENGTH_OF(handles); i++)
        cr_assert_not(hk_arena_owns(handles[i], block), "%zu", i);
    cr_assert_eq(reports, 0);
    cr_assert_eq(hk_arena_destroy(ended), HK_ERR_BAD_ARENA);
    cr_assert_eq(reports, 1);
}

/* The slot of an ended arena is used by 8190 others, one after the other: its handle is none of theirs. */
Test(handles, stay_bad_while_their_slot_is_used_again) {
    enum { OTHERS = 8190 };
    hk_set_error_handler(count_report, NULL);
    hk_arena *stale = make_arena(0);
    cr_assert_eq(hk_arena_destroy(stale), HK_OK);
    for (unsigned i = 0; i < OTHERS; i++) {
        hk_arena *arena;
        if (hk_arena_create(NULL, &arena) != HK_OK || arena == stale)
            cr_assert_fail("arena %u", i);
        void *block = hk_arena_alloc(arena, 16);
        bool refused = hk_arena_free(stale, block) == HK_ERR_BAD_ARENA && hk_arena_alloc(stale, 16) == NULL &&
                       hk_arena_name(stale) == NULL && !hk_arena_owns(stale, block) && hk_arena_owns(arena, block);
        if (!refused || reports != 3 * (i + 1) || hk_arena_destroy(arena) != HK_OK)
            cr_assert_fail("arena %u", i);
    }
}
