/* unit: the pool of units: rows, owners, purging, segments that come and go. */
#include "unit_test.h"

static uint32_t take_wanted(hki_units_wanted wanted, bool *clean) {
    hki_lock_acquire(&hki_pool_lock);
    uint32_t unit = hki_units_take(&hki_shared_pool, &wanted, clean);
    hki_lock_release(&hki_pool_lock);
    return unit;
}

static uint32_t take(size_t count, size_t alignment, uintptr_t owner, bool *clean) {
    return take_wanted((hki_units_wanted){count, alignment, owner, HKI_UNIT_LARGE}, clean);
}

static uint32_t take_some(size_t count) {
    bool clean;
    return take(count, 1, 8, &clean);
}

static void give(uint32_t first, size_t count) {
    hki_lock_acquire(&hki_pool_lock);
    hki_units_give(&hki_shared_pool, first, count);
    hki_units_purge_if_due(&hki_shared_pool);
    hki_lock_release(&hki_pool_lock);
}

static bool extend(uint32_t first, size_t count, size_t more) {
    hki_lock_acquire(&hki_pool_lock);
    bool done = hki_units_extend(&hki_shared_pool, first, count, more);
    hki_lock_release(&hki_pool_lock);
    return done;
}

static void assert_pool(void) {
    hki_lock_acquire(&hki_pool_lock);
    const char *wrong = hki_units_check(&hki_shared_pool);
    hki_lock_release(&hki_pool_lock);
    cr_assert_null(wrong, "%s", wrong);
}

/* Time passes only where a test lets it. */
static void start(void) {
    atomic_store(&hki_purge_delay_ms, 3600000);
    cr_assert(hki_registry_start());
}

static hki_unit_kind kind_of(uint32_t unit) {
    return atomic_load(&hki_registry.units[unit].kind);
}

static uintptr_t owner_of(uint32_t unit) {
    return atomic_load(&hki_registry.units[unit].owner);
}

static char *address_of(uint32_t unit) {
    return hki_granule_address(hki_unit_granule(unit));
}

typedef struct pool_counts {
    size_t segments, used, dirty, clean;
} pool_counts;

static pool_counts count_pool(void) {
    pool_counts counts = {0};
    for (uint32_t i = 1; i < hki_segments_end(); i++) {
        const hki_segment *segment = &hki_registry.segments[i];
        if (atomic_load(&segment->state) != HKI_SEGMENT_UNITS)
            continue;
        counts.segments++;
        counts.used += 64 - hki_count_bits(segment->free_units);
        counts.clean += hki_count_bits(segment->clean_units);
        counts.dirty += hki_count_bits(segment->free_units & ~segment->clean_units);
    }
    return counts;
}

Test(unit, rows_of_each_length_and_alignment, .init = start) {
    for (size_t alignment = 1; alignment <= 64; alignment *= 2)
        for (size_t count = 1; count <= 64; count += count < 4 ? 1 : 15) {
            bool clean;
            uint32_t first = take(count, alignment, 0x1008, &clean);
            cr_assert_neq(first, 0);
            cr_assert_eq((uintptr_t)address_of(first) % (alignment << HKI_UNIT_SHIFT), 0);
            cr_assert_eq(first / 64, (first + count - 1) / 64);
            cr_assert_eq(kind_of(first), HKI_UNIT_LARGE);
            cr_assert_eq(owner_of(first), 0x1008);
            for (uint32_t i = 1; i < count; i++) {
                cr_assert_eq(kind_of(first + i), HKI_UNIT_LARGE_TAIL);
                cr_assert_eq(owner_of(first + i), 0);
                cr_assert_eq(atomic_load(&hki_registry.units[first + i].head), first);
            }
        }
    assert_pool();
}

