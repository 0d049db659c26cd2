/* check: each complaint about bits, runs and units has corruptions that bring it about. The rest of the books:
 * test_check_books.c. */
#include "check_fixture.h"

/* ---- bits ---- */

static void live_inside_a_block(void) {
    flip_live(live + 1);
}

/* Where the 22nd block of 48 bytes would be, of which a line holds only 21. */
static void live_behind_the_last_block(void) {
    cr_assert_eq(hki_run_lines(run_of(in_short_run)), 1);
    flip_live(hki_line_granule(first_line_of(in_short_run)) + run_of(in_short_run)->blocks * UINT64_C(6));
}

static void live_inside_lines(void) {
    flip_live(of_lines + HKI_GRANULES_PER_LINE);
}

static void parked_inside_a_block(void) {
    flip_parked(parked + 1);
}

static void parked_inside_lines(void) {
    flip_parked(of_lines + 1);
}

static void live_is_parked(void) {
    flip_parked(live);
}

static void parked_is_live(void) {
    flip_live(parked);
}

static void parked_is_remote(void) {
    flip_remote(parked);
}

static void stacked_is_remote(void) {
    flip_remote(*top());
}

static void remote_inside_a_block(void) {
    flip_remote(live + 1);
}

static void parked_bit_is_lost(void) {
    flip_parked(parked);
}

static void stacked_is_parked_too(void) {
    flip_parked(*top());
}

static void parked_count_is_high(void) {
    ADD(run_of(live)->parked, 1);
}

static void lines_park_something(void) {
    SET(run_of(of_lines)->parked, 1);
}

Test(check, bits_of_runs) {
    static const corruption cases[] = {
        {"a live bit where no block starts", live_inside_a_block},
        {"a live bit where no block starts", live_behind_the_last_block},
        {"a live bit where no block starts", live_inside_lines},
        {"a parked bit where no block starts", parked_inside_a_block},
        {"a parked bit where no block starts", parked_inside_lines},
        {"a block is both live and parked", live_is_parked},
        {"a block is both live and parked", parked_is_live},
        {"a remote bit without a live block", parked_is_remote},
        {"a remote bit without a live block", stacked_is_remote},
        {"a remote bit without a live block", remote_inside_a_block},
        {"a run's count of parked blocks is wrong", parked_bit_is_lost},
        {"a run's count of parked blocks is wrong", stacked_is_parked_too},
        {"a run's count of parked blocks is wrong", parked_count_is_high},
        {"a run's count of parked blocks is wrong", lines_park_something},
    };
    ASSERT_COMPLAINTS(cases);
}

static void live_in_free_line(void) {
    flip_live(free_line() + 7);
}

static void remote_in_free_line(void) {
    flip_remote(free_line() + 64);
}

static void parked_in_free_line(void) {
    flip_parked(free_line() + 127);
}

