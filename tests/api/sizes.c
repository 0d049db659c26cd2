/* Sizes: what a request really gets, what no request can get, and zeroed memory. */
#include "api_test.h"

enum {
    EACH_SIZE_TO = 20000,
    WINDOW = 64, /* blocks that live at the same time */
};

static size_t round_up(size_t size, size_t to) {
    return (size + to - 1) / to * to;
}

/* ---- hk_good_size ---- */

static bool is_good(size_t size, size_t good) {
    size_t rounded = round_up(size, 16);
    if (good < size || hk_good_size(good) != good)
        return false;
    return size < 64 ? good <= rounded || size == 0 : (good - rounded) * 8 <= rounded;
}

Test(good_size, wastes_an_eighth_at_most) {
    size_t before = hk_good_size(0);
    for (size_t size = 0; size <= 5 * UNIT; size++) {
        size_t good = hk_good_size(size);
        if (!is_good(size, good) || good < before || (size <= before && good != before))
            cr_assert_fail("%zu gets %zu after %zu", size, good, before);
        before = good;
    }
}

Test(good_size, of_large_blocks) {
    uint32_t random = 1;
    for (int i = 0; i < 100000; i++) {
        size_t size = random_size(&random, 40);
        size_t good = hk_good_size(size);
        if (!is_good(size, good) || (size > SMALL_MAX && good - size >= LINE))
            cr_assert_fail("%zu gets %zu", size, good);
    }
}

static const size_t impossible[] = {SIZE_MAX,
                                    SIZE_MAX - 1,
                                    SIZE_MAX - 7,
                                    SIZE_MAX - 15,
                                    SIZE_MAX - LINE,
                                    SIZE_MAX - UNIT,
                                    SIZE_MAX / 2,
                                    SIZE_MAX / 2 + 1,
                                    SIZE_MAX / 2 - 15,
                                    (size_t)PTRDIFF_MAX,
                                    (size_t)PTRDIFF_MAX - LINE,
                                    (size_t)1 << 62,
                                    (size_t)1 << 48};

Test(good_size, of_what_cannot_be_is_0) {
    for (size_t i = 0; i < LENGTH_OF(impossible); i++)
        cr_assert_eq(hk_good_size(impossible[i]), 0, "%zu", impossible[i]);
}

/* ---- blocks ---- */

static bool is_right(const subject *in, const void *block, size_t size) {
    size_t usable = hk_usable_size(block), good = hk_good_size(size);
    if (block == NULL || usable < size || !is_aligned(block, size <= 8 ? 8 : in->alignment))
        return false;
    if (in->alignment == 16)
        return usable == good;
    size_t wanted = size == 0 ? 8 : size <= 128 ? round_up(size, 8) : good;
    return in->lends ? usable <= 2 * wanted : usable <= wanted;
}

static void each_size(const subject *in) {
    void *window[WINDOW] = {NULL};
    for (size_t size = 0; size <= EACH_SIZE_TO + WINDOW; size++) {
        void **slot = &window[size % WINDOW];
        if (size >= WINDOW) {
            if (!holds(*slot, hk_usable_size(*slot), size - WINDOW))
                cr_assert_fail("a block of %zu has changed", size - WINDOW);
            subject_free(in, *slot);
        }
        *slot = NULL;
        if (size > EACH_SIZE_TO)
            continue;
        *slot = subject_alloc(in, size);
        if (!is_right(in, *slot, size))
            cr_assert_fail("%zu gets %p of %zu", size, *slot, hk_usable_size(*slot));
        fill(*slot, hk_usable_size(*slot), size);
    }
    subject_free(in, window[EACH_SIZE_TO % WINDOW]);
}

Test(blocks, of_each_size_are_usable) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        each_size(&in);
        end_subject(&in);
    }
}

Test(blocks, of_large_sizes_are_usable) {
    uint32_t random = 2;
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (int k = 0; k < 300; k++) {
            size_t size = random_size(&random, 29);
            char *block = subject_alloc(&in, size);
            cr_assert(is_right(&in, block, size), "%zu", size);
            block[0] = block[size / 2] = block[hk_usable_size(block) - 1] = 1;
            subject_free_sized(&in, block, size);
        }
        end_subject(&in);
    }
}

/* What the system has is not known here: a block, or HK_ERR_NO_MEMORY; a reserve is a limit. */
Test(blocks, beyond_any_machine) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        hk_status refusal = in.rewindable ? HK_ERR_LIMIT : HK_ERR_NO_MEMORY;
        for (unsigned bits = 33; bits <= 40; bits++) {
            size_t size = (size_t)1 << bits;
            void *block = subject_alloc(&in, size);
            if (block != NULL)
                cr_assert(is_right(&in, block, size), "%zu", size);
            else
                cr_assert_eq(hk_last_status(), hk_good_size(size) != 0 ? refusal : HK_ERR_INVALID_ARGUMENT);
            subject_free(&in, block);
        }
        end_subject(&in);
    }
}

Test(blocks, of_size_0_are_blocks_of_their_own) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        void *blocks[] = {subject_alloc(&in, 0),         subject_alloc(&in, 0),
                          subject_calloc(&in, 0, 100),   subject_calloc(&in, 100, 0),
                          subject_realloc(&in, NULL, 0), subject_aligned_alloc(&in, 64, 0)};
        for (size_t k = 0; k < LENGTH_OF(blocks); k++) {
            cr_assert(hk_arena_owns(in.arena, blocks[k]));
            for (size_t l = 0; l < k; l++)
                cr_assert_neq(blocks[k], blocks[l]);
        }
        for (size_t k = 0; k < LENGTH_OF(blocks); k++)
            subject_free(&in, blocks[k]);
        end_subject(&in);
    }
}