Test(unit, given_units_are_free, .init = start) {
    uint32_t first = take_some(10);
    give(first + 7, 3);
    for (uint32_t i = 7; i < 10; i++)
        cr_assert(kind_of(first + i) == HKI_UNIT_FREE && owner_of(first + i) == 0);
    cr_assert_eq(kind_of(first + 6), HKI_UNIT_LARGE_TAIL);
    give(first, 7);
    cr_assert_eq(kind_of(first), HKI_UNIT_FREE);
    cr_assert_eq(count_pool().used, 0);
    assert_pool();
}

Test(unit, new_units_are_clean_and_used_ones_come_first, .init = start) {
    bool clean = false;
    uint32_t first = take(4, 1, 8, &clean);
    cr_assert(clean);
    cr_assert(is_zero(address_of(first), 4 * (size_t)HKI_UNIT_SIZE));
    fill(address_of(first), 4 * (size_t)HKI_UNIT_SIZE, 1);
    uint32_t second = take(1, 1, 8, &clean);
    give(first, 4);
    cr_assert_eq(take(2, 1, 8, &clean), first);
    cr_assert_not(clean);
    cr_assert_eq(take(2, 2, 8, &clean), first + 2);
    cr_assert_not(clean);
    cr_assert_eq(take(1, 1, 8, &clean), second + 1);
    cr_assert(clean);
    assert_pool();
}

Test(unit, row_of_clean_and_dirty_units_is_not_clean, .init = start) {
    bool clean = true;
    uint32_t first = take_some(1);
    give(first, 1);
    cr_assert_eq(take(2, 1, 8, &clean), first);
    cr_assert_not(clean);
    assert_pool();
}

Test(unit, extension_takes_just_the_units_behind, .init = start) {
    uint32_t first = take_some(2);
    cr_assert(extend(first, 2, 3));
    cr_assert_eq(kind_of(first + 4), HKI_UNIT_LARGE_TAIL);
    cr_assert_eq(atomic_load(&hki_registry.units[first + 4].head), first);
    uint32_t next = take_some(1);
    cr_assert_eq(next, first + 5);
    cr_assert_not(extend(first, 5, 1));
    cr_assert_not(extend(first, 5, 2));
    give(next, 1);
    cr_assert(extend(first, 5, 1));
    assert_pool();
}

Test(unit, extension_ends_with_the_segment, .init = start) {
    uint32_t first = take_some(62);
    cr_assert_eq(first % 64, 0);
    cr_assert_not(extend(first, 62, 3));
    cr_assert(extend(first, 62, 2));
    cr_assert_not(extend(first, 64, 1));
    cr_assert_eq(count_pool().used, 64);
    assert_pool();
}

Test(unit, full_segments_leave_the_list_and_come_back, .init = start) {
    uint32_t first = take_some(64), second = take_some(64);
    assert_pool();
    give(first + 63, 1);
    assert_pool();
    cr_assert_eq(take_some(1), first + 63);
    give(second, 64);
    give(first, 64);
    assert_pool();
    cr_assert_eq(count_pool().used, 0);
}

/* What is free at one look of the clock loses its pages at the next one; the looks come with takes and gives. */
static void let_time_pass(void) {
    for (int i = 0; i < 3; i++) {
        hki_os_advance_clock(atomic_load(&hki_purge_delay_ms));
        give(take_some(1), 1);
    }
}

Test(unit, whole_free_segments_go_back_to_the_system, .init = start) {
    enum { SEGMENTS = 40 };
    uint32_t firsts[SEGMENTS];
    for (int i = 0; i < SEGMENTS; i++)
        firsts[i] = take_some(64);
    let_time_pass();
    cr_assert_eq(count_pool().segments, SEGMENTS + 1);
    for (int i = 0; i < SEGMENTS; i++)
        give(firsts[i], 64);
    cr_assert_geq(count_pool().segments, SEGMENTS);
    let_time_pass();
    assert_pool();
    cr_assert_leq(count_pool().segments, 1);
    for (int i = 0; i < SEGMENTS; i++) {
        bool unused = atomic_load(&hki_registry.segments[firsts[i] / 64].state) == HKI_SEGMENT_UNUSED;
        cr_assert_eq(can_read(address_of(firsts[i])), !unused);
    }
}

