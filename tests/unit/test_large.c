/* large: blocks of units and of segments: placed, resized in place, moved, given back. */
#include "unit_test.h"

enum { OWNER = 0x7001, SEGMENT_LINES = HKI_SEGMENT_SIZE / HKI_LINE_SIZE };

static hki_large_list list = {.owner = OWNER, .pool = &hki_shared_pool};

/* What is freed goes back at once, unless a test has it otherwise. */
static void start(void) {
    hki_purge_delay_ms = 0;
    cr_assert(hki_registry_start());
}

static uintptr_t take_aligned(size_t lines, size_t alignment) {
    bool clean = false;
    const hki_large_wanted wanted = {.lines = lines, .alignment = alignment};
    uintptr_t granule = hki_large_take(&list, &wanted, &clean);
    if (granule != 0 && clean)
        cr_assert(is_zero(hki_granule_address(granule), lines << HKI_LINE_SHIFT));
    return granule;
}

static uintptr_t take(size_t lines) {
    return take_aligned(lines, 1);
}

static uintptr_t take_growing(size_t lines) {
    bool clean;
    const hki_large_wanted wanted = {.lines = lines, .alignment = 1, .grows = true};
    return hki_large_take(&list, &wanted, &clean);
}

static uintptr_t resize(uintptr_t granule, size_t lines) {
    return hki_large_resize(&list, granule, lines);
}

static size_t give(uintptr_t granule) {
    return hki_large_give(&list, granule);
}

static void fill_block(uintptr_t granule, size_t lines, unsigned seed) {
    for (size_t i = 0; i < lines; i++)
        fill((char *)hki_granule_address(granule) + (i << HKI_LINE_SHIFT), HKI_LINE_SIZE, seed + (unsigned)i);
}

static bool block_is_filled(uintptr_t granule, size_t lines, unsigned seed) {
    for (size_t i = 0; i < lines; i++)
        if (!is_filled((char *)hki_granule_address(granule) + (i << HKI_LINE_SHIFT), HKI_LINE_SIZE, seed + (unsigned)i))
            return false;
    return true;
}

static hki_unit *unit_of(uintptr_t granule) {
    return hki_granule_unit(granule);
}

static hki_segment *segment_of(uintptr_t granule) {
    return &hki_registry.segments[hki_unit_number(unit_of(granule)) / HKI_UNITS_PER_SEGMENT];
}

static hki_segment_state state_of(uintptr_t granule, size_t segments_behind) {
    return atomic_load(&(segment_of(granule) + segments_behind)->state);
}

static bool is_huge(uintptr_t granule) {
    return atomic_load(&unit_of(granule)->kind) == HKI_UNIT_HUGE;
}

static bool is_live(uintptr_t granule) {
    return (atomic_load(hki_live_word(granule)) & hki_granule_mask(granule)) != 0;
}

static void assert_pool(void) {
    hki_lock_acquire(&hki_pool_lock);
    const char *wrong = hki_units_check(&hki_shared_pool);
    hki_lock_release(&hki_pool_lock);
    cr_assert_null(wrong, "%s", wrong);
}

static void assert_counts(size_t blocks, size_t lines, size_t units) {
    cr_assert_eq(atomic_load(&list.blocks), blocks);
    cr_assert_eq(atomic_load(&list.lines), lines);
    cr_assert_eq(atomic_load(&list.units), units);
    size_t listed = 0;
    for (uint32_t i = list.first; i != 0; i = hki_registry.units[i].next, listed++)
        cr_assert(is_live(hki_unit_granule(i)));
    cr_assert_eq(listed, blocks);
    assert_pool();
}

/* ---- take and give ---- */

Test(large, sizes_at_the_borders, .init = start) {
    const size_t lines[] = {1,
                            63,
                            64,
                            65,
                            128,
                            129,
                            SEGMENT_LINES - 1,
                            SEGMENT_LINES,
                            SEGMENT_LINES + 1,
                            2 * SEGMENT_LINES,
                            2 * SEGMENT_LINES + 1};
    for (size_t i = 0; i < LENGTH_OF(lines); i++) {
        bool huge = lines[i] > SEGMENT_LINES;
        uintptr_t granule = take(lines[i]);
        cr_assert_neq(granule, 0);
        cr_assert(is_live(granule));
        cr_assert_eq(is_huge(granule), huge);
        cr_assert_eq(atomic_load(&unit_of(granule)->owner), OWNER);
        assert_counts(1, lines[i], hki_large_units(lines[i], huge));
        fill_block(granule, lines[i], 1);
        cr_assert_eq(give(granule), lines[i]);
        cr_assert_not(is_live(granule));
        assert_counts(0, 0, 0);
    }
}