static void random_slot(const subject *in, void **block, size_t *size, uint32_t *random, uint64_t seed) {
    if (*block != NULL) {
        if (!holds(*block, *size, seed))
            cr_assert_fail("a block of %zu has changed", *size);
        subject_free(in, *block);
        *block = NULL;
        return;
    }
    *size = random_size(random, next_random(random) % 8 == 0 ? 20 : 12);
    *block = subject_alloc(in, *size);
    cr_assert_not_null(*block);
    fill(*block, *size, seed);
}

Test(blocks, of_all_subjects_at_once_do_not_overlap) {
    enum { SLOTS = 2000, STEPS = 60000 };
    static void *blocks[SLOTS];
    static size_t sizes[SLOTS];
    subject in[SUBJECTS];
    uint32_t random = 3;
    for (int i = 0; i < SUBJECTS; i++)
        in[i] = make_subject(i);
    for (int step = 0; step < STEPS; step++) {
        size_t slot = next_random(&random) % SLOTS;
        random_slot(&in[slot % SUBJECTS], &blocks[slot], &sizes[slot], &random, slot);
    }
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (blocks[slot] != NULL)
            random_slot(&in[slot % SUBJECTS], &blocks[slot], &sizes[slot], &random, slot);
    for (int i = 0; i < SUBJECTS; i++)
        end_subject(&in[i]);
}

/* ---- what cannot be ---- */

static bool is_refused(const void *block) {
    return block == NULL && hk_last_status() == HK_ERR_INVALID_ARGUMENT;
}

Test(impossible, sizes_are_invalid) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        void *live = subject_alloc(&in, 100);
        fill(live, 100, 1);
        for (size_t k = 0; k < LENGTH_OF(impossible); k++) {
            size_t size = impossible[k];
            cr_assert(is_refused(subject_alloc(&in, size)), "%zu", size);
            cr_assert(is_refused(subject_calloc(&in, 1, size)), "%zu", size);
            cr_assert(is_refused(subject_calloc(&in, size, 1)), "%zu", size);
            cr_assert(is_refused(subject_realloc(&in, NULL, size)), "%zu", size);
            cr_assert(is_refused(subject_realloc(&in, live, size)), "%zu", size);
            cr_assert(is_refused(hk_arena_realloc_sized(in.arena, live, 100, size)), "%zu", size);
            for (size_t alignment = 1; alignment <= 256 * MIB; alignment *= 4)
                cr_assert(is_refused(subject_aligned_alloc(&in, alignment, size)), "%zu", size);
        }
        cr_assert(hk_arena_owns(in.arena, live) && holds(live, 100, 1));
        subject_free(&in, live);
        cr_assert_eq(totals_of(in.arena).system_failures, 0);
        end_subject(&in);
    }
}

Test(impossible, products_are_invalid) {
    static const struct {
        size_t count, size;
    } products[] = {{SIZE_MAX, 2},
                    {2, SIZE_MAX},
                    {SIZE_MAX, SIZE_MAX},
                    {SIZE_MAX / 2 + 1, 2},
                    {(size_t)1 << 32, (size_t)1 << 32},
                    {((size_t)1 << 32) + 1, (size_t)1 << 32},
                    {SIZE_MAX / 3 + 1, 3},
                    {SIZE_MAX / 16 + 2, 16}, /* wraps to 16 */
                    {65536, SIZE_MAX / 65536 + 1}};
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(products); k++)
            cr_assert(is_refused(subject_calloc(&in, products[k].count, products[k].size)), "%zu", k);
        end_subject(&in);
    }
}

/* ---- zeroed memory ---- */

static const size_t zeroed_sizes[] = {1,     7,     8,     16,    24,    100,    1000,    1024,        4096,
                                      16384, 16385, 30000, 65536, 65537, 200000, 4 * MIB, 4 * MIB + 1, 9 * MIB};

static void reuse_dirty(const subject *in, size_t size) {
    enum { BLOCKS = 5 };
    unsigned char *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < BLOCKS; k++) {
            blocks[k] = k % 2 == 0 ? subject_calloc(in, 1, size) : subject_calloc(in, size, 1);
            cr_assert_not_null(blocks[k]);
            cr_assert(is_zero(blocks[k], size), "%zu, round %d", size, round);
            memset(blocks[k], 0xa5, hk_usable_size(blocks[k]));
        }
        for (int k = 0; k < BLOCKS; k++)
            subject_free(in, blocks[(k * 3 + round) % BLOCKS]);
    }
}

Test(zeroed, also_where_memory_is_reused) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(zeroed_sizes); k++)
            reuse_dirty(&in, zeroed_sizes[k]);
        for (size_t k = LENGTH_OF(zeroed_sizes); k-- > 0;)
            reuse_dirty(&in, zeroed_sizes[k]);
        end_subject(&in);
    }
}

Test(zeroed, every_small_product) {
    subject in = make_subject(0);
    for (size_t count = 1; count <= 64; count++)
        for (size_t size = 1; size <= 64; size++) {
            void *block = subject_calloc(&in, count, size);
            if (!is_right(&in, block, count * size) || !is_zero(block, count * size))
                cr_assert_fail("%zu of %zu", count, size);
            memset(block, 0xff, count * size);
            subject_free_sized(&in, block, count * size);
        }
    end_subject(&in);
}
