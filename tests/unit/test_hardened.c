/* hardened: in which order blocks come back, what they read as meanwhile, and that all books count them. */
#include "unit_test.h"

#include "hardened.h"

static hk_arena *handle;
static hki_arena *arena;

static void start_with(uint32_t flags, uint32_t min_alignment) {
    handle = make_arena(HK_ARENA_HARDENED | flags, min_alignment, 0);
    arena = hki_arena_find(handle);
}

static void start(void) {
    start_with(HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
}

static hki_heap *heap(void) {
    return hki_thread_heap(arena);
}

static unsigned ring_of(unsigned size_class) {
    return heap()->delays[size_class].ring_slots;
}

static void *take(size_t size) {
    void *block = hk_arena_alloc(handle, size);
    cr_assert_not_null(block);
    return block;
}

/* The classes of an arena of alignment 16, by the largest request of each. */
static size_t largest_of(unsigned size_class) {
    return hki_classes[size_class].size - (size_t)HKI_SLACK_MIN;
}

static bool is_used_class(unsigned size_class) {
    return hki_class_of(hki_class_table_16, hki_classes[size_class].size) == size_class;
}

/* ---- what was reported ---- */

static unsigned reports;
static hk_error_info last;

static void note(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reports++;
    last = *info;
}

static void start_noting(void) {
    start();
    hk_set_error_handler(note, NULL);
}

/* ---- the fast paths see nothing of it ---- */

Test(hardened, has_empty_and_full_stacks, .init = start) {
    void *block = take(100);
    uintptr_t granule = hki_granule_of(block);
    hki_found found;
    cr_assert_eq(hki_heap_pop(heap(), hki_granule_class(granule)), 0);
    cr_assert(hki_heap_is_full(heap(), hki_granule_class(granule)));
    cr_assert_not(hki_heap_find(heap(), granule, &found));
    cr_assert_null(hki_arena_find_ordinary(handle));
    cr_assert_eq(hki_arena_find(handle), arena);
    cr_assert_null(hki_arena_find((const hk_arena *)((uintptr_t)handle - HKI_HANDLE_HARDENED)));
    cr_assert_eq(hk_arena_of(block), handle);
}

/* ---- order ---- */

/* Frees one block, and then allocates and frees others until it comes again. Returns after how many frees, the first
 * included, it was free to come. */
static unsigned frees_until_reuse(size_t size, unsigned patience) {
    void *watched = take(size);
    void *kept[64];
    for (unsigned i = 0; i < LENGTH_OF(kept); i++)
        kept[i] = take(size);
    cr_assert_eq(hk_arena_free(handle, watched), HK_OK);
    for (unsigned i = 1; i < patience; i++) {
        unsigned slot = i % LENGTH_OF(kept);
        cr_assert_eq(hk_arena_free(handle, kept[slot]), HK_OK);
        kept[slot] = take(size);
        if (kept[slot] == watched)
            return i;
    }
    return patience;
}

Test(order, is_delayed_by_the_ring_at_least, .init = start) {
    for (unsigned size_class = 0; size_class < HKI_CLASSES; size_class += 5)
        for (unsigned round = 0; round < 20 && is_used_class(size_class); round++) {
            unsigned frees = frees_until_reuse(largest_of(size_class), 3000);
            cr_assert_geq(frees, ring_of(size_class), "class %u: %u frees", size_class, frees);
        }
    assert_sound(arena);
}

/* How often a block comes at the place that it would come at if blocks came first in, first out, or last in, first
 * out. */
Test(order, is_neither_first_nor_last, .init = start) {
    enum { BLOCKS = 200, ROUNDS = 20 };
    static void *freed[BLOCKS], *taken[BLOCKS];
    unsigned as_fifo = 0, as_lifo = 0, ascending = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BLOCKS; i++)
            freed[i] = take(100);
        for (unsigned i = 0; i < BLOCKS; i++)
            hk_arena_free(handle, freed[i]);
        for (unsigned i = 0; i < BLOCKS; i++)
            taken[i] = take(100);
        for (unsigned i = 0; i < BLOCKS; i++) {
            as_fifo += taken[i] == freed[i];
            as_lifo += taken[i] == freed[BLOCKS - 1 - i];
            ascending += i > 0 && (uintptr_t)taken[i] == (uintptr_t)taken[i - 1] + 112;
            hk_arena_free(handle, taken[i]);
        }
    }
    cr_assert_lt(as_fifo, BLOCKS * ROUNDS / 20, "%u", as_fifo);
    cr_assert_lt(as_lifo, BLOCKS * ROUNDS / 20, "%u", as_lifo);
    cr_assert_lt(ascending, BLOCKS * ROUNDS / 4, "%u", ascending);
    assert_sound(arena);
}

