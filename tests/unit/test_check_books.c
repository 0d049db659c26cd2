/* check: each complaint about counts, stacks, large blocks and the pool has corruptions that bring it about; without
 * any there is none. */
#include "check_fixture.h"

/* ---- a heap's books ---- */

static void more_blocks(void) {
    ADD(books()->blocks, 1);
}

static void lines_are_no_block(void) {
    SET(heap->books[HKI_CLASS_LARGE].blocks, 0);
}

static void unused_class_has_blocks(void) {
    SET(heap->books[HKI_CLASS_8192].blocks, MORE);
}

static void fewer_parked(void) {
    ADD(books()->parked, -1);
}

static void lines_are_parked(void) {
    SET(heap->books[HKI_CLASS_LARGE].parked, 1);
}

static void more_lines(void) {
    ADD(books()->lines, 1);
}

static void fewer_lines_of_lines(void) {
    ADD(heap->books[HKI_CLASS_LARGE].lines, -1);
}

static void more_units(void) {
    ADD(heap->units, 1);
}

static void live_bit_is_lost(void) {
    flip_live(live);
}

static void live_bit_of_lines_is_lost(void) {
    flip_live(of_lines);
}

static void stacked_is_live_too(void) {
    flip_live(*top());
}

static void stack_is_short(void) {
    SET(heap->top[CLASS], (uintptr_t)(top() - 1));
}

static void list_of_runs_is_lost(void) {
    SET(books()->parked_runs, 0);
}

static void list_of_runs_is_a_ring(void) {
    SET(hki_run_record(books()->parked_runs)->next, books()->parked_runs);
}

static void list_of_runs_begins_late(void) {
    SET(books()->parked_runs, hki_run_record(books()->parked_runs)->next);
}

