/* rewind: what the system may refuse, and the end of arenas that can be rewound: nothing of them is left. */
#include "rewind_fixture.h"

/* ---- refusals ---- */

/* Whatever the system refuses, a base that there was stays, or the new one is right. */
static void checkpoint_with_refusals(hki_arena *arena, unsigned long count) {
    blocks in = {0};
    uint32_t seed = 17;
    change_often(arena, &in, &seed, 30000, 150);
    checkpoint(arena);
    bool done = false;
    for (unsigned long skip = 0; !done; skip++) {
        copy old = copy_of(arena);
        change_often(arena, &in, &seed, 30000, 20);
        copy new = copy_of(arena);
        unsigned long before = hki_os_calls();
        hki_os_fail_calls(skip, count);
        hk_status status = hk_arena_checkpoint(handle_of(arena));
        let_start();
        done = hki_os_calls() - before <= skip;
        cr_assert(status == HK_OK || (!done && status == HK_ERR_NO_MEMORY));
        cr_assert(is_as_copied(arena, &new));
        assert_sound(arena);
        blocks then = in;
        change_often(arena, &in, &seed, 30000, 20);
        roll_back_to(arena, status == HK_OK ? &new : &old);
        if (status != HK_OK) { /* what was allocated since is gone; begin from the base again */
            in = (blocks){0};
            cr_assert_eq(hk_arena_reset(handle_of(arena)), HK_OK);
            change_often(arena, &in, &seed, 30000, 150);
            checkpoint(arena);
        } else {
            in = then;
        }
        free_copy(&old);
        free_copy(&new);
    }
}

Test(refusals, of_checkpoint, .timeout = 100) {
    static const unsigned long counts[] = {1, 2, ULONG_MAX / 2};
    for (size_t i = 0; i < LENGTH_OF(counts); i++)
        EACH_WAY (arena, RESERVE) {
            checkpoint_with_refusals(arena, counts[i]);
            end_arena(arena);
        }
}

Test(refusals, of_the_first_checkpoint) {
    EACH_WAY (arena, RESERVE) {
        hk_status status = HK_ERR_NO_MEMORY;
        unsigned char *block = hk_arena_alloc(handle_of(arena), 5000);
        fill(block, 5000, 1);
        for (unsigned long skip = 0; status != HK_OK; skip++) {
            cr_assert_eq(hk_arena_rollback(handle_of(arena)), HK_ERR_INVALID_ARGUMENT);
            fail_from(skip);
            status = hk_arena_checkpoint(handle_of(arena));
            let_start();
            cr_assert(status == HK_OK || status == HK_ERR_NO_MEMORY);
            assert_sound(arena);
        }
        fill(block, 5000, 2);
        cr_assert_eq(hk_arena_rollback(handle_of(arena)), HK_OK);
        cr_assert(is_filled(block, 5000, 1));
        end_arena(arena);
    }
}

static void roll_back_with_refusals(hki_arena *arena, unsigned long count) {
    blocks in = {0}, then;
    uint32_t seed = 19;
    change_often(arena, &in, &seed, 30000, 150);
    checkpoint(arena);
    copy base = copy_of(arena);
    then = in;
    bool done = false;
    for (unsigned long skip = 0; !done; skip++) {
        change_often(arena, &in, &seed, skip % 2 == 0 ? 30000 : 6000000, 50);
        unsigned long before = hki_os_calls();
        hki_os_fail_calls(skip, count);
        hk_status status = hk_arena_rollback(handle_of(arena));
        let_start();
        done = hki_os_calls() - before <= skip;
        cr_assert_eq(status, HK_OK);
        cr_assert(is_as_copied(arena, &base));
        assert_sound(arena);
        in = then;
    }
    free_copy(&base);
}

Test(refusals, never_spoil_a_rollback, .timeout = 100) {
    static const unsigned long counts[] = {1, ULONG_MAX / 2};
    for (size_t i = 0; i < LENGTH_OF(counts); i++)
        EACH_WAY (arena, RESERVE) {
            roll_back_with_refusals(arena, counts[i]);
            end_arena(arena);
        }
}

/* After a checkpoint of which some mappings were refused, those pages are compared; the next checkpoint maps them. */
Test(refusals, of_mappings_are_made_up_for) {
    hki_arena *arena = make_rewindable(HKI_REWIND_FILE, RESERVE);
    blocks in = {0};
    uint32_t seed = 23;
    change_often(arena, &in, &seed, 30000, 150);
    checkpoint(arena);
    unsigned compared = 0;
    for (unsigned long skip = 0; skip < 40; skip++) {
        change_often(arena, &in, &seed, 30000, 5);
        fail_from(skip);
        hk_status status = hk_arena_checkpoint(handle_of(arena));
        let_start();
        unsigned comparing = 0;
        for (int i = 0; i < HKI_RANGES; i++)
            comparing += arena->rewind->ranges[i].compares;
        compared += status == HK_OK && comparing > 0;
    }
    cr_assert_gt(compared, 0);
    checkpoint(arena);
    for (int i = 0; i < HKI_RANGES; i++)
        cr_assert_not(arena->rewind->ranges[i].compares);
    end_arena(arena);
    cr_assert_eq(files_mapped(), 0);
}

