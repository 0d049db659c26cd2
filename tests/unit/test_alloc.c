/* alloc: requests and their bounds, alignment, reallocation in all directions, shrinks and retries when memory is
 * short, and what misuse is told of. What happens when the system refuses: test_alloc_faults.c. */
#include "unit_test.h"

enum { ONE_THREAD = HK_ARENA_ONE_THREAD_AT_A_TIME, KIB = 1024, MIB = 1 << 20 };

static hk_arena *handle;
static hki_arena *arena;

static void start_with(uint32_t flags, uint32_t min_alignment) {
    handle = make_arena(flags, min_alignment, 0);
    arena = hki_arena_find(handle);
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
}

static void start(void) {
    start_with(ONE_THREAD, 16);
}

static void start_shared(void) {
    start_with(0, 16);
}

static void *alloc(size_t size) {
    void *block = hk_arena_alloc(handle, size);
    cr_assert_not_null(block);
    return block;
}

static hk_pointer_info info_of(const void *block) {
    hk_pointer_info info = {.struct_size = sizeof info};
    cr_assert_eq(hk_classify(block, &info), HK_OK);
    return info;
}

static const hki_run *run_of(const void *block) {
    return hki_run_record(hki_run_at(hki_granule_line(hki_granule_of(block))));
}

static size_t limit_failures(void) {
    return atomic_load(&arena->quota.limit_failures);
}

static size_t system_failures(void) {
    return atomic_load(&arena->quota.system_failures);
}

/* ---- requests ---- */

Test(alloc, requests_out_of_bounds, .init = start) {
    static const hki_request requests[] = {
        {.size = 1, .alignment = 0},
        {.size = 1, .alignment = 3},
        {.size = 1, .alignment = SIZE_MAX},
        {.size = 1, .alignment = 2 * HKI_ALIGNMENT_MAX},
        {.size = HKI_BLOCK_MAX + 1, .alignment = 1},
        {.size = SIZE_MAX, .alignment = 1},
        {.size = SIZE_MAX, .alignment = HKI_ALIGNMENT_MAX, .zero = true},
    };
    for (size_t i = 0; i < LENGTH_OF(requests); i++) {
        hki_last_status = HK_OK;
        cr_assert_null(hki_alloc(arena, requests[i]));
        cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    }
    cr_assert(limit_failures() == 0 && system_failures() == 0 && held_lines(arena) == 0);
}

Test(alloc, requests_at_their_bounds, .init = start) {
    cr_assert_null(hki_alloc(arena, (hki_request){.size = HKI_BLOCK_MAX, .alignment = 1}));
    cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
    cr_assert_eq(system_failures(), 1);
    hk_arena_set_limit(handle, HKI_BLOCK_MAX - 1);
    cr_assert_null(hki_alloc(arena, (hki_request){.size = HKI_BLOCK_MAX, .alignment = 1}));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(limit_failures(), 1);
    void *block = hki_alloc(arena, (hki_request){.size = 0, .alignment = HKI_ALIGNMENT_MAX, .zero = true});
    cr_assert_not_null(block);
    cr_assert_eq((uintptr_t)block % HKI_ALIGNMENT_MAX, 0);
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT); /* success leaves it alone */
    cr_assert_eq(hk_arena_free_sized(handle, block, 0), HK_OK);
    cr_assert_eq(held_lines(arena), 0);
}

Test(alloc, used_memory_is_zeroed_on_request, .init = start) {
    static const size_t sizes[] = {1, 24, 1000, 16384, 20000, 65536, 65537, 3 * MIB, 5 * MIB};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        void *block = alloc(sizes[i]);
        fill(block, sizes[i], 1);
        cr_assert_eq(hk_arena_free(handle, block), HK_OK);
        block = hki_alloc(arena, (hki_request){.size = sizes[i], .alignment = 1, .zero = true});
        cr_assert_not_null(block);
        cr_assert(is_zero(block, sizes[i]));
    }
    assert_sound(arena);
}

/* ---- alignment ---- */

static void assert_alignments(uint32_t min_alignment) {
    static const size_t sizes[] = {0, 1, 24, 100, 1000, 1024, 5000, 16384, 16385, 65536, 65537, MIB, 5 * MIB};
    start_with(ONE_THREAD, min_alignment);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++)
        for (size_t alignment = 1; alignment <= HKI_ALIGNMENT_MAX; alignment *= 2) {
            void *block = hk_arena_aligned_alloc(handle, alignment, sizes[i]);
            cr_assert_not_null(block);
            cr_assert_eq((uintptr_t)block % alignment, 0);
            cr_assert_geq(hk_usable_size(block), sizes[i]);
            if (i % 2 == 0)
                cr_assert_eq(hk_arena_free_sized(handle, block, sizes[i]), HK_OK);
        }
    assert_sound(arena);
}