/* Two arenas do not draw the same. */
Test(order, differs_from_arena_to_arena, .init = start) {
    unsigned same = 0;
    uintptr_t first[64];
    for (unsigned i = 0; i < 64; i++)
        first[i] = (uintptr_t)take(500) % HKI_UNIT_SIZE;
    start();
    for (unsigned i = 0; i < 64; i++)
        same += first[i] == (uintptr_t)take(500) % HKI_UNIT_SIZE;
    cr_assert_lt(same, 40, "%u", same);
}

/* Every block of the urn can be the next one: over many draws each has been. */
Test(order, reaches_every_block, .init = start) {
    enum { DRAWS = 20000 };
    static uintptr_t seen[512];
    unsigned count = 0;
    for (unsigned i = 0; i < DRAWS; i++) {
        uintptr_t block = (uintptr_t)take(1000);
        unsigned k = 0;
        while (k < count && seen[k] != block)
            k++;
        if (k == count && count < LENGTH_OF(seen))
            seen[count++] = block;
        hk_arena_free(handle, (void *)block);
    }
    hki_class_books *books = &heap()->books[hki_class_of(hki_class_table_16, 1008)];
    cr_assert_geq(count, ring_of(hki_class_of(hki_class_table_16, 1008)));
    cr_assert_leq(count, atomic_load(&books->blocks));
}

/* ---- contents ---- */

Test(contents, are_zeros_when_taken_and_when_freed, .init = start) {
    for (size_t size = 0; size <= HKI_SMALL_MAX + 5000; size += size < 300 ? 1 : 97)
        for (unsigned round = 0; round < 3; round++) {
            unsigned char *block = take(size);
            size_t whole = hki_block_find(block).size;
            cr_assert(is_zero(block, size), "%zu", size);
            memset(block, 0xa5, size);
            cr_assert_eq(hk_arena_free(handle, block), HK_OK);
            cr_assert(is_zero(block, whole), "%zu", size);
        }
    assert_sound(arena);
}

Test(contents, of_large_blocks_go_too, .init = start) {
    static const size_t sizes[] = {40000, 70000, 300000, (size_t)3 << 20, (size_t)9 << 20};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        unsigned char *block = take(sizes[i]);
        cr_assert(is_zero(block, sizes[i]));
        memset(block, 0xa5, sizes[i]);
        cr_assert_eq(hk_arena_free(handle, block), HK_OK);
        for (size_t at = 0; at < sizes[i]; at += 4096)
            cr_assert(!can_read(block + at) || is_zero(block + at, 4096 - 1024), "%zu", at);
    }
}

