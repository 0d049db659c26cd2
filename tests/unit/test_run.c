/* run: where blocks lie, and which are parked. A unit without a heap serves as ground. */
#include "unit_test.h"

#include <signal.h>

enum { TAG = 5 << HKI_TAG_SHIFT };

static uint32_t first_line; /* of the unit */

static void take_unit(void) {
    bool clean;
    const hki_units_wanted wanted = {.count = 1, .alignment = 1, .kind = HKI_UNIT_RUNS};
    cr_assert(hki_registry_start());
    hki_lock_acquire(&hki_pool_lock);
    uint32_t unit = hki_units_take(&hki_shared_pool, &wanted, &clean);
    hki_lock_release(&hki_pool_lock);
    cr_assert_neq(unit, 0);
    first_line = unit * HKI_LINES_PER_UNIT;
}

static bool is_parked(uintptr_t granule) {
    return (hki_registry.parked[granule >> 6] & hki_granule_mask(granule)) != 0;
}

static unsigned parked_bits(uint32_t line, unsigned lines) {
    unsigned count = 0;
    for (unsigned i = 0; i < lines * HKI_WORDS_PER_LINE; i++)
        count += hki_count_bits(hki_registry.parked[(size_t)line * HKI_WORDS_PER_LINE + i]);
    return count;
}

static void assert_created(uint32_t line, unsigned lines, unsigned size_class) {
    const hki_run *run = hki_run_record(line);
    size_t size = hki_classes[size_class].size, blocks = (lines << HKI_LINE_SHIFT) / size;
    cr_assert_eq(run->blocks, blocks);
    cr_assert_eq(run->parked, blocks);
    cr_assert_eq(hki_run_lines(run), lines);
    cr_assert_eq(parked_bits(line, lines), blocks);
    for (size_t i = 0; i < blocks; i++)
        cr_assert(is_parked(hki_line_granule(line) + i * size / HKI_GRANULE_SIZE));
    for (unsigned i = 0; i < lines; i++) {
        cr_assert_eq(hki_granule_tag(hki_line_granule(line + i)), TAG | size_class);
        cr_assert_eq(hki_run_at(line + i), line);
    }
}

static void park(uint32_t first_line, uintptr_t granule) {
    hki_run_park(hki_run_record(first_line), granule >> 6, hki_granule_mask(granule), 1);
}

Test(run, blocks_of_each_class_begin_parked, .init = take_unit) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        const unsigned lengths[] = {hki_classes[i].few_lines, hki_classes[i].exact_lines, HKI_RUN_LINES_MAX};
        for (size_t k = 0; k < LENGTH_OF(lengths); k++) {
            hki_run_create(first_line + 7, lengths[k], i, TAG);
            assert_created(first_line + 7, lengths[k], i);
            hki_run_remove(first_line + 7);
            cr_assert_eq(parked_bits(first_line, HKI_LINES_PER_UNIT), 0);
            cr_assert_eq(atomic_load(&hki_line_unit(first_line)->run_starts), 0);
        }
    }
}

Test(run, at_finds_the_run_of_a_line, .init = take_unit) {
    hki_run_create(first_line + 1, 2, HKI_CLASS_2048, TAG);
    hki_run_create_large(first_line + 5, 58, TAG);
    hki_run_create(first_line + 63, 1, HKI_CLASS_8, TAG);
    cr_assert_eq(hki_run_at(first_line), 0);
    cr_assert_eq(hki_run_at(first_line + 1), first_line + 1);
    cr_assert_eq(hki_run_at(first_line + 2), first_line + 1);
    cr_assert_eq(hki_run_at(first_line + 4), first_line + 1); /* a run before it */
    for (uint32_t i = 5; i < 63; i++)
        cr_assert_eq(hki_run_at(first_line + i), first_line + 5);
    cr_assert_eq(hki_run_at(first_line + 63), first_line + 63);
}

Test(run, unparks_the_lowest_blocks_in_descending_order, .init = take_unit) {
    uintptr_t got[HKI_LINE_SIZE / 8];
    uintptr_t start = hki_line_granule(first_line);
    hki_run_create(first_line, 3, HKI_CLASS_48, TAG); /* 64 blocks of 6 granules */
    cr_assert_eq(hki_run_unpark(first_line, got, 5), 5);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(got[i], start + (4 - i) * 6);
    cr_assert_eq(hki_run_record(first_line)->parked, 59);
    park(first_line, start + 12);
    cr_assert_eq(hki_run_unpark(first_line, got, 2), 2);
    cr_assert_eq(got[0], start + 5 * 6);
    cr_assert_eq(got[1], start + 12);
    cr_assert_eq(hki_run_unpark(first_line, got, 100), 58);
    cr_assert_eq(hki_run_unpark(first_line, got, 100), 0);
    cr_assert_eq(parked_bits(first_line, 3), 0);
}