Test(alloc, each_size_at_each_alignment) {
    assert_alignments(16);
    assert_alignments(8);
}

/* A block in a class that its size alone would not have may be said to have any size that fits. */
static void assert_aligned_class(const uint8_t *table, size_t size, size_t alignment) {
    unsigned size_class = hki_class_of_aligned(table, size, alignment);
    void *block = hk_arena_aligned_alloc(handle, alignment, size);
    cr_assert_not_null(block);
    hk_pointer_info info = info_of(block);
    if (size_class == HKI_CLASS_LARGE) {
        cr_assert_eq(info.kind, HK_POINTER_LARGE);
        cr_assert_eq(info.block_size, hki_lines_of(size) << HKI_LINE_SHIFT);
        return;
    }
    cr_assert_eq(info.kind, HK_POINTER_SMALL);
    cr_assert_eq(info.block_size, hki_classes[size_class].size);
    if (hki_class_of(table, size) != size_class)
        cr_assert(atomic_load(&run_of(block)->any_size));
}

Test(alloc, aligned_blocks_have_the_class_of_their_alignment) {
    for (uint32_t min_alignment = 8; min_alignment <= 16; min_alignment += 8) {
        start_with(ONE_THREAD, min_alignment);
        cr_assert_not_null(hk_arena_alloc(handle, HKI_UNIT_SIZE)); /* no young arena */
        const uint8_t *table = min_alignment == 8 ? hki_class_table_8 : hki_class_table_16;
        for (size_t alignment = 1; alignment <= HKI_LINE_SIZE; alignment *= 2)
            for (size_t size = 1; size <= HKI_SMALL_MAX; size += 1 + size / 3)
                assert_aligned_class(table, size, alignment);
        assert_sound(arena);
    }
}

Test(alloc, aligned_block_of_another_class_may_have_any_size, .init = start) {
    unsigned char *block = hk_arena_aligned_alloc(handle, 64, 65); /* of class 128, not of 80 */
    cr_assert_eq(hk_usable_size(block), 128);
    cr_assert_eq(hk_arena_free_sized(handle, block, 129), HK_ERR_SIZE_MISMATCH);
    cr_assert_eq(hk_arena_free_sized(handle, block, 65), HK_OK);
    block = hk_arena_aligned_alloc(handle, 64, 65);
    block = hk_arena_realloc_sized(handle, block, 65, 300);
    cr_assert_eq(hk_usable_size(block), 320);
    assert_sound(arena);
}

Test(alloc, aligned_block_of_its_own_class_has_its_size, .init = start) {
    void *block = hk_arena_aligned_alloc(handle, 64, 128);
    cr_assert_not(atomic_load(&run_of(block)->any_size));
    cr_assert_eq(hk_arena_free_sized(handle, block, 65), HK_ERR_SIZE_MISMATCH);
    cr_assert_eq(hk_arena_free_sized(handle, block, 128), HK_OK);
}

/* ---- reallocation ---- */

static const size_t kinds[] = {8, 24, 700, 1024, 16384, 16385, 40000, 65536, 65537, 300000, 4 * MIB, 5 * MIB, 9 * MIB};

static void *alloc_in_thread(void *size) {
    return hk_arena_alloc(handle, *(size_t *)size);
}

static void assert_resized(void *block, size_t from, size_t to, bool sized) {
    fill(block, from, (unsigned)to);
    block = sized ? hk_arena_realloc_sized(handle, block, from, to) : hk_arena_realloc(handle, block, to);
    cr_assert_not_null(block);
    cr_assert(is_filled(block, hki_min(from, to), (unsigned)to), "%zu to %zu", from, to);
    cr_assert_geq(hk_usable_size(block), to);
    fill(block, to, 3);
    cr_assert_eq(hk_arena_free_sized(handle, block, to), HK_OK);
}