/* No bit of a claim is left: the units serve others. */
Test(contents, of_large_blocks_leave_no_bits, .init = start) {
    for (size_t size = 70000; size < (size_t)9 << 20; size *= 3) {
        uintptr_t granule = hki_granule_of(take(size));
        cr_assert_eq(hk_arena_free(handle, hki_granule_address(granule)), HK_OK);
        cr_assert_eq(atomic_load(hki_remote_word(granule)), 0);
        cr_assert_eq(atomic_load(hki_live_word(granule)), 0);
    }
    unsigned char *block = take(100000);
    block[100000] ^= 1;
    cr_assert_eq((hk_set_error_policy(HK_ON_ERROR_IGNORE), hk_arena_free(handle, block)), HK_ERR_OVERFLOW);
    cr_assert_eq(atomic_load(hki_remote_word(hki_granule_of(block))), 0);
    cr_assert_eq(hk_arena_destroy(handle), HK_OK);
}

/* The pages cannot be had back: so they are written. */
Test(contents, of_huge_blocks_go_though_the_system_refuses, .init = start) {
    size_t size = (size_t)9 << 20;
    unsigned char *block = take(size);
    memset(block, 0xa5, size);
    fail_from(0);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    hki_os_fail_calls(0, 0);
    cr_assert(is_zero(block, size));
    assert_sound(arena);
}

Test(contents, are_gone_after_reset_and_destroy, .init = start) {
    static const size_t sizes[] = {8, 100, 5000, 30000, 100000};
    for (int way = 0; way < 2; way++) {
        unsigned char *blocks[LENGTH_OF(sizes)];
        for (size_t i = 0; i < LENGTH_OF(sizes); i++)
            memset(blocks[i] = take(sizes[i]), 0xa5, sizes[i]);
        cr_assert_eq(way == 0 ? hk_arena_reset(handle) : hk_arena_destroy(handle), HK_OK);
        for (size_t i = 0; i < LENGTH_OF(sizes); i++)
            cr_assert(!can_read(blocks[i]) || is_zero(blocks[i], sizes[i]), "way %d, %zu", way, sizes[i]);
    }
}

/* Lines that other arenas have left dirty are zeroed when a hardened heap takes them. */
Test(contents, of_other_arenas_are_not_inherited) {
    hk_arena *other = make_plain_arena();
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = i % 30000 + 1;
        memset(hk_arena_alloc(other, size), 0xa5, size);
    }
    cr_assert_eq(hk_arena_destroy(other), HK_OK);
    start_noting();
    for (size_t size = 0; size < 40000; size += 1 + size / 50)
        for (unsigned i = 0; i < 20; i++)
            cr_assert(is_zero(take(size), size), "%zu", size);
    cr_assert_eq(reports, 0);
    assert_sound(arena);
}

/* ---- write after free ---- */

/* The blocks of a class until the one comes that was written to. */
static bool comes_with_a_report(const void *written, size_t size) {
    for (unsigned i = 0; i < 4000; i++) {
        unsigned before = reports;
        unsigned char *block = take(size);
        if (block != written) {
            cr_assert_eq(reports, before);
            hk_arena_free(handle, block);
            continue;
        }
        cr_assert(is_zero(block, size));
        return reports == before + 1 && last.status == HK_ERR_WRITE_AFTER_FREE && last.pointer == block &&
               last.block_size == size && strcmp(last.arena_name, "test") == 0 &&
               strcmp(last.function, "hk_arena_alloc") == 0;
    }
    return false;
}

Test(write_after_free, is_found_in_every_class, .init = start_noting) {
    for (unsigned size_class = 0; size_class < HKI_CLASSES; size_class++) {
        if (!is_used_class(size_class))
            continue;
        size_t size = largest_of(size_class), whole = hki_classes[size_class].size;
        static const unsigned places = 3;
        for (unsigned i = 0; i < places; i++) {
            unsigned char *block = take(size);
            cr_assert_eq(hk_arena_free(handle, block), HK_OK);
            block[(whole - 1) * i / (places - 1)] = 1;
            cr_assert(comes_with_a_report(block, size), "class %u", size_class);
            cr_assert_eq(hk_arena_free(handle, block), HK_OK);
        }
    }
    assert_sound(arena);
}

