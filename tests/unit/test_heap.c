/* heap: stacks, refill and flush, blocks of whole lines, everything at once. Remote frees: test_heap_remote.c. */
#include "heap_fixture.h"

static uint32_t stacked(unsigned size_class) {
    return hki_heap_stacked(heap, size_class);
}

static hki_class_books *books_of(unsigned size_class) {
    return &heap->books[size_class];
}

/* What the header says of a class. */
static void assert_books(unsigned size_class, uint32_t live) {
    const hki_class_books *books = books_of(size_class);
    uint32_t listed = 0, parked = 0;
    for (uint32_t line = books->parked_runs, before = 0; line != 0; before = line, line = hki_run_record(line)->next) {
        cr_assert_eq(hki_run_record(line)->previous, before);
        cr_assert_gt(hki_run_record(line)->parked, 0);
        parked += hki_run_record(line)->parked;
        listed++;
    }
    cr_assert_eq(atomic_load(&books->parked), parked);
    cr_assert_eq(atomic_load(&books->blocks), parked + stacked(size_class) + live);
    cr_assert_eq(listed == 0, parked == 0);
}

/* ---- the empty heap ---- */

Test(heap, empty_heap_is_empty_and_full_at_once) {
    for (unsigned i = 0; i <= HKI_CLASSES; i++) {
        cr_assert_eq(hki_heap_pop(&hki_empty_heap, i), 0);
        cr_assert(hki_heap_is_full(&hki_empty_heap, i));
        cr_assert_eq(hki_heap_stacked(&hki_empty_heap, i), 0);
    }
    cr_assert(hki_no_blocks[0] == 0 && hki_no_blocks[1] == HKI_STACK_END);
}

Test(heap, empty_heap_finds_nothing, .init = start_heaps) {
    hki_found found;
    uintptr_t small = alloc(HKI_CLASS_64), large = alloc_lines(20);
    cr_assert_not(hki_heap_find(&hki_empty_heap, small, &found));
    cr_assert_not(hki_heap_find(&hki_empty_heap, large, &found));
    cr_assert_not(hki_heap_free_marked(&hki_empty_heap, small));
    cr_assert_not(hki_heap_find(&hki_empty_heap, UINTPTR_MAX, &found));
}

Test(heap, empty_heap_is_never_written) {
    static hki_heap before;
    memcpy(&before, &hki_empty_heap, sizeof before);
    start_heaps();
    uintptr_t granule = alloc(HKI_CLASS_64);
    hki_heap_pop(&hki_empty_heap, HKI_CLASS_64);
    hki_heap_free_marked(&hki_empty_heap, granule);
    hki_heap_free(heap, granule);
    cr_assert_arr_eq(&before, &hki_empty_heap, sizeof before);
}

/* ---- find, pop, push ---- */

Test(heap, block_is_found_by_its_heap_alone, .init = start_heaps) {
    hki_found found;
    uintptr_t granule = alloc(HKI_CLASS_48);
    cr_assert(hki_heap_find(heap, granule, &found));
    cr_assert_eq(found.size_class, HKI_CLASS_48);
    cr_assert_not(hki_heap_find(heap, granule + 1, &found));
    cr_assert_not(hki_heap_find(&heaps[1], granule, &found));
    cr_assert(hki_heap_find(heap, granule, &found));
    cr_assert(hki_heap_push(heap, granule, found));
    cr_assert_not(hki_heap_find(heap, granule, &found));
    cr_assert_eq(hki_heap_pop(heap, HKI_CLASS_48), granule);
}

Test(heap, push_without_room_changes_nothing, .init = start_heaps) {
    hki_found found;
    uintptr_t granules[300];
    for (int i = 0; i < 300; i++)
        granules[i] = alloc(HKI_CLASS_64);
    int pushed = 0;
    while (!hki_heap_is_full(heap, HKI_CLASS_64)) {
        cr_assert(hki_heap_find(heap, granules[pushed], &found));
        cr_assert(hki_heap_push(heap, granules[pushed++], found));
    }
    uintptr_t *top = atomic_load(&heap->top[HKI_CLASS_64]);
    cr_assert(pushed < 300 && hki_heap_find(heap, granules[pushed], &found));
    cr_assert_not(hki_heap_push(heap, granules[pushed], found));
    cr_assert(is_live(granules[pushed]));
    cr_assert_eq(atomic_load(&heap->top[HKI_CLASS_64]), top);
}

Test(heap, blocks_of_whole_lines_have_no_stack, .init = start_heaps) {
    hki_found found;
    uintptr_t granule = alloc_lines(20);
    cr_assert(hki_heap_find(heap, granule, &found));
    cr_assert_eq(found.size_class, HKI_CLASS_LARGE);
    cr_assert_not(hki_heap_push(heap, granule, found));
    cr_assert(is_live(granule));
}