static void resize_all(bool in_thread) {
    for (size_t from = 0; from < LENGTH_OF(kinds); from++)
        for (size_t to = 0; to < LENGTH_OF(kinds); to++) {
            size_t size = kinds[from];
            void *block = in_thread ? run_in_thread(alloc_in_thread, &size) : alloc(size);
            cr_assert_not_null(block);
            assert_resized(block, size, kinds[to], (from + to) % 2 == 0);
        }
    assert_sound(arena);
    cr_assert(limit_failures() == 0 && system_failures() == 0);
}

Test(alloc, blocks_are_resized_in_all_directions, .init = start) {
    resize_all(false);
    hki_heap_reclaim(&arena->heap);
    cr_assert_eq(held_lines(arena), 0);
}

Test(alloc, blocks_of_other_threads_are_resized_in_all_directions, .init = start_shared) {
    alloc(1); /* so this thread has a heap, and does not take over that of the other one */
    resize_all(true);
}

Test(alloc, resize_to_nothing_and_from_nothing, .init = start) {
    void *block = hk_arena_realloc(handle, NULL, 100);
    cr_assert_not_null(block);
    cr_assert_null(hk_arena_realloc(handle, block, 0));
    cr_assert_eq(hk_last_status(), HK_OK);
    cr_assert_not(hk_arena_owns(handle, block));
    cr_assert_not_null(hk_arena_realloc(handle, NULL, 0));
}

Test(alloc, refused_growth_leaves_the_block, .init = start) {
    hk_arena_set_limit(handle, 10 * MIB);
    for (size_t i = 0; i < LENGTH_OF(kinds); i++) {
        void *block = alloc(kinds[i]);
        fill(block, kinds[i], 5);
        cr_assert_null(hk_arena_realloc(handle, block, 20 * MIB));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        cr_assert_null(hk_arena_realloc(handle, block, HKI_BLOCK_MAX + 1));
        cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
        cr_assert(is_filled(block, kinds[i], 5));
        cr_assert_eq(hk_arena_free_sized(handle, block, kinds[i]), HK_OK);
    }
    cr_assert_eq(limit_failures(), LENGTH_OF(kinds));
    assert_sound(arena);
}

Test(alloc, block_that_has_grown_is_placed_where_it_can_grow_again, .init = start) {
    char *hole = alloc(MIB);
    alloc(100 * KIB);
    char *block = alloc(600 * KIB);
    alloc(100 * KIB);
    cr_assert_eq(hk_arena_free(handle, hole), HK_OK);
    char *grown = hk_arena_realloc(handle, block, MIB);
    cr_assert(grown != NULL && grown != block && grown != hole);
    cr_assert_eq((char *)alloc(MIB), hole); /* one that has not grown fits there */
    cr_assert_eq((char *)hk_arena_realloc(handle, grown, 2 * MIB), grown);
    assert_sound(arena);
}

/* ---- shrinks when there is no memory ---- */

/* Takes what the pool has, so that nobody gets another unit. */
static void refuse_units(void) {
    hk_arena *hog = make_plain_arena();
    fail_from(0);
    while (hk_arena_alloc(hog, HKI_UNIT_SIZE) != NULL)
        continue;
}

static void forbid_units(void) {
    hk_arena_set_limit(handle, held_lines(arena) << HKI_LINE_SHIFT);
}

/* No line is left, neither in the heap nor beyond. */
static void use_all_lines(void) {
    while (hk_arena_alloc(handle, HKI_LINE_SIZE) != NULL)
        continue;
}

/* The old block serves, and goes by its new size. */
static void assert_shrinks_in_place(void *block, size_t from, size_t to) {
    size_t before = limit_failures() + system_failures();
    hki_last_status = HK_OK;
    cr_assert_eq(hk_arena_realloc_sized(handle, block, from, to), block, "%zu to %zu", from, to);
    cr_assert_eq(hk_last_status(), HK_OK);
    cr_assert_leq(limit_failures() + system_failures(), before + 1);
    cr_assert(is_filled(block, to, (unsigned)from));
    cr_assert_geq(hk_usable_size(block), to);
    assert_sound(arena);
}

static const struct {
    size_t from, to;
} shrinks[] = {
    {100, 10},          {16384, 100},       {16384, 15000},  {20000, 17000},   {20000, 100},
    {65536, 16384},     {200000, 100000},   {200000, 20000}, {200000, 100},    {4 * MIB, 70000},
    {5 * MIB, 4 * MIB}, {9 * MIB, 5 * MIB}, {5 * MIB, MIB},  {5 * MIB, 20000}, {5 * MIB, 10},
};