Test(write_after_free, is_found_by_the_slow_way_too, .init = start_noting) {
    unsigned char *block = hk_arena_aligned_alloc(handle, 64, 100);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    block[50] = 7;
    for (unsigned i = 0; i < 4000 && reports == 0; i++) {
        void *other = hk_arena_aligned_alloc(handle, 64, 100);
        cr_assert_not_null(other);
        cr_assert(is_zero(other, 100));
        cr_assert_eq(hk_arena_free(handle, other), HK_OK);
    }
    cr_assert_eq(reports, 1);
    cr_assert_eq(last.pointer, block);
    cr_assert_str_eq(last.function, "hk_arena_aligned_alloc");
    assert_sound(arena);
}

static void allocate_in_handler(const hk_error_info *info, void *user_data) {
    note(info, user_data);
    for (unsigned i = 0; i < 300; i++) {
        void *block = hk_arena_alloc(handle, i);
        if (block == NULL || hk_arena_free(handle, block) != HK_OK)
            reports = 1000;
    }
    if (hk_arena_check(handle) != HK_OK)
        reports = 1000;
}

Test(write_after_free, lets_the_handler_allocate, .init = start) {
    hk_set_error_handler(allocate_in_handler, NULL);
    unsigned char *block = take(100);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    block[0] = 1;
    cr_assert(comes_with_a_report(block, 100));
    cr_assert_eq(reports, 1);
    assert_sound(arena);
}

/* ---- books ---- */

static hk_statistics totals(void) {
    hk_statistics of = {.struct_size = sizeof of};
    cr_assert_eq(hk_arena_statistics(handle, &of), HK_OK);
    return of;
}

Test(books, count_exactly_what_is_live, .init = start) {
    enum { SLOTS = 300 };
    static void *slots[SLOTS];
    uint32_t random = 7;
    size_t live = 0;
    for (unsigned i = 0; i < 60000; i++) {
        unsigned k = next_random(&random) % SLOTS;
        if (slots[k] != NULL) {
            cr_assert_eq(hk_arena_free(handle, slots[k]), HK_OK);
            slots[k] = NULL;
            live--;
        } else {
            slots[k] = take(random_size(&random, 20000));
            live++;
        }
        if (i % 3000 == 0) {
            cr_assert_eq(totals().live_blocks, live);
            assert_sound(arena);
        }
        if (i % 20000 == 19999)
            cr_assert_eq(hk_arena_trim(handle), HK_OK);
    }
    for (unsigned k = 0; k < SLOTS; k++)
        hk_arena_free(handle, slots[k]);
    cr_assert_eq(totals().live_blocks, 0);
    cr_assert_gt(totals().held_bytes, 0);
    cr_assert_eq(hk_arena_trim(handle), HK_OK);
    cr_assert_eq(totals().held_bytes, 0);
    cr_assert_eq(totals().units, 0);
    assert_sound(arena);
}

/* At a limit ring and urn give way, so that what fits in an ordinary arena fits here but for the canaries. */
Test(books, keep_a_limit, .init = start) {
    static const size_t sizes[] = {24, 500, 1000, 4000, 16376, 30000};
    size_t lines = 256;
    hk_arena_set_limit(handle, lines * HKI_LINE_SIZE);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        static void *blocks[8200];
        for (unsigned round = 0; round < 3; round++) {
            size_t count = 0;
            while ((blocks[count] = hk_arena_alloc(handle, sizes[i])) != NULL)
                cr_assert_lt(++count, LENGTH_OF(blocks));
            cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
            cr_assert_geq(count * (sizes[i] + 8), lines * HKI_LINE_SIZE * 7 / 8, "%zu: %zu", sizes[i], count);
            cr_assert_leq(held_lines(arena), lines);
            assert_sound(arena);
            for (size_t k = 0; k < count; k++)
                cr_assert_eq(hk_arena_free(handle, blocks[k]), HK_OK);
        }
    }
    assert_sound(arena);
}