Test(run, unparks_none_if_none_is_wanted, .init = take_unit) {
    uintptr_t got[1] = {4711};
    hki_run_create(first_line, 1, HKI_CLASS_8, TAG);
    cr_assert_eq(hki_run_unpark(first_line, got, 0), 0);
    cr_assert_eq(got[0], 4711);
    cr_assert_eq(hki_run_record(first_line)->parked, 128);
}

static void park_and_unpark_at_random(unsigned size_class, unsigned lines, uint32_t seed) {
    static bool out[HKI_RUN_LINES_MAX * HKI_GRANULES_PER_LINE]; /* by granule in the run */
    uintptr_t got[64], start = hki_line_granule(first_line);
    unsigned stride = hki_classes[size_class].size / 8U, blocks = hki_run_record(first_line)->blocks, outside = 0;
    memset(out, 0, sizeof out);
    for (int i = 0; i < 2000; i++) {
        uintptr_t at = next_random(&seed) % blocks * stride;
        if (out[at]) {
            park(first_line, start + at);
            out[at] = false;
            outside--;
            continue;
        }
        unsigned count = hki_run_unpark(first_line, got, next_random(&seed) % 4);
        for (unsigned k = 0; k < count; k++) {
            cr_assert(!out[got[k] - start] && (got[k] - start) % stride == 0);
            cr_assert(k == 0 || got[k] < got[k - 1]);
            out[got[k] - start] = true;
        }
        outside += count;
        cr_assert_eq(hki_run_record(first_line)->parked, blocks - outside);
    }
    for (unsigned at = 0; at < lines * HKI_GRANULES_PER_LINE; at++)
        cr_assert_eq(is_parked(start + at), at % stride == 0 && at / stride < blocks && !out[at]);
}

Test(run, parked_blocks_follow_a_model, .init = take_unit) {
    const unsigned classes[] = {HKI_CLASS_8, HKI_CLASS_24, HKI_CLASS_176, HKI_CLASS_1024, HKI_CLASS_1280};
    for (unsigned i = 0; i < LENGTH_OF(classes); i++) {
        hki_run_create(first_line, 11, classes[i], TAG);
        park_and_unpark_at_random(classes[i], 11, 99 + i);
        for (uint32_t line = first_line * HKI_WORDS_PER_LINE, k = 0; k < 11 * HKI_WORDS_PER_LINE; k++)
            hki_registry.parked[line + k] = 0;
        hki_run_record(first_line)->parked = 0;
        hki_run_remove(first_line);
    }
}

Test(run, large_run_is_one_block_that_is_resized, .init = take_unit) {
    hki_run_create_large(first_line + 2, 10, TAG);
    const hki_run *run = hki_run_record(first_line + 2);
    cr_assert(run->blocks == 1 && run->parked == 0 && hki_run_lines(run) == 10);
    cr_assert_eq(parked_bits(first_line, HKI_LINES_PER_UNIT), 0);
    hki_run_resize_large(first_line + 2, 62, TAG);
    cr_assert_eq(hki_run_lines(run), 62);
    for (uint32_t i = 2; i < 64; i++)
        cr_assert_eq(hki_granule_tag(hki_line_granule(first_line + i)), TAG | HKI_CLASS_LARGE);
    hki_run_resize_large(first_line + 2, 1, TAG);
    cr_assert_eq(hki_run_lines(run), 1);
    hki_run_remove(first_line + 2);
    cr_assert_eq(hki_run_at(first_line + 2), 0);
}

Test(run, whole_unit_is_one_run, .init = take_unit) {
    hki_run_create_large(first_line, HKI_LINES_PER_UNIT, TAG);
    cr_assert_eq(hki_run_mask(first_line, HKI_LINES_PER_UNIT), ~UINT64_C(0));
    cr_assert_eq(hki_run_at(first_line + 63), first_line);
}

Test(run, new_run_takes_no_sized_liberties, .init = take_unit) {
    hki_run_create(first_line, 1, HKI_CLASS_64, TAG);
    atomic_store(&hki_run_record(first_line)->any_size, true);
    hki_run_remove(first_line);
    hki_run_create(first_line, 1, HKI_CLASS_64, TAG);
    cr_assert_not(atomic_load(&hki_run_record(first_line)->any_size));
}

Test(run, parking_twice_asserts, .init = take_unit, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_run_create(first_line, 1, HKI_CLASS_64, TAG);
    if (HKI_IS_DEBUG)
        park(first_line, hki_line_granule(first_line));
}

Test(run, removing_a_run_in_use_asserts, .init = take_unit, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    uintptr_t got[1];
    hki_run_create(first_line, 1, HKI_CLASS_64, TAG);
    hki_run_unpark(first_line, got, 1);
    if (HKI_IS_DEBUG)
        hki_run_remove(first_line);
}

Test(run, two_runs_at_one_line_assert, .init = take_unit, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_run_create(first_line, 1, HKI_CLASS_64, TAG);
    if (HKI_IS_DEBUG)
        hki_run_create_large(first_line, 1, TAG);
}