static void shrink_without_memory(void (*end_memory)(void)) {
    for (size_t i = 0; i < LENGTH_OF(shrinks); i++) {
        start();
        void *block = alloc(shrinks[i].from);
        fill(block, shrinks[i].from, (unsigned)shrinks[i].from);
        end_memory();
        use_all_lines();
        assert_shrinks_in_place(block, shrinks[i].from, shrinks[i].to);
        cr_assert_eq(hk_arena_free_sized(handle, block, hk_usable_size(block) + 1), HK_ERR_SIZE_MISMATCH);
        cr_assert_eq(hk_arena_free_sized(handle, block, shrinks[i].to), HK_OK);
        hki_os_fail_calls(0, 0);
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    }
}

Test(alloc, shrinks_in_place_when_the_system_refuses) {
    shrink_without_memory(refuse_units);
}

Test(alloc, shrinks_in_place_under_a_limit) {
    shrink_without_memory(forbid_units);
}

Test(alloc, shrink_in_place_gives_back_what_it_can, .init = start) {
    void *lines = alloc(60 * KIB), *units = alloc(1000 * KIB), *huge = alloc(9 * MIB);
    forbid_units();
    use_all_lines();
    size_t before = held_lines(arena);
    lines = hk_arena_realloc(handle, lines, 5000);
    cr_assert_eq(held_lines(arena), before - 55);
    units = hk_arena_realloc(handle, units, 70 * KIB);
    cr_assert_eq(held_lines(arena), before - 55 - 930);
    huge = hk_arena_realloc(handle, huge, 5 * MIB);
    cr_assert_eq(held_lines(arena), before - 55 - 930 - 4096);
    cr_assert(hk_usable_size(lines) >= 5000 && hk_usable_size(units) == 70 * KIB && hk_usable_size(huge) == 5 * MIB);
    assert_sound(arena);
}

Test(alloc, blocks_of_other_threads_shrink_in_place, .init = start_shared) {
    alloc(1);
    for (size_t i = 0; i < LENGTH_OF(shrinks); i++) {
        size_t from = shrinks[i].from, to = shrinks[i].to;
        void *block = run_in_thread(alloc_in_thread, &from);
        cr_assert_not_null(block);
        fill(block, from, (unsigned)from);
        forbid_units();
        use_all_lines();
        assert_shrinks_in_place(block, from, to);
        cr_assert_eq(hk_arena_free_sized(handle, block, to), HK_OK);
        hk_arena_set_limit(handle, 0);
        assert_sound(arena);
    }
}

/* ---- what does not fit at first may fit after everything free was given back ---- */

enum { MANY = 200 };

static void *many[MANY];

static void take_many(void) {
    for (int i = 0; i < MANY; i++)
        many[i] = alloc(HKI_LINE_SIZE);
}

static void free_many(void) {
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(hk_arena_free(handle, many[i]), HK_OK);
}

static void *take_many_in_thread(void *unused) {
    for (int i = 0; i < MANY; i++)
        if ((many[i] = hk_arena_alloc(handle, HKI_LINE_SIZE)) == NULL)
            return NULL;
    return unused;
}

static void assert_fits_after_all(size_t size) {
    hki_last_status = HK_OK;
    void *block = alloc(size);
    cr_assert(limit_failures() == 0 && system_failures() == 0 && hk_last_status() == HK_OK);
    assert_sound(arena);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
}

Test(alloc, free_blocks_make_room_under_a_limit, .init = start) {
    static const size_t sizes[] = {100, 16384, 64 * KIB, MANY * KIB};
    hk_arena_set_limit(handle, MANY * KIB);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        take_many();
        cr_assert_eq(held_lines(arena), MANY);
        free_many();
        assert_fits_after_all(sizes[i]);
    }
    take_many();
    cr_assert_null(hk_arena_alloc(handle, 8));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(limit_failures(), 1);
    cr_assert_eq(atomic_load(&arena->quota.peak_lines), MANY);
}

/* Blocks that fill a unit, all of which fit on a stack. */
enum { PER_UNIT = HKI_UNIT_SIZE / HKI_SMALL_MAX };