Test(unit, pages_of_free_units_go_back_to_the_system, .init = start) {
    enum { SEGMENTS = 20 };
    uint32_t firsts[SEGMENTS];
    for (int i = 0; i < SEGMENTS; i++) {
        firsts[i] = take_some(64);
        *address_of(firsts[i] + 17) = 1;
    }
    for (int i = 0; i < SEGMENTS; i++) {
        give(firsts[i] + 1, 30);
        give(firsts[i] + 32, 32);
    }
    for (int i = 0; i < SEGMENTS; i++)
        cr_assert_eq(*address_of(firsts[i] + 17), 1);
    let_time_pass();
    assert_pool();
    cr_assert_eq(count_pool().used, 2 * SEGMENTS);
    cr_assert_leq(count_pool().dirty, 1);
    for (int i = 0; i < SEGMENTS; i++)
        cr_assert_eq(*address_of(firsts[i] + 17), 0);
}

Test(unit, what_is_used_again_in_time_keeps_its_pages, .init = start) {
    uint32_t first = take_some(2);
    *address_of(first) = 1;
    *address_of(first + 1) = 1;
    give(first, 2);
    cr_assert_eq(take_some(1), first);
    hki_os_advance_clock(atomic_load(&hki_purge_delay_ms));
    give(take_some(1), 1);
    assert_pool();
    cr_assert_eq(*address_of(first), 1);
    cr_assert_eq(*address_of(first + 1), 0);
}

Test(unit, delay_of_zero_is_at_once, .init = start) {
    atomic_store(&hki_purge_delay_ms, 0);
    uint32_t first = take_some(3);
    *address_of(first + 1) = 1;
    give(first + 1, 1);
    cr_assert_eq(*address_of(first + 1), 0);
    cr_assert_eq(count_pool().dirty, 0);
    assert_pool();
}

Test(unit, purge_is_at_once, .init = start) {
    uint32_t first = take_some(3), rest = take_some(64);
    *address_of(first + 1) = 1;
    give(first + 1, 1);
    give(rest, 64);
    hki_lock_acquire(&hki_pool_lock);
    hki_units_purge(&hki_shared_pool);
    hki_lock_release(&hki_pool_lock);
    cr_assert_eq(*address_of(first + 1), 0);
    cr_assert(count_pool().dirty == 0 && count_pool().segments == 1);
    assert_pool();
}

/* The tables' pages of units that are free go as well; those of neighbours in use stay. */
Test(unit, tables_of_free_units_are_purged, .init = start) {
    uint32_t first = take_some(64);
    uint32_t line = first * HKI_LINES_PER_UNIT;
    for (uint32_t i = 0; i < 64 * HKI_LINES_PER_UNIT; i++)
        hki_line_set_tag(line + i, 7);
    give(first + 1, 63);
    let_time_pass();
    assert_pool();
    cr_assert_eq(hki_granule_tag(hki_line_granule(line)), 7);
    cr_assert_eq(hki_granule_tag(hki_line_granule(line + 63 * HKI_LINES_PER_UNIT)), 0);
}

Test(unit, refused_purges_lose_nothing, .init = start) {
    enum { SEGMENTS = 20 };
    uint32_t firsts[SEGMENTS];
    for (int i = 0; i < SEGMENTS; i++)
        firsts[i] = take_some(64);
    atomic_store(&hki_purge_delay_ms, 0);
    fail_from(0);
    for (int i = 0; i < SEGMENTS; i++) {
        give(firsts[i], 64);
        assert_pool();
    }
    pool_counts counts = count_pool();
    cr_assert(counts.segments == SEGMENTS && counts.used == 0 && counts.dirty == SEGMENTS * 64);
    for (int i = 0; i < SEGMENTS; i++)
        cr_assert_neq(take_some(64), 0); /* without the system */
    hki_os_fail_calls(0, 0);
    for (int i = 0; i < SEGMENTS; i++)
        give(firsts[i], 64);
    assert_pool();
    cr_assert_eq(count_pool().dirty, 0);
}