Test(large, units_of_a_length) {
    cr_assert_eq(hki_large_units(1, false), 1);
    cr_assert_eq(hki_large_units(64, false), 1);
    cr_assert_eq(hki_large_units(65, false), 2);
    cr_assert_eq(hki_large_units(1, true), 64);
    cr_assert_eq(hki_large_units(SEGMENT_LINES, true), 64);
    cr_assert_eq(hki_large_units(SEGMENT_LINES + 1, true), 128);
}

Test(large, every_alignment, .init = start) {
    const size_t lines[] = {1, 100, SEGMENT_LINES, SEGMENT_LINES + 1};
    for (size_t i = 0; i < LENGTH_OF(lines); i++)
        for (size_t alignment = 1; alignment <= (size_t)256 << 20; alignment *= 4) {
            uintptr_t granule = take_aligned(lines[i], alignment);
            cr_assert_neq(granule, 0);
            cr_assert_eq((uintptr_t)hki_granule_address(granule) % alignment, 0);
            cr_assert_eq(is_huge(granule), lines[i] > SEGMENT_LINES || alignment > HKI_SEGMENT_SIZE);
        }
    assert_pool();
    hki_large_give_all(&list);
    assert_counts(0, 0, 0);
}

Test(large, block_is_given_once, .init = start) {
    const size_t lines[] = {65, SEGMENT_LINES + 1};
    for (size_t i = 0; i < LENGTH_OF(lines); i++) {
        uintptr_t granule = take(lines[i]);
        cr_assert_eq(give(granule), lines[i]);
        cr_assert_eq(give(granule), 0);
        assert_counts(0, 0, 0);
    }
}

/* Who has claimed a block is alone with it: it counts as freed for all others. */
Test(large, block_is_claimed_once, .init = start) {
    static const size_t sizes[] = {1, 100, SEGMENT_LINES + 1};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        uintptr_t granule = take(sizes[i]);
        cr_assert(hki_large_claim(&list, granule));
        cr_assert_not(hki_large_claim(&list, granule));
        cr_assert_eq(hki_block_find(hki_granule_address(granule)).status, HK_ERR_DOUBLE_FREE);
        hki_large_unclaim(granule);
        cr_assert_eq(hki_block_find(hki_granule_address(granule)).status, HK_OK);
        cr_assert(hki_large_claim(&list, granule));
        cr_assert_eq(give(granule), sizes[i]);
        cr_assert_eq(atomic_load(hki_remote_word(granule)), 0);
        cr_assert_not(hki_large_claim(&list, granule));
    }
}

Test(large, used_units_are_not_clean, .init = start) {
    const hki_large_wanted wanted = {.lines = 65, .alignment = 1};
    bool clean = false;
    hki_purge_delay_ms = 10;
    uintptr_t granule = hki_large_take(&list, &wanted, &clean);
    cr_assert(clean);
    give(granule);
    cr_assert_eq(hki_large_take(&list, &wanted, &clean), granule);
    cr_assert_not(clean);
}

Test(large, all_are_given_at_once, .init = start) {
    size_t lines = 0;
    for (size_t i = 0; i < 20; i++) {
        lines += 65 + 400 * i;
        cr_assert_neq(take(65 + 400 * i), 0);
    }
    cr_assert_eq(hki_large_give_all(&list), lines);
    assert_counts(0, 0, 0);
    cr_assert_eq(hki_large_give_all(&list), 0);
}

Test(large, refusals_lose_nothing, .init = start) {
    const size_t lines[] = {65, SEGMENT_LINES, SEGMENT_LINES + 1, 20 * SEGMENT_LINES};
    for (size_t i = 0; i < LENGTH_OF(lines); i++)
        for (unsigned long skip = 0;; skip++) {
            fail_from(skip);
            uintptr_t granule = take(lines[i]);
            hki_os_fail_calls(0, 0);
            if (granule != 0)
                break;
            cr_assert_lt(skip, 30);
            assert_counts(i, atomic_load(&list.lines), atomic_load(&list.units));
        }
    assert_pool();
}

