/* Wrong sizes: what is told apart by hk_good_size is told apart by the functions that are told the size. */
#include "misuse_test.h"

static const size_t told_sizes[] = {0,
                                    1,
                                    8,
                                    16,
                                    17,
                                    64,
                                    100,
                                    1000,
                                    LINE,
                                    SMALL_MAX,
                                    SMALL_MAX + 1,
                                    20000,
                                    20480,
                                    20481,
                                    UNIT,
                                    UNIT + 1,
                                    200000,
                                    4 * MIB,
                                    5 * MIB,
                                    (size_t)1 << 32,
                                    (size_t)1 << 40,
                                    ((size_t)1 << 40) + 1,
                                    (size_t)PTRDIFF_MAX,
                                    SIZE_MAX - 1};

/* With every function that is told. */
static void assert_refused(const subject *in, void *victim, size_t told) {
    expectation expected = {HK_ERR_SIZE_MISMATCH, hk_usable_size(victim), told, hk_arena_name(in->arena)};
    for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++)
        if (is_for(&misuse_calls[i], in) && misuse_calls[i].is_told)
            assert_misuse(&misuse_calls[i], (arguments){.arena = in->arena, .pointer = victim, .size = told}, expected);
}

static void each_told_size(const subject *in, size_t size) {
    void *victim = make_victim(in, size);
    size_t usable = hk_usable_size(victim);
    for (size_t i = 0; i < LENGTH_OF(told_sizes); i++)
        if (hk_good_size(told_sizes[i]) != hk_good_size(size))
            assert_refused(in, victim, told_sizes[i]);
    if (size > 0 && hk_good_size(usable + 1) != usable)
        assert_refused(in, victim, usable + 1);
    end_victim(in, victim, usable);
}

Test(wrong_size, is_refused_for_each_kind_of_block, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t i = 0; i < LENGTH_OF(victim_sizes); i++)
            each_told_size(&in, victim_sizes[i]);
        end_subject(&in);
    }
}

Test(wrong_size, of_all_bits_is_refused, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t i = 0; i < LENGTH_OF(victim_sizes); i++) {
            void *victim = make_victim(&in, victim_sizes[i]);
            size_t usable = hk_usable_size(victim);
            assert_refused(&in, victim, SIZE_MAX);
            end_victim(&in, victim, usable);
        }
        end_subject(&in);
    }
}

/* For each small size, and with it each class, both neighbours among the classes. */
Test(wrong_size, of_the_next_class_is_refused, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        size_t below = 0;
        for (size_t size = 8; size <= SMALL_MAX; size = hk_good_size(size + 1)) {
            void *victim = make_victim(&in, size);
            size_t usable = hk_usable_size(victim);
            cr_assert(usable == size || (in.lends && usable > size && usable <= 2 * size));
            assert_refused(&in, victim, usable + 1);
            assert_refused(&in, victim, hk_good_size(usable + 1));
            if (below != 0 && !in.lends)
                assert_refused(&in, victim, below);
            below = size;
            end_victim(&in, victim, usable);
        }
        end_subject(&in);
    }
}

/* In an arena of alignment 8 small sizes are told apart by 8 bytes. */
Test(wrong_size, by_8_bytes_is_refused_at_alignment_8, .init = watch) {
    subject in = make_subject(3);
    for (size_t size = 8; size <= 128; size += 8) {
        void *victim = make_victim(&in, size);
        for (size_t told = 8; told <= 136; told += 8)
            if (told != size)
                assert_refused(&in, victim, told);
        end_victim(&in, victim, size);
    }
    end_subject(&in);
}

/* In a private arena that is still small a rare size gets a larger block. Whatever it was that was asked for, 8 bytes it
 * was not. */
Test(wrong_size, is_refused_where_a_rare_size_got_a_larger_block, .init = watch) {
    subject in = make_subject(5);
    void *victims[16] = {make_victim(&in, 100)};
    for (size_t i = 1; i < LENGTH_OF(victims); i++)
        victims[i] = make_victim(&in, 24 + i * 8);
    for (size_t i = 0; i < LENGTH_OF(victims); i++)
        assert_refused(&in, victims[i], 8);
    for (size_t i = 0; i < LENGTH_OF(victims); i++)
        end_victim(&in, victims[i], hk_usable_size(victims[i]));
    end_subject(&in);
}

Test(wrong_size, of_the_same_good_size_is_right, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t i = 0; i < LENGTH_OF(victim_sizes); i++) {
            size_t size = victim_sizes[i];
            void *block = subject_alloc(&in, size);
            subject_free_sized(&in, block, hk_usable_size(block));
            block = subject_alloc(&in, hk_good_size(size));
            subject_free_sized(&in, block, hk_good_size(size));
        }
        cr_assert_eq(seen.count, 0);
        end_subject(&in);
    }
}

/* Told by a thread that is not the block's owner. */
Test(wrong_size, is_refused_to_other_threads_too, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++) {
            void *victim = make_victim(&in, victim_sizes[k]);
            size_t usable = hk_usable_size(victim);
            expectation expected = {HK_ERR_SIZE_MISMATCH, usable, usable + 1, hk_arena_name(in.arena)};
            for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++)
                if (is_for(&misuse_calls[i], &in) && misuse_calls[i].is_told)
                    assert_misuse_by(true, &misuse_calls[i],
                                     (arguments){.arena = in.arena, .pointer = victim, .size = usable + 1}, expected);
            end_victim(&in, victim, usable);
        }
        end_subject(&in);
    }
}

/* A reallocated block has its new size. */
Test(wrong_size, is_the_old_one_after_a_reallocation, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++)
            for (size_t l = 0; l < LENGTH_OF(victim_sizes); l++) {
                size_t from = victim_sizes[k], to = victim_sizes[l];
                if (to == 0 || hk_good_size(from) == hk_good_size(to))
                    continue;
                void *victim = subject_realloc(&in, subject_alloc(&in, from), to);
                fill(victim, hk_usable_size(victim), VICTIM_SEED);
                assert_refused(&in, victim, from);
                assert_unharmed(&in, victim, hk_usable_size(victim));
                subject_free_sized(&in, victim, to);
            }
        end_subject(&in);
    }
}