Test(books, survive_many_lives_of_a_slot) {
    for (unsigned i = 0; i < 300; i++) {
        start_with(i % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : 0, i % 3 == 0 ? 8 : 16);
        for (size_t size = 1; size < 100000; size *= 3)
            memset(take(size), 1, size);
        if (i % 5 == 0) {
            cr_assert_eq(hk_arena_reset(handle), HK_OK);
            assert_sound(arena);
            memset(take(50), 1, 50);
        }
        assert_sound(arena);
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
        hk_arena *ordinary = make_arena(i % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : 0, 16, 0);
        void *block = hk_arena_alloc(ordinary, 100);
        cr_assert_eq(hk_usable_size(block), 112);
        cr_assert_eq(hk_arena_free(ordinary, block), HK_OK);
        cr_assert_eq(hk_arena_alloc(ordinary, 100), block);
        cr_assert_eq(hk_arena_check(ordinary), HK_OK);
        cr_assert_eq(hk_arena_destroy(ordinary), HK_OK);
    }
}

/* ---- other threads ---- */

static void *free_in_thread(void *block) {
    return hk_arena_free(handle, block) == HK_OK ? block : NULL;
}

/* Lines that another thread has freed in take the complete way, until there is nothing left to collect. */
Test(threads, leave_no_mark_behind) {
    enum { BLOCKS = 60 };
    unsigned char *blocks[BLOCKS], *first = NULL, *second = NULL;
    start_with(0, 16);
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = memset(take(24), 1, 24);
    for (unsigned i = 1; i < BLOCKS && first == NULL; i++)
        if (hki_granule_line(hki_granule_of(blocks[i])) == hki_granule_line(hki_granule_of(blocks[0]))) {
            first = blocks[0];
            second = blocks[i];
        }
    cr_assert_not_null(first);
    cr_assert_eq(run_in_thread(free_in_thread, first), first);
    cr_assert(is_zero(first, 24));
    cr_assert_neq(hki_granule_tag(hki_granule_of(first)) & HKI_TAG_REMOTE, 0);
    hki_heap_collect(heap());
    cr_assert(is_zero(first, 32));
    cr_assert_eq(hk_arena_free(handle, second), HK_OK);
    cr_assert_eq(hki_granule_tag(hki_granule_of(second)) & HKI_TAG_REMOTE, 0);
    assert_sound(arena);
}

/* ---- retired arenas ---- */

Test(retired, blocks_are_verified_and_zeroed, .init = start_noting) {
    static const size_t sizes[] = {100, 5000, 30000, 100000, (size_t)5 << 20};
    unsigned char *blocks[LENGTH_OF(sizes)];
    for (size_t i = 0; i < LENGTH_OF(sizes); i++)
        memset(blocks[i] = take(sizes[i]), 0xa5, sizes[i]);
    cr_assert_eq(hk_arena_retire(handle), HK_OK);
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        unsigned char saved = blocks[i][sizes[i]];
        blocks[i][sizes[i]]++;
        hk_free(blocks[i]);
        cr_assert_eq(last.status, HK_ERR_OVERFLOW);
        blocks[i][sizes[i]] = saved;
        hk_free_sized(blocks[i], sizes[i] + 1);
        cr_assert_eq(last.status, HK_ERR_SIZE_MISMATCH);
    }
    cr_assert_eq(reports, 2 * LENGTH_OF(sizes));
    blocks[0] = hk_realloc(blocks[0], 80);
    cr_assert(is_filled(blocks[0], 80, 0xa4) && hk_usable_size(blocks[0]) == 80);
    blocks[1] = hk_realloc(blocks[1], 12000);
    cr_assert(is_filled(blocks[1], 5000, 0xa4));
    for (size_t i = 0; i < LENGTH_OF(sizes); i++)
        hk_free(blocks[i]);
    cr_assert_eq(reports, 2 * LENGTH_OF(sizes));
}