Test(large, segments_that_the_system_refuses_serve_as_units, .init = start) {
    uintptr_t granule = take(3 * SEGMENT_LINES);
    fill_block(granule, 3 * SEGMENT_LINES, 1);
    fail_from(0);
    cr_assert_eq(give(granule), 3 * SEGMENT_LINES);
    assert_counts(0, 0, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(state_of(granule, (size_t)i), HKI_SEGMENT_UNITS);
        cr_assert_neq(take(SEGMENT_LINES), 0);
    }
    assert_counts(3, 3 * SEGMENT_LINES, 3 * 64);
    hki_os_fail_calls(0, 0);
    cr_assert_eq(hki_large_give_all(&list), 3 * SEGMENT_LINES);
    assert_counts(0, 0, 0);
}

/* ---- resize blocks of units ---- */

Test(large, units_grow_in_place_while_there_is_room, .init = start) {
    uintptr_t granule = take(65);
    fill_block(granule, 65, 1);
    cr_assert_eq(resize(granule, 128), granule);
    cr_assert_eq(resize(granule, 129), granule);
    assert_counts(1, 129, 3);
    uintptr_t next = take(65);
    cr_assert_eq(resize(granule, 192), granule);
    cr_assert_eq(resize(granule, 193), 0);
    assert_counts(2, 192 + 65, 5);
    give(next);
    cr_assert_eq(resize(granule, SEGMENT_LINES), granule);
    cr_assert(block_is_filled(granule, 65, 1));
    assert_counts(1, SEGMENT_LINES, 64);
}

Test(large, units_shrink_in_place, .init = start) {
    uintptr_t granule = take(SEGMENT_LINES);
    fill_block(granule, SEGMENT_LINES, 1);
    fail_from(0);
    cr_assert_eq(resize(granule, 130), granule);
    assert_counts(1, 130, 3);
    cr_assert_eq(resize(granule, 1), granule);
    cr_assert(block_is_filled(granule, 1, 1));
    cr_assert_neq(take(61 * 64), 0); /* the rest can be had by others */
    assert_counts(2, 1 + 61 * 64, 62);
}

Test(large, what_has_grown_gets_segments_of_its_own, .init = start) {
    uintptr_t small = take_growing(511), granule = take_growing(512);
    cr_assert_not(is_huge(small));
    cr_assert(is_huge(granule));
    assert_counts(2, 1023, 8 + 64);
    fill_block(granule, 512, 1);
    cr_assert_eq(resize(granule, SEGMENT_LINES), granule);
    cr_assert_eq(resize(granule, SEGMENT_LINES + 1), granule);
    cr_assert(block_is_filled(granule, 512, 1));
    assert_counts(2, 511 + SEGMENT_LINES + 1, 8 + 128);
    cr_assert_eq(resize(granule, 1), granule);
    assert_counts(2, 511 + 1, 8 + 64);
    cr_assert_eq(give(granule), 1);
    assert_counts(1, 511, 8);
}

Test(large, row_does_not_outgrow_its_segment, .init = start) {
    uintptr_t granule = take(100), next = take(100);
    cr_assert_eq(resize(granule, SEGMENT_LINES + 1), 0);
    cr_assert_eq(resize(next, SEGMENT_LINES + 1), 0);
    cr_assert_not(is_huge(granule));
    assert_counts(2, 200, 4);
}

/* ---- resize huge blocks ---- */

Test(large, huge_block_grows_in_place_while_there_is_room, .init = start) {
    uintptr_t granule = take(SEGMENT_LINES + 1);
    fill_block(granule, SEGMENT_LINES + 1, 1);
    cr_assert_eq(resize(granule, 2 * SEGMENT_LINES), granule);
    assert_counts(1, 2 * SEGMENT_LINES, 128);
    cr_assert_eq(resize(granule, 5 * SEGMENT_LINES + 7), granule);
    assert_counts(1, 5 * SEGMENT_LINES + 7, 6 * 64);
    cr_assert(block_is_filled(granule, SEGMENT_LINES + 1, 1));
    cr_assert_not(unit_of(granule)->moved);
    fill_block(granule, 5 * SEGMENT_LINES + 7, 2);
}