/* ---- refill and flush ---- */

Test(heap, new_class_starts_with_its_shortest_run_and_a_small_stack, .init = start_heaps) {
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        size_t before = held();
        uintptr_t granule = alloc(i);
        cr_assert_neq(granule, 0);
        cr_assert_eq(held() - before, hki_classes[i].few_lines);
        size_t slots = books_of(i)->slots;
        cr_assert_eq(slots, hki_min(HKI_FIRST_STACK_SLOTS, hki_classes[i].stack_slots));
        assert_books(i, 1);
    }
    cr_assert_lt((size_t)(heap->storage - stacks[0]), FIXTURE_SLOTS);
}

Test(heap, fresh_blocks_come_in_the_order_of_addresses, .init = start_heaps) {
    uintptr_t before = alloc(HKI_CLASS_16);
    for (int i = 1; i < 64; i++) {
        uintptr_t granule = alloc(HKI_CLASS_16);
        cr_assert_eq(granule, before + 2);
        before = granule;
    }
}

Test(heap, last_freed_is_first_allocated, .init = start_heaps) {
    uintptr_t first = alloc(HKI_CLASS_256), second = alloc(HKI_CLASS_256);
    hki_heap_free(heap, first);
    hki_heap_free(heap, second);
    cr_assert_eq(alloc(HKI_CLASS_256), second);
    cr_assert_eq(alloc(HKI_CLASS_256), first);
}

Test(heap, all_stacks_grow_to_their_size_in_their_storage, .init = start_heaps) {
    enum { MANY = 400 };
    static uintptr_t granules[MANY];
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        for (int k = 0; k < MANY; k++)
            cr_assert_neq(granules[k] = alloc(i), 0);
        assert_books(i, MANY);
        for (int k = 0; k < MANY; k++) {
            hki_heap_free(heap, granules[k]);
            assert_books(i, MANY - 1 - (uint32_t)k);
        }
        cr_assert_eq(books_of(i)->slots, hki_classes[i].stack_slots);
    }
    cr_assert_leq(heap->storage, heap->storage_end);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap, flush_keeps_the_newest_half, .init = start_heaps) {
    static uintptr_t granules[1000];
    for (int i = 0; i < 1000; i++)
        granules[i] = alloc(HKI_CLASS_1024);
    int i = 0, slots = hki_classes[HKI_CLASS_1024].stack_slots;
    while (stacked(HKI_CLASS_1024) < (uint32_t)slots)
        hki_heap_free(heap, granules[i++]);
    hki_heap_free(heap, granules[i]);
    cr_assert_eq(stacked(HKI_CLASS_1024), (uint32_t)slots / 2 + 1);
    for (int k = i; k > i - slots / 2 - 1; k--)
        cr_assert_eq(hki_heap_pop(heap, HKI_CLASS_1024), granules[k]);
}

Test(heap, runs_that_are_all_parked_are_given_back, .init = start_heaps) {
    static uintptr_t granules[2000];
    for (int i = 0; i < 2000; i++)
        granules[i] = alloc(HKI_CLASS_512);
    size_t most = held();
    for (int i = 0; i < 2000; i++)
        hki_heap_free(heap, granules[i]);
    cr_assert_lt(held(), most / 4);
    assert_books(HKI_CLASS_512, 0);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap, refill_says_why_there_is_none, .init = start_heaps) {
    atomic_store(&quota.limit_lines, 0);
    cr_assert_eq(hki_heap_refill(heap, HKI_CLASS_64), HK_ERR_LIMIT);
    atomic_store(&quota.limit_lines, HKI_NO_LIMIT);
    fail_from(0);
    cr_assert_eq(hki_heap_refill(heap, HKI_CLASS_64), HK_ERR_NO_MEMORY);
    hki_os_fail_calls(0, 0);
    assert_books(HKI_CLASS_64, 0);
    cr_assert_eq(held(), 0);
    cr_assert_eq(hki_heap_refill(heap, HKI_CLASS_64), HK_OK);
    cr_assert_eq(hki_heap_refill(heap, HKI_CLASS_64), HK_OK); /* nothing to do */
    assert_books(HKI_CLASS_64, 0);
}

Test(heap, limit_is_used_to_the_last_line, .init = start_heaps) {
    atomic_store(&quota.limit_lines, 100);
    unsigned blocks = 0;
    while (alloc(HKI_CLASS_1024) != 0)
        blocks++;
    cr_assert_eq(blocks, 100);
    cr_assert_eq(held(), 100);
}