Test(check, bits_of_free_lines) {
    static const corruption cases[] = {
        {"a free line has bits set", live_in_free_line},
        {"a free line has bits set", remote_in_free_line},
        {"a free line has bits set", parked_in_free_line},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- runs ---- */

static void class_is_none(void) {
    SET(run_of(live)->size_class, HKI_CLASS_LARGE + 1);
}

static void class_is_all_ones(void) {
    SET(run_of(of_lines)->size_class, UINT8_MAX);
}

static void run_is_empty(void) {
    SET(run_of(live)->lines, 0);
}

static void run_is_long(void) {
    SET(run_of(of_lines)->lines, HKI_LINES_PER_UNIT + 1);
}

static void full_run_is_longer(void) {
    ADD(run_of(full)->lines, 1);
}

static void run_has_more_blocks(void) {
    ADD(run_of(live)->blocks, 1);
}

static void lines_are_two_blocks(void) {
    SET(run_of(of_lines)->blocks, 2);
}

static void class_is_another(void) {
    SET(run_of(live)->size_class, HKI_CLASS_128);
}

static void tag_is_of_another_heap(void) {
    SET(hki_registry.line_tags[hki_granule_line(live)], other_heap->tag | CLASS);
}

static void tag_is_of_another_class(void) {
    ADD(hki_registry.line_tags[hki_granule_line(live)], 1);
}

static void tag_of_last_line_is_none(void) {
    SET(hki_registry.line_tags[hki_granule_line(of_lines) + LINES - 1], 0);
}

static void run_begins_in_a_run(void) {
    uint32_t line = hki_granule_line(of_lines) + 1;
    SET(hki_run_record(line)->size_class, HKI_CLASS_LARGE);
    SET(hki_run_record(line)->lines, 1);
    SET(hki_run_record(line)->blocks, 1);
    SET(hki_run_record(line)->parked, 0);
    SET(hki_granule_unit(of_lines)->run_starts,
        atomic_load(&hki_granule_unit(of_lines)->run_starts) | UINT64_C(1) << line % HKI_LINES_PER_UNIT);
}

Test(check, runs) {
    static const corruption cases[] = {
        {"a run has no size class", class_is_none},
        {"a run has no size class", class_is_all_ones},
        {"a run leaves its unit", run_is_empty},
        {"a run leaves its unit", run_is_long},
        {"a run leaves its unit", full_run_is_longer},
        {"a run's count of blocks is wrong", run_has_more_blocks},
        {"a run's count of blocks is wrong", lines_are_two_blocks},
        {"a run's count of blocks is wrong", class_is_another},
        {"a line has another tag than its heap and run", tag_is_of_another_heap},
        {"a line has another tag than its heap and run", tag_is_of_another_class},
        {"a line has another tag than its heap and run", tag_of_last_line_is_none},
        {"two runs overlap", run_begins_in_a_run},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- units ---- */

static void unit_is_nobodys(void) {
    SET(hki_granule_unit(of_lines)->owner, 0);
}

static void unit_is_another_heaps(void) {
    SET(hki_granule_unit(full)->owner, (uintptr_t)other_heap);
}

static void unit_is_the_arenas(void) {
    SET(hki_granule_unit(live)->owner, (uintptr_t)arena | HKI_OWNER_IS_ARENA);
}

static void unit_is_free(void) {
    SET(hki_granule_unit(live)->kind, HKI_UNIT_FREE);
}

static void unit_is_a_tail(void) {
    SET(hki_granule_unit(full)->kind, HKI_UNIT_LARGE_TAIL);
}

static void room_is_not_noted(void) {
    SET(hki_granule_unit(of_lines)->has_room, false);
}

static void full_unit_has_room(void) {
    SET(hki_granule_unit(full)->has_room, true);
}

static void free_lines_are_lost(void) {
    SET(hki_granule_unit(of_lines)->free_lines, 0);
}

static void full_unit_has_a_free_line(void) {
    SET(hki_granule_unit(full)->free_lines, 1);
}

static void used_line_is_clean(void) {
    SET(hki_granule_unit(of_lines)->clean_lines, hki_run_mask(hki_granule_line(of_lines), 1));
}

static void full_unit_is_clean(void) {
    SET(hki_granule_unit(full)->clean_lines, UINT64_C(1) << 63);
}

static void line_with_a_live_block_is_clean(void) {
    SET(hki_granule_unit(live)->clean_lines, hki_run_mask(hki_granule_line(live), 1));
}

static void line_is_used_by_no_run(void) {
    hki_unit *unit = hki_granule_unit(of_lines);
    cr_assert_geq(hki_count_bits(free_lines()), 2);
    SET(unit->clean_lines, 0);
    SET(unit->free_lines, free_lines() & ~lowest(free_lines()));
}

static void run_is_forgotten(void) {
    hki_unit *unit = hki_granule_unit(of_lines);
    SET(unit->run_starts, atomic_load(&unit->run_starts) & ~hki_run_mask(hki_granule_line(of_lines), 1));
}

static void used_line_is_free(void) {
    SET(hki_granule_unit(of_lines)->free_lines, free_lines() | hki_run_mask(hki_granule_line(of_lines), 1));
}

Test(check, units) {
    static const corruption cases[] = {
        {"a unit on a heap's list has another owner", unit_is_nobodys},
        {"a unit on a heap's list has another owner", unit_is_another_heaps},
        {"a unit on a heap's list has another owner", unit_is_the_arenas},
        {"a unit on a heap's list is of another kind", unit_is_free},
        {"a unit on a heap's list is of another kind", unit_is_a_tail},
        {"a unit is on the wrong list", room_is_not_noted},
        {"a unit is on the wrong list", full_unit_has_room},
        {"a unit is on the wrong list", free_lines_are_lost},
        {"a unit is on the wrong list", full_unit_has_a_free_line},
        {"a line in use is marked clean", used_line_is_clean},
        {"a line in use is marked clean", full_unit_is_clean},
        {"a line in use is marked clean", line_with_a_live_block_is_clean},
        {"runs and free lines do not make up the unit", line_is_used_by_no_run},
        {"runs and free lines do not make up the unit", run_is_forgotten},
        {"runs and free lines do not make up the unit", used_line_is_free},
    };
    ASSERT_COMPLAINTS(cases);
}