Test(large, huge_block_moves_when_it_is_hemmed_in, .init = start) {
    uintptr_t granule = take(2 * SEGMENT_LINES), fence = take(SEGMENT_LINES + 1);
    fill_block(granule, 2 * SEGMENT_LINES, 1);
    uintptr_t moved = resize(granule, 4 * SEGMENT_LINES);
    cr_assert(moved != 0 && moved != granule);
    cr_assert(block_is_filled(moved, 2 * SEGMENT_LINES, 1));
    cr_assert(is_live(moved) && !is_live(granule));
    cr_assert_eq(atomic_load(&unit_of(moved)->owner), OWNER);
    cr_assert_eq(atomic_load(&unit_of(granule)->owner), 0);
    cr_assert_eq(state_of(granule, 0), HKI_SEGMENT_UNUSED);
    assert_counts(2, 5 * SEGMENT_LINES + 1, 6 * 64);
    cr_assert_eq(give(granule), 0);
    cr_assert_eq(give(fence), SEGMENT_LINES + 1);
    cr_assert_eq(give(moved), 4 * SEGMENT_LINES);
    assert_counts(0, 0, 0);
}

Test(large, moved_block_moves_again, .init = start) {
    uintptr_t granule = take(2 * SEGMENT_LINES);
    take(SEGMENT_LINES + 1);
    size_t lines = 2 * SEGMENT_LINES;
    fill_block(granule, lines, 1);
    for (int i = 0; i < 6; i++) {
        granule = resize(granule, lines + SEGMENT_LINES);
        cr_assert_neq(granule, 0);
        cr_assert(block_is_filled(granule, lines, 1));
        lines += SEGMENT_LINES;
        fill_block(granule, lines, 1);
        if (i % 2 == 1) {
            lines -= SEGMENT_LINES / 2;
            cr_assert_eq(resize(granule, lines), granule);
        }
    }
    assert_counts(2, lines + SEGMENT_LINES + 1, hki_large_units(lines, true) + 128);
}

Test(large, huge_block_shrinks_in_place, .init = start) {
    uintptr_t granule = take(4 * SEGMENT_LINES);
    fill_block(granule, 4 * SEGMENT_LINES, 1);
    cr_assert_eq(resize(granule, 2 * SEGMENT_LINES + 1), granule);
    cr_assert_eq(state_of(granule, 2), HKI_SEGMENT_HUGE_TAIL);
    cr_assert_eq(state_of(granule, 3), HKI_SEGMENT_UNUSED);
    cr_assert(block_is_filled(granule, 2 * SEGMENT_LINES + 1, 1));
    cr_assert_eq(resize(granule, 1), granule);
    cr_assert(is_huge(granule));
    cr_assert(block_is_filled(granule, 1, 1));
    assert_counts(1, 1, 64);
    cr_assert_eq(resize(granule, SEGMENT_LINES), granule);
    cr_assert(block_is_filled(granule, 1, 1));
    cr_assert_eq(give(granule), SEGMENT_LINES);
    assert_counts(0, 0, 0);
}

Test(large, freed_segments_are_kept_for_a_while, .init = start) {
    hki_purge_delay_ms = 10;
    uintptr_t granule = take(3 * SEGMENT_LINES);
    fill_block(granule, 3 * SEGMENT_LINES, 1);
    cr_assert_eq(give(granule), 3 * SEGMENT_LINES);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(state_of(granule, i), HKI_SEGMENT_UNITS);
    uintptr_t again = take(2 * SEGMENT_LINES);
    cr_assert(again >= granule && again < granule + 3 * (HKI_SEGMENT_SIZE / HKI_GRANULE_SIZE));
    cr_assert_eq(give(again), 2 * SEGMENT_LINES);
    hki_os_advance_clock(20);
    take(SEGMENT_LINES / 2);
    hki_os_advance_clock(20);
    give(take(SEGMENT_LINES / 2));
    hki_lock_acquire(&hki_pool_lock);
    cr_assert_null(hki_units_check(&hki_shared_pool));
    hki_lock_release(&hki_pool_lock);
    size_t kept = 0;
    for (size_t i = 0; i < 3; i++)
        kept += state_of(granule, i) == HKI_SEGMENT_UNITS;
    cr_assert_leq(kept, 1); /* the one in which the last block lies */
}

