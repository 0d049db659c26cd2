/* Alignment: of every power of two, what is none, and arenas of alignment 8. */
#include "api_test.h"

enum { ALIGNMENT_MAX = 256 * MIB };

static void touch_ends(char *block, size_t size) {
    if (size == 0)
        return;
    block[0] = 1;
    block[size - 1] = 2;
}

static void assert_aligned(const subject *in, void *block, size_t alignment, size_t size) {
    cr_assert_not_null(block, "alignment %zu, size %zu", alignment, size);
    cr_assert(is_aligned(block, alignment), "alignment %zu, size %zu: %p", alignment, size, block);
    cr_assert_geq(hk_usable_size(block), size);
    cr_assert(hk_arena_owns(in->arena, block));
}

static void one_alignment(const subject *in, size_t alignment) {
    const size_t sizes[] = {0, 1, 8, 100, 1000, 20000, 70000, 5 * MIB, alignment - 1, alignment, alignment + 1};
    char *blocks[LENGTH_OF(sizes)];
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        blocks[i] = subject_aligned_alloc(in, alignment, sizes[i]);
        assert_aligned(in, blocks[i], alignment, sizes[i]);
        touch_ends(blocks[i], hk_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        if (i % 2 == 0)
            subject_free_sized(in, blocks[i], sizes[i]);
        else
            subject_free(in, blocks[i]);
    }
}

Test(aligned, to_every_power_of_two) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t alignment = 1; alignment <= ALIGNMENT_MAX; alignment *= 2)
            one_alignment(&in, alignment);
        end_subject(&in);
    }
}

Test(aligned, many_at_once) {
    enum { BLOCKS = 400 };
    static char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        uint32_t random = 4;
        for (size_t k = 0; k < BLOCKS; k++) {
            size_t alignment = (size_t)1 << next_random(&random) % 18;
            sizes[k] = random_size(&random, 16);
            blocks[k] = subject_aligned_alloc(&in, alignment, sizes[k]);
            assert_aligned(&in, blocks[k], alignment, sizes[k]);
            fill(blocks[k], sizes[k], k);
        }
        for (size_t k = 0; k < BLOCKS; k++) {
            cr_assert(holds(blocks[k], sizes[k], k), "%zu", k);
            subject_free(&in, blocks[k]);
        }
        end_subject(&in);
    }
}

/* A block of a strict alignment is a block like any other. */
Test(aligned, can_be_reallocated) {
    static const size_t sizes[] = {1, 100, 5000, 20000, 100000, 5 * MIB};
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t alignment = 1; alignment <= 64 * MIB; alignment *= 4)
            for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
                size_t from = sizes[k], to = sizes[(k + 1 + alignment % 5) % LENGTH_OF(sizes)];
                char *block = subject_aligned_alloc(&in, alignment, from);
                assert_aligned(&in, block, alignment, from);
                fill(block, from, alignment);
                block = subject_realloc(&in, block, to);
                cr_assert_not_null(block);
                cr_assert(holds(block, from < to ? from : to, alignment), "%zu: %zu to %zu", alignment, from, to);
                subject_free(&in, block);
            }
        end_subject(&in);
    }
}

Test(aligned, to_anything_else_is_invalid) {
    static const size_t wrong[] = {0,
                                   3,
                                   5,
                                   6,
                                   7,
                                   12,
                                   24,
                                   48,
                                   1000,
                                   4095,
                                   4097,
                                   3 * MIB,
                                   (size_t)ALIGNMENT_MAX + 1,
                                   (size_t)ALIGNMENT_MAX * 2,
                                   (size_t)1 << 40,
                                   (size_t)1 << 63,
                                   SIZE_MAX,
                                   SIZE_MAX - 15};
    static const size_t sizes[] = {0, 1, 100, 20000, 5 * MIB, SIZE_MAX};
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(wrong) * LENGTH_OF(sizes); k++) {
            size_t alignment = wrong[k / LENGTH_OF(sizes)], size = sizes[k % LENGTH_OF(sizes)];
            cr_assert_null(subject_aligned_alloc(&in, alignment, size), "alignment %zu", alignment);
            cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT, "alignment %zu", alignment);
        }
        end_subject(&in);
    }
}

/* ---- arenas of alignment 8 ---- */

static void assert_no_waste(const subject *in) {
    enum { BLOCKS = 300 };
    void *blocks[BLOCKS];
    cr_assert_eq(in->alignment, 8);
    for (size_t size = 8; size <= 128; size += 8) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = subject_alloc(in, size - i % 8);
            cr_assert_eq(hk_usable_size(blocks[i]), size);
            fill(blocks[i], size, i);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            cr_assert(holds(blocks[i], size, i));
            subject_free_sized(in, blocks[i], size - i % 8);
        }
    }
}

Test(alignment_8, multiples_of_8_up_to_128_waste_nothing) {
    subject in = make_subject(3);
    assert_no_waste(&in);
    end_subject(&in);
}

Test(alignment_8, multiples_of_8_up_to_128_waste_nothing_in_a_private_arena_that_has_grown) {
    enum { BALLAST = 20000 };
    static void *ballast[BALLAST];
    subject in = make_subject(5);
    for (size_t i = 0; i < BALLAST; i++)
        cr_assert_not_null(ballast[i] = subject_alloc(&in, 64));
    assert_no_waste(&in);
    for (size_t i = 0; i < BALLAST; i++)
        subject_free(&in, ballast[i]);
    end_subject(&in);
}

Test(alignment_8, stricter_ones_are_had_on_request) {
    for (int which = 3; which < SUBJECTS; which += 2) {
        subject in = make_subject(which);
        for (size_t size = 1; size <= 200; size++)
            for (size_t alignment = 16; alignment <= 64; alignment *= 2) {
                void *blocks[3];
                for (size_t i = 0; i < LENGTH_OF(blocks); i++) {
                    blocks[i] = subject_aligned_alloc(&in, alignment, size);
                    assert_aligned(&in, blocks[i], alignment, size);
                }
                for (size_t i = 0; i < LENGTH_OF(blocks); i++)
                    subject_free_sized(&in, blocks[i], size);
            }
        end_subject(&in);
    }
}

Test(alignment_8, small_blocks_lie_densely) {
    enum { BLOCKS = 10000 };
    hk_arena *arena = make_named_arena("dense", HK_ARENA_ONE_THREAD_AT_A_TIME, 8);
    for (int i = 0; i < BLOCKS; i++)
        cr_assert_not_null(hk_arena_alloc(arena, 24));
    hk_statistics totals = totals_of(arena);
    cr_assert(totals.live_bytes >= (size_t)BLOCKS * 24 && totals.live_bytes < (size_t)BLOCKS * 25);
    cr_assert_lt(totals.held_bytes, totals.live_bytes + totals.live_bytes / 4);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}
