/* size_class: each table against the rules that it is made by. */
#include "unit_test.h"

static size_t size_of_class(const uint8_t *table, size_t size) {
    return hki_classes[hki_class_of(table, size)].size;
}

Test(size_class, sizes_grow) {
    for (unsigned i = 1; i < HKI_CLASSES; i++)
        cr_assert_gt(hki_classes[i].size, hki_classes[i - 1].size);
    cr_assert_eq(hki_classes[0].size, 8);
    cr_assert_eq(hki_classes[HKI_CLASSES - 1].size, HKI_SMALL_MAX);
}

Test(size_class, each_size_has_the_smallest_class_that_holds_it) {
    for (size_t size = 0; size <= HKI_SMALL_MAX; size++) {
        unsigned of8 = hki_class_of(hki_class_table_8, size), of16 = hki_class_of(hki_class_table_16, size);
        cr_assert_geq(hki_classes[of8].size, size);
        cr_assert(of8 == 0 || hki_classes[of8 - 1].size < size);
        cr_assert_geq(hki_classes[of16].size, size);
        for (unsigned lower = of16; lower-- > 0 && hki_classes[lower].size >= size;)
            cr_assert_neq(hki_classes[lower].size % 16, 0, "%zu", size);
    }
}

Test(size_class, alignment_16_has_multiples_of_16_but_for_8) {
    for (size_t size = 9; size <= HKI_SMALL_MAX; size++)
        cr_assert_eq(size_of_class(hki_class_table_16, size) % 16, 0);
    for (size_t size = 0; size <= 8; size++)
        cr_assert_eq(size_of_class(hki_class_table_16, size), 8);
}

Test(size_class, alignment_8_has_every_multiple_of_8_up_to_128) {
    for (size_t size = 1; size <= 128; size++)
        cr_assert_eq(size_of_class(hki_class_table_8, size), hki_align_up(size, 8));
}

Test(size_class, objects_have_24_and_else_what_alignment_16_has) {
    for (size_t size = 0; size <= HKI_SMALL_MAX; size++)
        cr_assert_eq(size_of_class(hki_class_table_object, size),
                     size > 16 && size <= 24 ? 24 : size_of_class(hki_class_table_16, size));
}

/* Counted from the size rounded up to the alignment, as the header says. */
static void assert_waste(const uint8_t *table, size_t alignment) {
    for (size_t size = 64; size <= HKI_SMALL_MAX; size++) {
        size_t rounded = hki_align_up(size, alignment);
        size_t waste = size_of_class(table, size) - rounded;
        cr_assert_leq(waste * 8, rounded, "%zu wastes %zu", size, waste);
    }
}

Test(size_class, waste_is_at_most_an_eighth_from_64_up) {
    assert_waste(hki_class_table_8, 8);
    assert_waste(hki_class_table_16, 16);
    for (size_t size = HKI_SMALL_MAX + 1; size < 300000; size += 7)
        cr_assert_leq(((hki_lines_of(size) << HKI_LINE_SHIFT) - size) * 8, size);
}

static size_t waste_of_run(size_t size, size_t lines) {
    return (lines << HKI_LINE_SHIFT) % size;
}

Test(size_class, runs_are_the_shortest_that_keep_their_promise) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        const hki_class_shape *shape = &hki_classes[i];
        size_t few = 1, exact = 1;
        while (few << HKI_LINE_SHIFT < shape->size || waste_of_run(shape->size, few) * 8 > few << HKI_LINE_SHIFT)
            few++;
        while (waste_of_run(shape->size, exact) != 0)
            exact++;
        cr_expect_eq(shape->few_lines, few, "%u: %zu", shape->size, few);
        cr_expect_eq(shape->exact_lines, exact, "%u: %zu", shape->size, exact);
        cr_assert_leq(shape->exact_lines, HKI_RUN_LINES_MAX);
    }
}

Test(size_class, run_lengths_grow_with_the_class) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        unsigned before = 0;
        cr_assert_eq(hki_class_run_lines(i, 0), hki_classes[i].few_lines);
        for (size_t lines = 0; lines < 200; lines++) {
            unsigned run = hki_class_run_lines(i, lines);
            bool exact = run % hki_classes[i].exact_lines == 0;
            cr_assert(run >= before && run <= HKI_RUN_LINES_MAX);
            cr_assert(exact || run == hki_classes[i].few_lines);
            cr_assert(exact || lines / 2 < hki_classes[i].exact_lines);
            before = run;
        }
        cr_assert_eq(hki_class_run_lines(i, SIZE_MAX), before);
        cr_assert_gt(before * 2, HKI_RUN_LINES_MAX);
    }
}

Test(size_class, stacks_have_room_for_half_of_something) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        cr_assert_geq(hki_classes[i].stack_slots, 4);
        cr_assert_leq(hki_classes[i].stack_slots * hki_classes[i].size, 64 << 10);
        cr_assert(i == 0 || hki_classes[i].stack_slots <= hki_classes[i - 1].stack_slots);
    }
}

/* The smallest class of the table that is large enough, and whose blocks all lie at multiples of the alignment. */
static unsigned naive_aligned(const uint8_t *table, size_t size, size_t alignment) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        bool in_table = hki_class_of(table, hki_classes[i].size) == i;
        if (in_table && hki_classes[i].size >= size && hki_classes[i].size % alignment == 0)
            return i;
    }
    return HKI_CLASS_LARGE;
}

static void assert_aligned_classes(const uint8_t *table) {
    for (size_t alignment = 1; alignment <= HKI_LINE_SIZE; alignment *= 2)
        for (size_t size = 0; size <= HKI_SMALL_MAX + 2; size += size < 300 ? 1 : 13)
            cr_assert_eq(hki_class_of_aligned(table, size, alignment), naive_aligned(table, size, alignment),
                         "%zu at %zu", size, alignment);
}

Test(size_class, aligned_sizes) {
    assert_aligned_classes(hki_class_table_8);
    assert_aligned_classes(hki_class_table_16);
    cr_assert_eq(hki_class_of_aligned(hki_class_table_16, SIZE_MAX, 16), HKI_CLASS_LARGE);
    cr_assert_eq(hki_class_of_aligned(hki_class_table_16, 1, HKI_LINE_SIZE), HKI_CLASS_1024);
    cr_assert_eq(hki_class_of_aligned(hki_class_table_16, HKI_SMALL_MAX, HKI_LINE_SIZE), HKI_CLASS_16384);
}

Test(size_class, lines_of_any_size) {
    cr_assert_eq(hki_lines_of(0), 1);
    cr_assert_eq(hki_lines_of(1), 1);
    cr_assert_eq(hki_lines_of(1024), 1);
    cr_assert_eq(hki_lines_of(1025), 2);
    cr_assert_eq(hki_lines_of(HKI_UNIT_SIZE), HKI_LINES_PER_UNIT);
    cr_assert_eq(hki_lines_of(HKI_UNIT_SIZE + 1), HKI_LINES_PER_UNIT + 1);
    cr_assert_eq(hki_lines_of(SIZE_MAX), SIZE_MAX / HKI_LINE_SIZE + 1);
}