Test(large, only_so_much_is_kept, .init = start) {
    hki_purge_delay_ms = 10;
    uintptr_t large = take(17 * SEGMENT_LINES), granules[17];
    give(large);
    for (size_t i = 0; i < 17; i++)
        cr_assert_eq(state_of(large, i), HKI_SEGMENT_UNUSED);
    for (size_t i = 0; i < 17; i++)
        granules[i] = take(SEGMENT_LINES + 1);
    for (size_t i = 0; i < 17; i++)
        give(granules[i]);
    cr_assert_leq(hki_shared_pool.dirty_units, 16 * HKI_UNITS_PER_SEGMENT);
}

Test(large, growth_takes_what_is_kept_behind, .init = start) {
    hki_purge_delay_ms = 10;
    uintptr_t granule = take(2 * SEGMENT_LINES), behind = take(2 * SEGMENT_LINES);
    fill_block(granule, 2 * SEGMENT_LINES, 1);
    give(behind);
    cr_assert_eq(resize(granule, 4 * SEGMENT_LINES), granule);
    cr_assert(block_is_filled(granule, 2 * SEGMENT_LINES, 1));
    give(granule);
    assert_counts(0, 0, 0);
}

Test(large, pages_behind_a_shrunk_block_are_given_back, .init = start) {
    uintptr_t granule = take(2 * SEGMENT_LINES);
    char *start_of_block = hki_granule_address(granule);
    fill_block(granule, 2 * SEGMENT_LINES, 1);
    cr_assert_eq(resize(granule, SEGMENT_LINES + 1), granule);
    char *behind =
        (char *)hki_align_up((uintptr_t)start_of_block + HKI_SEGMENT_SIZE + HKI_LINE_SIZE, hki_os_page_size());
    cr_assert(is_zero(behind, (size_t)(start_of_block + 2 * (size_t)HKI_SEGMENT_SIZE - behind)));
    cr_assert(block_is_filled(granule, SEGMENT_LINES + 1, 1));
}

Test(large, shrink_that_the_system_refuses_succeeds, .init = start) {
    uintptr_t granule = take(4 * SEGMENT_LINES);
    fill_block(granule, 4 * SEGMENT_LINES, 1);
    fail_from(0);
    cr_assert_eq(resize(granule, SEGMENT_LINES / 2), granule);
    assert_counts(1, SEGMENT_LINES / 2, 64);
    for (size_t i = 1; i < 4; i++)
        cr_assert_eq(state_of(granule, i), HKI_SEGMENT_UNITS);
    cr_assert_eq(resize(granule, SEGMENT_LINES), granule);
    cr_assert_eq(resize(granule, SEGMENT_LINES + 1), 0);
    hki_os_fail_calls(0, 0);
    cr_assert(block_is_filled(granule, SEGMENT_LINES / 2, 1));
    assert_counts(1, SEGMENT_LINES, 64);
    give(granule);
    assert_counts(0, 0, 0);
}

Test(large, refused_growth_changes_nothing, .init = start) {
    for (unsigned long skip = 0; skip < 4; skip++) {
        uintptr_t granule = take(2 * SEGMENT_LINES), fence = take(SEGMENT_LINES + 1);
        fill_block(granule, 2 * SEGMENT_LINES, 1);
        fail_from(skip);
        uintptr_t grown = resize(granule, 5 * SEGMENT_LINES);
        hki_os_fail_calls(0, 0);
        cr_assert_eq(skip == 0, grown == 0);
        uintptr_t now = grown != 0 ? grown : granule;
        cr_assert(block_is_filled(now, 2 * SEGMENT_LINES, 1));
        cr_assert_neq(give(now), 0);
        cr_assert_neq(give(fence), 0);
        assert_counts(0, 0, 0);
    }
}