Test(check_books, counts_of_a_heap) {
    static const corruption cases[] = {
        {"a heap's count of blocks is wrong", more_blocks},
        {"a heap's count of blocks is wrong", lines_are_no_block},
        {"a heap's count of blocks is wrong", unused_class_has_blocks},
        {"a heap's count of parked blocks is wrong", fewer_parked},
        {"a heap's count of parked blocks is wrong", lines_are_parked},
        {"a heap's count of lines is wrong", more_lines},
        {"a heap's count of lines is wrong", fewer_lines_of_lines},
        {"a heap's count of units is wrong", more_units},
        {"live, parked and stacked blocks do not make up a class", live_bit_is_lost},
        {"live, parked and stacked blocks do not make up a class", live_bit_of_lines_is_lost},
        {"live, parked and stacked blocks do not make up a class", stacked_is_live_too},
        {"live, parked and stacked blocks do not make up a class", stack_is_short},
        {"the list of runs with parked blocks is wrong", list_of_runs_is_lost},
        {"the list of runs with parked blocks is wrong", list_of_runs_is_a_ring},
        {"the list of runs with parked blocks is wrong", list_of_runs_begins_late},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- stacks ---- */

static void foreign_block_on_the_stack(void) {
    SET(*top(), foreign);
}

static void no_block_on_the_stack(void) {
    SET(*top(), 1);
}

static void nothing_of_the_window_on_the_stack(void) {
    SET(*(top() - 1), UINTPTR_MAX);
}

static void large_block_on_the_stack(void) {
    SET(*top(), large);
}

static void block_of_another_class(void) {
    SET(*top(), in_short_run);
}

static void lines_on_the_stack(void) {
    SET(*top(), of_lines);
}

static void live_block_on_the_stack(void) {
    SET(*top(), live);
}

static void block_twice_on_the_stack(void) {
    SET(*top(), *(top() - 1));
}

static void oldest_block_is_newest_too(void) {
    SET(*top(), *(hki_heap_bottom(heap, CLASS) + 1));
}

static void parked_block_on_the_stack(void) {
    SET(*top(), parked);
}

Test(check_books, strangers_on_stacks) {
    static const corruption cases[] = {
        {"a block on a stack is not the heap's", foreign_block_on_the_stack},
        {"a block on a stack is not the heap's", no_block_on_the_stack},
        {"a block on a stack is not the heap's", nothing_of_the_window_on_the_stack},
        {"a block on a stack is not the heap's", large_block_on_the_stack},
    };
    ASSERT_COMPLAINTS(cases);
}

Test(check_books, stacks) {
    static const corruption cases[] = {
        {"a block is on the stack of another class", block_of_another_class},
        {"a block is on the stack of another class", lines_on_the_stack},
        {"a block on a stack is live", live_block_on_the_stack},
        {"a block on a stack is parked, or there twice", block_twice_on_the_stack},
        {"a block on a stack is parked, or there twice", oldest_block_is_newest_too},
        {"a block on a stack is parked, or there twice", parked_block_on_the_stack},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- large blocks and the quota ---- */

static void large_is_nobodys(void) {
    SET(hki_granule_unit(large)->owner, 0);
}

static void huge_is_a_heaps(void) {
    SET(hki_granule_unit(huge)->owner, (uintptr_t)heap);
}

static void large_is_dead(void) {
    flip_live(large);
}

static void huge_is_dead(void) {
    flip_live(huge);
}

static void large_is_not_alone(void) {
    flip_live(large + 63);
}

static void large_is_longer(void) {
    ADD(hki_granule_unit(large)->lines, 1);
}

static void huge_is_a_segment_shorter(void) {
    ADD(hki_granule_unit(huge)->lines, -(HKI_SEGMENT_SIZE / HKI_LINE_SIZE));
}

static void huge_is_large(void) {
    SET(hki_granule_unit(huge)->kind, HKI_UNIT_LARGE);
}

static void fewer_large_blocks(void) {
    ADD(arena->large.blocks, -1);
}

static void more_large_lines(void) {
    SET(arena->large.lines, atomic_load(&arena->large.lines) + (UINT64_C(1) << 40));
}

static void more_large_units(void) {
    ADD(arena->large.units, 1);
}

static void large_list_is_lost(void) {
    SET(arena->large.first, 0);
}

static void quota_holds_more(void) {
    ADD(arena->quota.held_lines, 1);
}

static void quota_holds_nothing(void) {
    SET(arena->quota.held_lines, 0);
}

Test(check_books, large_blocks_and_quota) {
    static const corruption cases[] = {
        {"a large block has another owner", large_is_nobodys},
        {"a large block has another owner", huge_is_a_heaps},
        {"a large block is not live, or not alone", large_is_dead},
        {"a large block is not live, or not alone", huge_is_dead},
        {"a large block is not live, or not alone", large_is_not_alone},
        {"the count of large blocks is wrong", large_is_longer},
        {"the count of large blocks is wrong", huge_is_a_segment_shorter},
        {"the count of large blocks is wrong", huge_is_large},
        {"the count of large blocks is wrong", fewer_large_blocks},
        {"the count of large blocks is wrong", more_large_lines},
        {"the count of large blocks is wrong", more_large_units},
        {"the count of large blocks is wrong", large_list_is_lost},
        {"the quota does not hold the sum of all lines", quota_holds_more},
        {"the quota does not hold the sum of all lines", quota_holds_nothing},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- the pool of units ---- */

static void used_unit_is_clean(void) {
    hki_segment *segment = segment_of(large);
    SET(segment->clean_units, segment->clean_units | lowest(~segment->free_units));
}

static void clean_unit_is_dirty(void) {
    hki_segment *segment = segment_of(larger);
    cr_assert_neq(segment->clean_units, 0);
    SET(segment->clean_units, segment->clean_units & ~lowest(segment->clean_units));
}

/* A free unit that nobody uses. */
static void free_unit_is_used(void) {
    hki_segment *segment = segment_of(larger);
    cr_assert_neq(segment->clean_units, 0);
    SET(segment->free_units, segment->free_units & ~lowest(segment->clean_units));
    SET(segment->clean_units, segment->clean_units & ~lowest(segment->clean_units));
}

static void used_unit_is_free(void) {
    hki_segment *segment = segment_of(larger);
    uint64_t used = lowest(~segment->free_units);
    cr_assert_neq(used, 0);
    SET(segment->free_units, segment->free_units | used);
    SET(segment->clean_units, segment->clean_units | used);
}

static void bucket_is_a_ring(void) {
    hki_segment *first = segment_of(larger);
    SET(first->next, hki_unit_number(hki_granule_unit(larger)) / HKI_UNITS_PER_SEGMENT);
}

static void used_unit_is_stale(void) {
    hki_segment *segment = segment_of(large);
    SET(segment->stale_units, segment->stale_units | lowest(~segment->free_units));
}

static void clean_unit_is_stale(void) {
    hki_segment *segment = segment_of(larger);
    cr_assert_neq(segment->clean_units, 0);
    SET(segment->stale_units, segment->stale_units | lowest(segment->clean_units));
}

static void pool_has_more_dirty_units(void) {
    ADD(hki_shared_pool.dirty_units, 1);
}

static void pool_has_fewer_used_units(void) {
    ADD(hki_shared_pool.used_units, -1);
}

static void bucket_is_lost(void) {
    unsigned bucket = 0;
    while (hki_shared_pool.first_segments[bucket] == 0)
        bucket++;
    SET(hki_shared_pool.first_segments[bucket], 0);
}

static void segment_is_in_another_bucket(void) {
    unsigned bucket = 0;
    while (hki_shared_pool.first_segments[bucket] == 0)
        bucket++;
    ADD(hki_registry.segments[hki_shared_pool.first_segments[bucket]].bucket, 1);
}

Test(check_books, pool) {
    static const corruption cases[] = {
        {"a unit in use is marked clean", used_unit_is_clean},
        {"a unit in use or clean is marked stale", used_unit_is_stale},
        {"a unit in use or clean is marked stale", clean_unit_is_stale},
        {"the number of dirty units is wrong", clean_unit_is_dirty},
        {"the number of dirty units is wrong", pool_has_more_dirty_units},
        {"the number of used units is wrong", pool_has_fewer_used_units},
        {"the number of used units is wrong", free_unit_is_used},
        {"the number of used units is wrong", used_unit_is_free},
        {"the buckets of segments with free units are wrong", bucket_is_lost},
        {"the buckets of segments with free units are wrong", bucket_is_a_ring},
        {"a segment is in the wrong bucket", segment_is_in_another_bucket},
    };
    ASSERT_COMPLAINTS(cases);
}

/* ---- the place, and what is no corruption ---- */

static const void *place_of(void (*corrupt)(void)) {
    const void *where = &where;
    corrupt();
    cr_assert_not_null(hki_arena_check(arena, &where));
    undo();
    return where;
}

static void flip_live_astray(void) {
    flip_live(live + 1);
}

Test(check_books, complaints_say_where) {
    make_arena_of(HK_ARENA_ONE_THREAD_AT_A_TIME);
    cr_assert_eq(place_of(flip_live_astray), hki_granule_address(live & ~(uintptr_t)63));
    cr_assert_eq(place_of(live_block_on_the_stack), hki_granule_address(live));
    cr_assert_eq(place_of(more_blocks), heap);
    cr_assert_eq(place_of(more_units), heap);
    cr_assert_eq(place_of(large_is_dead), hki_granule_address(large));
    cr_assert_eq(place_of(large_list_is_lost), arena);
    cr_assert_eq(place_of(quota_holds_more), arena);
    cr_assert_null(place_of(used_unit_is_clean));
}

Test(check_books, line_on_standard_error_names_arena_complaint_and_place) {
    char wanted[200];
    capture errors;
    make_arena_of(0);
    more_units();
    snprintf(wanted, sizeof wanted,
             "hakmem: HK_ERR_CORRUPT in hk_arena_check: arena \"test\": a heap's count of units is wrong, at %p\n",
             (void *)heap);
    capture_begin(&errors);
    cr_assert_eq(hk_arena_check(handle), HK_ERR_CORRUPT);
    cr_assert_str_eq(capture_end(&errors), wanted);
    undo();
    capture_begin(&errors);
    cr_assert_eq(hk_arena_check(handle), HK_OK);
    cr_assert_str_eq(capture_end(&errors), "");
}

Test(check_books, arenas_are_checked_apart) {
    const void *where;
    make_arena_of(0);
    hki_arena *other = atomic_load(&other_heap->arena);
    more_units();
    assert_sound(other);
    undo();
    SET(other_heap->units, MORE);
    assert_sound(arena);
    cr_assert_str_eq(hki_arena_check(other, &where), "a heap's count of units is wrong");
    undo();
    assert_sound(other);
}

/* All bits of the parked table that are in use. */
static uint64_t *copy_of_parked(size_t *bytes) {
    size_t words = (size_t)hki_segments_end() * HKI_SEGMENT_SIZE / HKI_GRANULE_SIZE / 64;
    *bytes = words * sizeof(uint64_t);
    uint64_t *copy = malloc(*bytes);
    cr_assert_not_null(copy);
    memcpy(copy, hki_registry.parked, *bytes);
    return copy;
}

Test(check_books, check_changes_nothing) {
    size_t bytes;
    make_arena_of(0);
    uint64_t *before = copy_of_parked(&bytes);
    assert_sound(arena);
    cr_assert_arr_eq(before, hki_registry.parked, bytes);
    static void (*const corrupt[])(void) = {block_twice_on_the_stack, live_block_on_the_stack,
                                            foreign_block_on_the_stack, oldest_block_is_newest_too};
    for (size_t i = 0; i < LENGTH_OF(corrupt); i++) {
        cr_assert_not_null(place_of(corrupt[i]));
        cr_assert_arr_eq(before, hki_registry.parked, bytes);
    }
    free(before);
}

static void room_is_a_ring(void) {
    SET(hki_registry.units[heap->room].next, heap->room);
}

static void full_is_a_ring(void) {
    SET(hki_registry.units[heap->full].next, heap->full);
}

static void large_list_is_a_ring(void) {
    SET(hki_registry.units[arena->large.first].next, arena->large.first);
}

Test(check_books, rings_of_units_come_to_an_end, .timeout = 10) {
    make_arena_of(HK_ARENA_ONE_THREAD_AT_A_TIME);
    place_of(large_list_is_a_ring);
    place_of(room_is_a_ring);
    place_of(full_is_a_ring);
    assert_sound(arena);
}

static void *free_remotely(void *unused) {
    hk_arena_free(handle, hki_granule_address(live));
    hk_arena_free(handle, hki_granule_address(of_lines));
    return unused;
}

Test(check_books, remote_frees_on_their_way_are_sound) {
    make_arena_of(0);
    run_in_thread(free_remotely, NULL);
    cr_assert((atomic_load(hki_remote_word(live)) & hki_granule_mask(live)) != 0);
    cr_assert_neq(hki_granule_tag(live) & HKI_TAG_REMOTE, 0);
    assert_sound(arena);
    hki_heap_collect(heap);
    assert_sound(arena);
}

static void *fill_another_heap(void *unused) {
    for (int i = 0; i < BLOCKS; i++)
        if (hk_arena_alloc(handle, 64) == NULL)
            return NULL;
    return unused;
}

static void heap_of_another_thread_is_wrong(void) {
    hki_heap *idle = arena->idle;
    cr_assert(idle != NULL && idle != heap);
    ADD(idle->books[CLASS].blocks, 1);
}

Test(check_books, heaps_of_all_threads_are_checked) {
    static const corruption of_idle = {"a heap's count of blocks is wrong", heap_of_another_thread_is_wrong};
    make_arena_of(0);
    cr_assert_not_null(run_in_thread(fill_another_heap, handle));
    assert_complaint(&of_idle);
}

static void empty_arena_is_charged(void) {
    SET(arena->quota.held_lines, 1);
}

Test(check_books, empty_arenas_are_sound) {
    static const corruption charged = {"the quota does not hold the sum of all lines", empty_arena_is_charged};
    const uint32_t flags[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0};
    for (size_t i = 0; i < LENGTH_OF(flags); i++) {
        handle = make_arena(flags[i], 8, 0);
        arena = hki_arena_find(handle);
        assert_complaint(&charged);
    }
}

/* ---- arenas below ---- */

static hki_arena *below[2];

static void child_holds_more(void) {
    ADD(below[1]->heap.books[HKI_CLASS_64].lines, 1);
}

static void only_the_child_is_charged(void) {
    ADD(arena->quota.held_lines, -1);
}

static void more_children(void) {
    ADD(arena->children, 1);
}

static void child_is_nobodys(void) {
    SET(below[0]->quota.parent, NULL);
}

Test(check_books, arenas_below_are_checked) {
    static const corruption cases[] = {
        {"a heap's count of lines is wrong", child_holds_more},
        {"the quota does not hold the sum of all lines", only_the_child_is_charged},
        {"the count of children is wrong", more_children},
        {"the count of children is wrong", child_is_nobodys},
    };
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    handle = config.parent = make_plain_arena();
    arena = hki_arena_find(handle);
    for (int i = 0; i < 2; i++) {
        hk_arena *child;
        cr_assert_eq(hk_arena_create(&config, &child), HK_OK);
        cr_assert_not_null(hk_arena_alloc(child, 64));
        below[i] = hki_arena_find(config.parent = child);
    }
    for (size_t i = 0; i < LENGTH_OF(cases); i++)
        assert_complaint(&cases[i]);
}