Test(heap, reclaim_keeps_what_lives, .init = start_heaps) {
    static uintptr_t granules[500];
    for (int i = 0; i < 500; i++)
        granules[i] = alloc(HKI_CLASS_128);
    for (int i = 0; i < 500; i++)
        if (i % 100 != 7)
            hki_heap_free(heap, granules[i]);
    hki_heap_reclaim(heap);
    cr_assert_eq(stacked(HKI_CLASS_128), 0);
    assert_books(HKI_CLASS_128, 5);
    cr_assert_leq(held(), 5 * (size_t)HKI_RUN_LINES_MAX);
    for (int i = 7; i < 500; i += 100) {
        cr_assert(is_live(granules[i]));
        hki_heap_free(heap, granules[i]);
    }
    hki_heap_reclaim(heap);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* ---- blocks of whole lines ---- */

Test(heap, blocks_of_each_number_of_lines, .init = start_heaps) {
    for (unsigned lines = 1; lines <= 64; lines++)
        for (unsigned alignment = 1; alignment <= 64; alignment *= 4) {
            bool clean;
            hk_status status;
            uintptr_t granule = hki_heap_alloc_lines(heap, lines, alignment, &clean, &status);
            cr_assert_neq(granule, 0);
            cr_assert_eq(hki_granule_line(granule) % alignment, 0);
            cr_assert(is_live(granule));
            cr_assert_eq(hki_run_lines(hki_run_record(hki_granule_line(granule))), lines);
            if (clean)
                cr_assert(is_zero(hki_granule_address(granule), (size_t)lines << HKI_LINE_SHIFT));
            fill(hki_granule_address(granule), (size_t)lines << HKI_LINE_SHIFT, lines);
            if (lines % 3 == 0)
                hki_heap_free(heap, granule);
        }
    hki_heap_clear(heap, 0);
    assert_nothing_left();
}

Test(heap, lines_are_refused_with_a_reason, .init = start_heaps) {
    bool clean;
    hk_status status;
    atomic_store(&quota.limit_lines, 9);
    cr_assert_eq(hki_heap_alloc_lines(heap, 10, 1, &clean, &status), 0);
    cr_assert_eq(status, HK_ERR_LIMIT);
    fail_from(0);
    cr_assert_eq(hki_heap_alloc_lines(heap, 9, 1, &clean, &status), 0);
    cr_assert_eq(status, HK_ERR_NO_MEMORY);
    cr_assert_eq(held(), 0);
    assert_books(HKI_CLASS_LARGE, 0);
}

Test(heap, lines_are_resized_in_place, .init = start_heaps) {
    uintptr_t granule = alloc_lines(10), next = alloc_lines(1);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 11), HK_ERR_BUSY);
    hki_heap_free(heap, next);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 64), HK_OK);
    cr_assert_eq(held(), 64);
    cr_assert_eq(atomic_load(&books_of(HKI_CLASS_LARGE)->lines), 64);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 64), HK_OK);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 3), HK_OK);
    cr_assert_eq(held(), 3);
    atomic_store(&quota.limit_lines, 5);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 6), HK_ERR_LIMIT);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 5), HK_OK);
    hki_heap_free(heap, granule);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap, lines_do_not_grow_out_of_their_unit, .init = start_heaps) {
    uintptr_t fence = alloc_lines(30), granule = alloc_lines(30);
    cr_assert_eq(granule, fence + 30 * (uintptr_t)HKI_GRANULES_PER_LINE);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 34), HK_OK);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 35), HK_ERR_BUSY);
    cr_assert_eq(hki_heap_resize_lines(heap, granule, 64), HK_ERR_BUSY);
}

/* ---- everything at once ---- */

Test(heap, clear_leaves_nothing, .init = start_heaps) {
    for (unsigned i = 0; i < HKI_CLASSES; i++)
        for (int k = 0; k < 20; k++) {
            uintptr_t granule = alloc(i);
            if (k % 3 == 0)
                hki_heap_free(heap, granule);
            else if (k % 3 == 1)
                cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
        }
    alloc_lines(64);
    hki_heap_clear(heap, 0);
    assert_nothing_left();
    cr_assert_eq(units_of(heap), 0);
    cr_assert_eq(hki_heap_pop(heap, HKI_CLASS_64), 0);
}

Test(heap, clear_leaves_other_heaps_alone, .init = start_heaps) {
    uintptr_t ours = alloc(HKI_CLASS_64), theirs = alloc_from(&heaps[1], HKI_CLASS_64);
    fill(hki_granule_address(theirs), 64, 1);
    hki_heap_clear(heap, 0);
    cr_assert(!is_live(ours) && is_live(theirs));
    cr_assert(is_filled(hki_granule_address(theirs), 64, 1));
}