Test(refusals, of_creation) {
    for (size_t way = 0; way < LENGTH_OF(ways); way++) {
        hk_arena_config config = HK_ARENA_CONFIG_INIT;
        config.flags = HK_ARENA_REWINDABLE;
        unsigned files = open_files();
        hk_status status = HK_ERR_NO_MEMORY;
        hk_arena *handle;
        for (unsigned long skip = 0; status != HK_OK && skip < 100; skip++) {
            hki_rewind_force(ways[way]);
            fail_from(skip);
            status = hk_arena_create(&config, &handle);
            let_start();
            cr_assert(status == HK_OK || status == HK_ERR_NO_MEMORY || status == HK_ERR_UNSUPPORTED);
            cr_assert_eq(handle == NULL, status != HK_OK);
            cr_assert(status == HK_OK || (count_private() == 0 && open_files() == files));
            cr_assert_null(hki_units_check(&hki_shared_pool));
        }
        if (status == HK_OK)
            cr_assert_eq(hk_arena_destroy(handle), HK_OK);
        cr_assert_eq(open_files(), files);
    }
}

Test(refusals, of_both_ways) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *handle = hk_arena_default();
    config.flags = HK_ARENA_REWINDABLE;
    hki_rewind_force(HKI_REWIND_NONE);
    unsigned unused = count_segments(HKI_SEGMENT_UNUSED, false);
    cr_assert_eq(hk_arena_create(&config, &handle), HK_ERR_UNSUPPORTED);
    cr_assert_null(handle);
    cr_assert_eq(hk_last_status(), HK_ERR_UNSUPPORTED);
    cr_assert_geq(count_segments(HKI_SEGMENT_UNUSED, false), unused);
    cr_assert_eq(count_private(), 0);
}

Test(refusals, of_pages_of_64_kib) {
    cr_assert(hki_rewind_fits(4096));
    cr_assert_not(hki_rewind_fits(16384));
    cr_assert_not(hki_rewind_fits(65536));
}

/* ---- the end ---- */

/* Tables and slot are ordinary memory again; the slot serves other arenas. */
static void use_up(unsigned segments) {
    hk_arena *arenas[8];
    for (size_t i = 0; i < LENGTH_OF(arenas); i++) {
        arenas[i] = make_plain_arena();
        blocks in = {0};
        uint32_t seed = (uint32_t)i + 1;
        change_often(hki_arena_find(arenas[i]), &in, &seed, 600000, 100 * segments);
        assert_sound(hki_arena_find(arenas[i]));
    }
    hk_purge();
    for (size_t i = 0; i < LENGTH_OF(arenas); i++)
        cr_assert_eq(hk_arena_destroy(arenas[i]), HK_OK);
    cr_assert_null(hki_units_check(&hki_shared_pool));
}

Test(end, gives_everything_back) {
    unsigned files = open_files();
    for (unsigned checkpoints = 0; checkpoints < 3; checkpoints++)
        EACH_WAY (arena, RESERVE) {
            blocks in = {0};
            uint32_t seed = 29;
            for (unsigned i = 0; i < checkpoints; i++) {
                change_often(arena, &in, &seed, 3000000, 60);
                checkpoint(arena);
            }
            change_often(arena, &in, &seed, 3000000, 60);
            cr_assert_eq(count_private(), RESERVE / HKI_SEGMENT_SIZE);
            cr_assert_eq(areas_tracked() > 0, ways[way] == HKI_REWIND_TRACKING);
            cr_assert_eq(files_mapped() > 0, ways[way] == HKI_REWIND_FILE && checkpoints > 0);
            end_arena(arena);
            cr_assert_eq(count_private(), 0);
            cr_assert_eq(count_segments(HKI_SEGMENT_LOST, true) + count_segments(HKI_SEGMENT_LOST, false), 0);
            cr_assert_eq(open_files(), files);
            cr_assert_eq(files_mapped(), 0);
            cr_assert_eq(areas_tracked(), 0);
            use_up(3);
        }
}

Test(end, under_refusals_leaves_a_sound_house) {
    for (unsigned long skip = 0; skip < 12; skip++)
        EACH_WAY (arena, RESERVE) {
            blocks in = {0};
            uint32_t seed = 31;
            change_often(arena, &in, &seed, 3000000, 60);
            checkpoint(arena);
            change_often(arena, &in, &seed, 3000000, 60);
            hk_arena *handle = handle_of(arena);
            fail_from(skip);
            cr_assert_eq(hk_arena_destroy(handle), HK_OK);
            let_start();
            cr_assert_eq(count_private(), 0);
            cr_assert_null(hki_units_check(&hki_shared_pool));
            use_up(1);
        }
}

Test(end, by_retirement) {
    EACH_WAY (arena, RESERVE) {
        hk_arena *handle = handle_of(arena);
        char *block = hk_arena_alloc(handle, 3000), *large = hk_arena_alloc(handle, 6000000);
        checkpoint(arena);
        char *later = hk_arena_alloc(handle, 3000);
        cr_assert_eq(hk_arena_retire(handle), HK_OK);
        hk_free(later);
        hk_free(large);
        memset(block, 1, 3000);
        hk_free(block);
        cr_assert_eq(count_private(), 0);
        cr_assert_eq(files_mapped(), 0);
    }
}