Test(unit, some_refused_purges_lose_nothing, .init = start) {
    enum { SEGMENTS = 20 };
    atomic_store(&hki_purge_delay_ms, 0);
    for (unsigned long skip = 0; skip < 30; skip++) {
        uint32_t firsts[SEGMENTS];
        for (int i = 0; i < SEGMENTS; i++)
            firsts[i] = take_some(64);
        hki_os_fail_calls(skip, 1 + skip % 5);
        for (int i = 0; i < SEGMENTS; i++) {
            give(firsts[i], 63);
            assert_pool();
        }
        hki_os_fail_calls(0, 0);
        for (int i = 0; i < SEGMENTS; i++)
            give(firsts[i] + 63, 1);
        assert_pool();
        cr_assert_eq(count_pool().used, 0);
    }
}

Test(unit, refusal_gives_none, .init = start) {
    fail_from(0);
    cr_assert_eq(take_some(1), 0);
    hki_os_fail_calls(0, 0);
    assert_pool();
    uint32_t first = take_some(60);
    fail_from(0);
    cr_assert_eq(take_some(5), 0);
    cr_assert_eq(take_some(4), first + 60);
    assert_pool();
}

Test(unit, adopted_segments_serve_as_dirty_units, .init = start) {
    bool clean = true;
    hki_lock_acquire(&hki_pool_lock);
    uint32_t first = hki_segments_take(3, 1, HKI_SEGMENT_HUGE);
    hki_units_adopt(&hki_shared_pool, first, 3);
    hki_lock_release(&hki_pool_lock);
    assert_pool();
    cr_assert_eq(count_pool().dirty, 3 * 64);
    for (int i = 0; i < 3; i++) {
        uint32_t unit = take(64, 1, 8, &clean);
        cr_assert(unit / 64 >= first && unit / 64 < first + 3 && !clean);
        fill(address_of(unit), 64 * (size_t)HKI_UNIT_SIZE, 1);
    }
    assert_pool();
}

/* ---- a model ---- */

enum { ROWS = 60 };

typedef struct row {
    uint32_t first;
    unsigned count;
} row;

static void assert_row(const row *rows, int i) {
    for (int k = 0; k < ROWS; k++)
        cr_assert(k == i || rows[k].count == 0 || rows[k].first >= rows[i].first + rows[i].count ||
                  rows[i].first >= rows[k].first + rows[k].count);
    for (uint32_t k = 1; k < rows[i].count; k++)
        cr_assert_eq(atomic_load(&hki_registry.units[rows[i].first + k].head), rows[i].first);
}

static void change_row(row *rows, int i, uint32_t *seed) {
    unsigned count = 1 + next_random(seed) % (next_random(seed) % 4 == 0 ? 64 : 8);
    if (rows[i].count == 0) {
        rows[i] = (row){take_some(count), count};
        cr_assert_neq(rows[i].first, 0);
    } else if (next_random(seed) % 3 == 0) {
        if (extend(rows[i].first, rows[i].count, count))
            rows[i].count += count;
    } else if (rows[i].count > 1 && next_random(seed) % 2 == 0) {
        unsigned kept = 1 + next_random(seed) % (rows[i].count - 1);
        give(rows[i].first + kept, rows[i].count - kept);
        rows[i].count = kept;
    } else {
        give(rows[i].first, rows[i].count);
        rows[i].count = 0;
    }
}

Test(unit, pool_follows_a_model, .init = start) {
    row rows[ROWS] = {{0}};
    uint32_t seed = 4242;
    for (int round = 0; round < 5000; round++) {
        int i = (int)(next_random(&seed) % ROWS);
        change_row(rows, i, &seed);
        assert_row(rows, i);
        size_t used = 0;
        for (int k = 0; k < ROWS; k++)
            used += rows[k].count;
        cr_assert_eq(count_pool().used, used);
        if (round % 16 == 0)
            assert_pool();
    }
}