/* ---- a model ---- */

enum { SLOTS = 3000 };

static struct {
    uintptr_t granule;
    unsigned size_class, lines;
} slots[SLOTS];

static size_t bytes_of_slot(unsigned i) {
    return slots[i].size_class == HKI_CLASS_LARGE ? (size_t)slots[i].lines << HKI_LINE_SHIFT
                                                  : hki_classes[slots[i].size_class].size;
}

static void change_slot(unsigned i, uint32_t *seed) {
    if (slots[i].granule != 0) {
        cr_assert(is_filled(hki_granule_address(slots[i].granule), bytes_of_slot(i), i));
        hki_heap_free(heap, slots[i].granule);
        slots[i].granule = 0;
        return;
    }
    slots[i].size_class = next_random(seed) % (HKI_CLASSES + 1);
    slots[i].lines = 1 + next_random(seed) % 64;
    slots[i].granule =
        slots[i].size_class == HKI_CLASS_LARGE ? alloc_lines(slots[i].lines) : alloc(slots[i].size_class);
    cr_assert_neq(slots[i].granule, 0);
    fill(hki_granule_address(slots[i].granule), bytes_of_slot(i), i);
}

static void assert_model(void) {
    uint32_t live[HKI_CLASSES + 1] = {0};
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].granule != 0)
            live[slots[i].size_class]++;
    for (unsigned i = 0; i <= HKI_CLASSES; i++)
        assert_books(i, live[i]);
    cr_assert_null(check_pool());
}

Test(heap, blocks_follow_a_model, .init = start_heaps) {
    uint32_t seed = 1618;
    for (int round = 0; round < 40000; round++) {
        change_slot(next_random(&seed) % SLOTS, &seed);
        if (round % 1000 == 0)
            assert_model();
        if (round % 5000 == 0)
            hki_heap_reclaim(heap);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].granule != 0)
            change_slot(i, &seed);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* ---- young heaps ---- */

static unsigned serve(unsigned size_class) {
    unsigned serving = hki_heap_serving_class(heap, size_class, 1);
    cr_assert_neq(alloc(serving), 0);
    return serving;
}

Test(heap, rare_size_is_served_by_a_larger_class_that_has_room, .init = start_heaps) {
    alloc(HKI_CLASS_96);
    size_t before = held();
    for (int i = 0; i < 5; i++)
        cr_assert_eq(serve(HKI_CLASS_56), HKI_CLASS_96);
    cr_assert_eq(held(), before);
    cr_assert_eq(serve(HKI_CLASS_40), HKI_CLASS_40); /* 96 is more than twice that */
    assert_books(HKI_CLASS_96, 6);
}

Test(heap, size_that_is_not_rare_gets_its_own_runs, .init = start_heaps) {
    for (int i = 0; i < 20; i++)
        alloc(HKI_CLASS_32);
    int borrowed = 0;
    while (serve(HKI_CLASS_24) != HKI_CLASS_24)
        cr_assert_lt(++borrowed, HKI_LINE_SIZE / 24 + 1);
    cr_assert_gt(borrowed, 0);
    cr_assert_eq(serve(HKI_CLASS_24), HKI_CLASS_24);
}

Test(heap, first_run_is_one_of_few_lines, .init = start_heaps) {
    cr_assert_eq(serve(HKI_CLASS_1664), HKI_CLASS_1792);
    cr_assert_eq(held(), hki_classes[HKI_CLASS_1792].few_lines);
}

Test(heap, serving_class_keeps_the_alignment, .init = start_heaps) {
    alloc(HKI_CLASS_96);
    cr_assert_eq(hki_heap_serving_class(heap, HKI_CLASS_64, 64), HKI_CLASS_64);
    cr_assert_eq(hki_heap_serving_class(heap, HKI_CLASS_64, 32), HKI_CLASS_96);
}

Test(heap, grown_heap_borrows_nothing, .init = start_heaps) {
    alloc_lines(64);
    alloc(HKI_CLASS_96);
    cr_assert_eq(serve(HKI_CLASS_64), HKI_CLASS_64);
}

Test(heap, lines_of_an_idle_class_are_had_by_others, .init = start_heaps) {
    uintptr_t block = alloc(HKI_CLASS_96);
    cr_assert_eq(held(), 1);
    hki_heap_free(heap, block);
    alloc(HKI_CLASS_512);
    cr_assert_eq(held(), 1);
    assert_books(HKI_CLASS_96, 0);
}