Test(alloc, free_blocks_make_room_when_the_system_refuses, .init = start) {
    static const size_t sizes[] = {1000, 17000, 64 * KIB};
    void *blocks[PER_UNIT];
    cr_assert_leq(PER_UNIT, hki_classes[HKI_CLASS_16384].stack_slots);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        for (int k = 0; k < PER_UNIT; k++)
            blocks[k] = alloc(HKI_SMALL_MAX);
        if (i == 0)
            refuse_units();
        for (int k = 0; k < PER_UNIT; k++)
            cr_assert_eq(hk_arena_free(handle, blocks[k]), HK_OK);
        cr_assert_eq(held_lines(arena), HKI_LINES_PER_UNIT);
        assert_fits_after_all(sizes[i]);
        hki_heap_reclaim(&arena->heap);
        cr_assert_eq(held_lines(arena), 0);
    }
    use_all_lines();
    cr_assert_eq(system_failures(), 1);
    cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
}

Test(alloc, what_idle_heaps_have_makes_room, .init = start_shared) {
    void *own = alloc(1);
    hk_arena_set_limit(handle, (MANY + 1) * KIB);
    cr_assert_not_null(run_in_thread(take_many_in_thread, handle));
    free_many(); /* remotely: the other heap is idle, so nobody collects them */
    cr_assert_eq(held_lines(arena), MANY + 1);
    assert_fits_after_all(MANY * KIB);
    cr_assert_eq(hk_arena_free(handle, own), HK_OK);
}

/* ---- misuse ---- */

static hk_error_info told;
static int times_told;

static void note(const hk_error_info *info, void *count) {
    told = *info;
    ++*(int *)count;
}

static void assert_told(hk_status status, const char *function, const void *pointer, size_t block_size) {
    cr_assert_eq(told.struct_size, sizeof told);
    cr_assert_eq(told.status, status);
    cr_assert_eq(hk_last_status(), status);
    cr_assert_str_eq(told.function, function);
    cr_assert_eq(told.pointer, pointer);
    cr_assert_eq(told.block_size, block_size);
    cr_assert_eq(told.given_size, status == HK_ERR_SIZE_MISMATCH ? 65 : 0);
    if (status == HK_ERR_FOREIGN_POINTER)
        cr_assert_null(told.arena_name);
    else
        cr_assert_str_eq(told.arena_name, "test");
}

static void misuse(hki_target target, hk_status status, size_t block_size) {
    void *pointer = target.pointer;
    times_told = 0;
    cr_assert_eq(hki_free(arena, target), status);
    assert_told(status, "a_function", pointer, block_size);
    cr_assert_null(hki_realloc(arena, target, 1000));
    assert_told(status, "a_function", pointer, block_size);
    cr_assert_null(hki_realloc(arena, target, 0));
    assert_told(status, "a_function", pointer, block_size);
    cr_assert_eq(times_told, 3);
}

Test(alloc, misuse_is_told_and_has_no_effect, .init = start) {
    static const size_t sizes[] = {48, 20 * KIB, 100 * KIB, 5 * MIB};
    hk_arena *other = make_plain_arena();
    char *local = (char *)&local;
    hk_set_error_handler(note, &times_told);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        char *block = alloc(sizes[i]), *others = hk_arena_alloc(other, sizes[i]);
        misuse(hki_target_of("a_function", others), HK_ERR_WRONG_ARENA, sizes[i]);
        misuse(hki_target_of("a_function", block + 8), HK_ERR_INTERIOR_POINTER, sizes[i]);
        misuse(hki_target_of("a_function", block + 1), HK_ERR_INTERIOR_POINTER, sizes[i]);
        misuse(hki_target_sized("a_function", block, 65), HK_ERR_SIZE_MISMATCH, sizes[i]);
        misuse(hki_target_of("a_function", local), HK_ERR_FOREIGN_POINTER, 0);
        cr_assert(hk_arena_owns(handle, block) && hk_arena_owns(other, others));
        cr_assert_eq(hki_free(arena, hki_target_sized("a_function", block, sizes[i])), HK_OK);
        cr_assert_eq(hki_free(arena, hki_target_of("a_function", block)), HK_ERR_DOUBLE_FREE);
    }
    cr_assert_eq(hki_free(arena, hki_target_sized("a_function", NULL, 5)), HK_OK);
    assert_sound(arena);
    assert_sound(hki_arena_find(other));
}

Test(alloc, bad_handles_are_told, .init = start) {
    hk_set_error_handler(note, &times_told);
    cr_assert_eq(hki_bad_arena("a_function", handle), HK_ERR_BAD_ARENA);
    cr_assert_eq(told.pointer, handle);
    cr_assert_eq(told.status, HK_ERR_BAD_ARENA);
    cr_assert(told.block_size == 0 && told.arena_name == NULL && times_told == 1);
}
