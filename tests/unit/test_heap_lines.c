/* heap_lines: units and lines of a heap: which are taken, and what becomes of those that are given back. */
#include "heap_fixture.h"

static hki_lines lines;

static hk_status take(unsigned wanted, unsigned enough) {
    return hki_heap_take_lines(heap, wanted, enough, 1, &lines);
}

static uint32_t taken(unsigned count) {
    cr_assert_eq(take(count, count), HK_OK);
    cr_assert_eq(lines.count, count);
    return lines.first;
}

static void give(uint32_t first, unsigned count) {
    hki_heap_give_lines(heap, first, count);
}

static uint32_t length_of_list(uint32_t first) {
    uint32_t length = 0, previous = 0;
    for (uint32_t i = first; i != 0; previous = i, i = hki_unit_at(i)->next, length++) {
        cr_assert_eq(hki_unit_at(i)->previous, previous);
        cr_assert_eq(hki_unit_at(i)->has_room, first == heap->room);
        cr_assert_eq(hki_unit_free_lines(hki_unit_at(i)) != 0, first == heap->room);
    }
    return length;
}

static void assert_lists(uint32_t room, uint32_t full) {
    cr_assert_eq(length_of_list(heap->room), room);
    cr_assert_eq(length_of_list(heap->full), full);
    cr_assert_eq(units_of(heap), room + full);
}

Test(heap_lines, rows_come_from_the_lowest_up, .init = start_heaps) {
    uint32_t first = taken(10);
    cr_assert_eq(first % HKI_LINES_PER_UNIT, 0);
    cr_assert_eq(atomic_load(&hki_line_unit(first)->owner), (uintptr_t)heap);
    cr_assert_eq(taken(54), first + 10);
    assert_lists(0, 1);
    cr_assert_eq(held(), 64);
    give(first + 10, 54);
    assert_lists(1, 0);
    cr_assert_eq(taken(1), first + 10);
    cr_assert_eq(held(), 11);
}

Test(heap_lines, alignment, .init = start_heaps) {
    taken(1);
    for (unsigned alignment = 2; alignment <= 64; alignment *= 2) {
        cr_assert_eq(hki_heap_take_lines(heap, 1, 1, alignment, &lines), HK_OK);
        cr_assert_eq(lines.first % alignment, 0);
    }
    assert_lists(2, 0);
}

Test(heap_lines, lines_are_clean_until_somebody_writes, .init = start_heaps) {
    uint32_t first = taken(4);
    cr_assert(lines.clean);
    taken(4);
    cr_assert(lines.clean);
    give(first, 4);
    cr_assert_eq(taken(2), first);
    cr_assert(lines.clean);
    hki_heap_dirty_lines(first, 1);
    give(first, 2);
    cr_assert_eq(taken(2), first);
    cr_assert_not(lines.clean);
    taken(64 - 8);
    cr_assert(lines.clean);
}

Test(heap_lines, fewer_lines_spare_a_unit, .init = start_heaps) {
    taken(60);
    cr_assert_eq(take(8, 4), HK_OK);
    cr_assert_eq(lines.count, 4);
    cr_assert_eq(held(), 64);
    assert_lists(0, 1);
    cr_assert_eq(take(8, 4), HK_OK);
    cr_assert_eq(lines.count, 8);
    cr_assert_eq(held(), 72);
    assert_lists(1, 1);
}

Test(heap_lines, fewer_lines_keep_the_limit, .init = start_heaps) {
    atomic_store(&quota.limit_lines, 7);
    cr_assert_eq(take(8, 4), HK_OK);
    cr_assert_eq(lines.count, 4);
    cr_assert_eq(take(8, 4), HK_ERR_LIMIT);
    cr_assert_eq(take(4, 4), HK_ERR_LIMIT);
    cr_assert_eq(held(), 4);
    cr_assert_eq(take(3, 3), HK_OK);
    cr_assert_eq(held(), 7);
}