Test(large, what_a_move_loses_is_never_used_again, .init = start) {
    uintptr_t granule = take(2 * SEGMENT_LINES);
    take(SEGMENT_LINES + 1);
    fail_from(1); /* the old place cannot be reserved again */
    uintptr_t moved = resize(granule, 4 * SEGMENT_LINES);
    hki_os_fail_calls(0, 0);
    cr_assert_neq(moved, 0);
    cr_assert_eq(state_of(granule, 0), HKI_SEGMENT_LOST);
    cr_assert_eq(state_of(granule, 1), HKI_SEGMENT_LOST);
    for (int i = 0; i < 5; i++) {
        uintptr_t other = take(SEGMENT_LINES + 1);
        cr_assert(other > granule);
        cr_assert_neq(state_of(other, 0), HKI_SEGMENT_LOST);
    }
    hki_large_give_all(&list);
    assert_counts(0, 0, 0);
}

/* A notice of a remote free is counted in remote_lines first; whoever counted it takes it back or tells the owner. If
 * another one did, two notices could be on their way to one unit, and push it twice. */
Test(large, notice_on_its_way_is_left_alone, .init = start) {
    uintptr_t granule = take(65);
    give(granule);
    atomic_fetch_or(&unit_of(granule)->remote_lines, 4);
    cr_assert_eq(take(65), granule);
    cr_assert_eq(atomic_load(&unit_of(granule)->remote_lines), 4);
}

/* A caller looks without the lock; by the time he has it, the block may be gone and its place another arena's. */
Test(large, block_of_another_owner_by_now_is_left_alone, .init = start) {
    const size_t lengths[] = {65, SEGMENT_LINES + 1};
    hki_large_list others = {.owner = OWNER + 8, .pool = &hki_shared_pool};
    for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
        uintptr_t granule = take(lengths[i]);
        cr_assert_eq(hki_large_give(&others, granule), 0);
        cr_assert_eq(hki_large_resize(&others, granule, 3 * SEGMENT_LINES), 0);
        assert_counts(1, lengths[i], hki_large_units(lengths[i], is_huge(granule)));
        give(granule);
        cr_assert_eq(resize(granule, 70), 0);
        assert_counts(0, 0, 0);
    }
}

/* ---- a model ---- */

enum { BLOCKS = 24 };

typedef struct block {
    uintptr_t granule;
    size_t lines;
    unsigned seed;
} block;

static void mark(block *b, unsigned seed) {
    b->seed = seed;
    fill_block(b->granule, 1, seed);
    fill_block(b->granule + (b->lines - 1) * HKI_GRANULES_PER_LINE, 1, seed);
}

static void change(block *b, uint32_t *seed) {
    size_t lines = 65 + random_size(seed, 3 * SEGMENT_LINES);
    if (b->granule == 0) {
        *b = (block){take_aligned(lines, (size_t)1 << next_random(seed) % 24), lines, 0};
        cr_assert_neq(b->granule, 0);
    } else if (next_random(seed) % 2 == 0) {
        cr_assert(is_filled(hki_granule_address(b->granule), HKI_LINE_SIZE, b->seed));
        cr_assert_eq(give(b->granule), b->lines);
        b->granule = 0;
        return;
    } else {
        uintptr_t granule = resize(b->granule, lines);
        cr_assert(granule != 0 || lines > b->lines);
        if (granule == 0)
            return;
        cr_assert(is_filled(hki_granule_address(granule), HKI_LINE_SIZE, b->seed));
        b->granule = granule;
        b->lines = lines;
    }
    mark(b, next_random(seed));
}

Test(large, list_follows_a_model, .init = start) {
    block blocks[BLOCKS] = {{0}};
    uint32_t seed = 31337;
    for (int round = 0; round < 3000; round++) {
        size_t count = 0, lines = 0, units = 0;
        hki_os_fail_calls(0, next_random(&seed) % 32 == 0 ? 1 : 0);
        block *b = &blocks[next_random(&seed) % BLOCKS];
        if (b->granule == 0)
            hki_os_fail_calls(0, 0);
        change(b, &seed);
        hki_os_fail_calls(0, 0);
        for (int i = 0; i < BLOCKS; i++) {
            bool there = blocks[i].granule != 0;
            count += there;
            lines += there ? blocks[i].lines : 0;
            units += there ? hki_large_units(blocks[i].lines, is_huge(blocks[i].granule)) : 0;
        }
        assert_counts(count, lines, units);
    }
}