Test(heap_lines, refusal_takes_nothing, .init = start_heaps) {
    fail_from(0);
    cr_assert_eq(take(8, 4), HK_ERR_NO_MEMORY);
    cr_assert_eq(held(), 0);
    assert_lists(0, 0);
    hki_os_fail_calls(0, 0);
    taken(59);
    bool clean;
    const hki_units_wanted rest = {.count = 63, .alignment = 1, .owner = 8, .kind = HKI_UNIT_LARGE};
    hki_lock_acquire(&hki_pool_lock);
    hki_units_take(&hki_shared_pool, &rest, &clean); /* of the segment */
    hki_lock_release(&hki_pool_lock);
    fail_from(0);
    cr_assert_eq(take(8, 6), HK_ERR_NO_MEMORY);
    cr_assert_eq(held(), 59);
    cr_assert_eq(take(8, 4), HK_OK);
    cr_assert_eq(held(), 63);
    assert_lists(1, 0);
}

Test(heap_lines, one_empty_unit_is_kept, .init = start_heaps) {
    uint32_t first = taken(64), second = taken(64), third = taken(64);
    give(first, 64);
    cr_assert_eq(heap->spare, first / 64);
    assert_lists(1, 2);
    give(second, 64);
    assert_lists(1, 1);
    cr_assert_eq(atomic_load(&hki_line_unit(second)->owner), 0);
    cr_assert_eq(atomic_load(&hki_line_unit(second)->kind), HKI_UNIT_FREE);
    give(third, 64);
    assert_lists(1, 0);
    cr_assert_eq(taken(1), first);
    cr_assert_eq(heap->spare, 0);
    give(first, 1);
    cr_assert_eq(heap->spare, first / 64);
    cr_assert_eq(held(), 0);
    cr_assert_null(check_pool());
}

Test(heap_lines, unit_with_a_notice_on_its_way_stays, .init = start_heaps) {
    uint32_t first = taken(64), second = taken(64);
    give(first, 64);
    atomic_store(&hki_line_unit(second)->remote_lines, 1);
    give(second, 64);
    cr_assert_eq(atomic_load(&hki_line_unit(second)->owner), (uintptr_t)heap);
    assert_lists(2, 0);
    atomic_store(&hki_line_unit(second)->remote_lines, 0);
    hki_heap_unit_is_empty(heap, second / 64);
    assert_lists(1, 0);
}

Test(heap_lines, unit_that_is_being_collected_stays, .init = start_heaps) {
    uint32_t first = taken(64), second = taken(64);
    give(first, 64);
    atomic_fetch_add(&hki_line_unit(second)->collections, 1);
    give(second, 64);
    assert_lists(2, 0);
    atomic_fetch_add(&hki_line_unit(second)->collections, 1);
    hki_heap_unit_is_empty(heap, second / 64);
    assert_lists(1, 0);
}

Test(heap_lines, spare_unit_is_given_once, .init = start_heaps) {
    uint32_t first = taken(64);
    give(first, 64);
    hki_heap_unit_is_empty(heap, first / 64);
    assert_lists(1, 0);
    hki_heap_reclaim(heap);
    assert_lists(0, 0);
    cr_assert_eq(heap->spare, 0);
    assert_nothing_left();
}

/* ---- a model ---- */

enum { ROWS = 80 };

typedef struct row {
    uint32_t first;
    unsigned count;
} row;

static void assert_apart(const row *rows, int i) {
    for (int k = 0; k < ROWS; k++)
        cr_assert(k == i || rows[k].count == 0 || rows[k].first >= rows[i].first + rows[i].count ||
                  rows[i].first >= rows[k].first + rows[k].count);
}

Test(heap_lines, lines_follow_a_model, .init = start_heaps) {
    row rows[ROWS] = {{0}};
    uint32_t seed = 2718;
    size_t sum = 0;
    for (int round = 0; round < 5000; round++) {
        int i = (int)(next_random(&seed) % ROWS);
        if (rows[i].count != 0) {
            give(rows[i].first, rows[i].count);
            sum -= rows[i].count;
            rows[i].count = 0;
        } else {
            unsigned enough = 1 + next_random(&seed) % 32, wanted = enough + next_random(&seed) % 32;
            cr_assert_eq(take(wanted, enough), HK_OK);
            cr_assert(lines.count == wanted || lines.count == enough);
            rows[i] = (row){lines.first, lines.count};
            sum += lines.count;
            assert_apart(rows, i);
        }
        cr_assert_eq(held(), sum);
        assert_lists(length_of_list(heap->room), length_of_list(heap->full));
    }
}
