/* base: arithmetic and bit searches, against naive ones. */
#include "unit_test.h"

Test(base, power_of_two) {
    cr_assert_not(hki_is_power_of_two(0));
    for (unsigned i = 0; i < 64; i++)
        cr_assert(hki_is_power_of_two((size_t)1 << i));
    for (size_t i = 3; i < 1000; i++)
        cr_assert_eq(hki_is_power_of_two(i), __builtin_popcountll(i) == 1);
    cr_assert_not(hki_is_power_of_two(SIZE_MAX));
}

Test(base, align_up) {
    for (size_t alignment = 1; alignment <= 64; alignment *= 2)
        for (uintptr_t n = 0; n < 200; n++) {
            uintptr_t up = hki_align_up(n, alignment);
            cr_assert(up >= n && up - n < alignment && up % alignment == 0);
        }
    cr_assert_eq(hki_align_up(UINTPTR_MAX - 4095, 4096), UINTPTR_MAX - 4095);
}

Test(base, divide_up_does_not_overflow) {
    cr_assert_eq(hki_divide_up(0, 64), 0);
    cr_assert_eq(hki_divide_up(1, 64), 1);
    cr_assert_eq(hki_divide_up(64, 64), 1);
    cr_assert_eq(hki_divide_up(65, 64), 2);
    cr_assert_eq(hki_divide_up(SIZE_MAX, 2), SIZE_MAX / 2 + 1);
    cr_assert_eq(hki_divide_up(SIZE_MAX, 1), SIZE_MAX);
}

Test(base, min_and_max) {
    cr_assert_eq(hki_min(1, 2), 1);
    cr_assert_eq(hki_min(SIZE_MAX, 0), 0);
    cr_assert_eq(hki_max(1, 2), 2);
    cr_assert_eq(hki_max(SIZE_MAX, 0), SIZE_MAX);
}

Test(base, rotation_puts_low_bits_on_top) {
    cr_assert_eq(hki_rotate_right(0x50, 3), 0xa);
    for (uintptr_t low = 1; low < 8; low++)
        cr_assert_geq(hki_rotate_right(0x1000 + low, 3), (uintptr_t)1 << 61);
    cr_assert_eq(hki_rotate_right(UINTPTR_MAX, 3), UINTPTR_MAX);
}

Test(base, bits_of_a_word) {
    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(hki_lowest_bit(~UINT64_C(0) << i), i);
        cr_assert_eq(hki_highest_bit(~UINT64_C(0) >> i), 63 - i);
        cr_assert_eq(hki_count_bits(~UINT64_C(0) >> i), 64 - i);
    }
    cr_assert_eq(hki_count_bits(0), 0);
}

Test(base, bit_range) {
    for (unsigned first = 0; first < 64; first++)
        for (unsigned count = 1; count <= 64 - first; count++) {
            uint64_t range = hki_bit_range(first, count);
            cr_assert_eq(hki_count_bits(range), count);
            cr_assert_eq(hki_lowest_bit(range), first);
            cr_assert_eq(hki_highest_bit(range), first + count - 1);
        }
}

static int naive_find_row(uint64_t word, unsigned count, unsigned alignment) {
    for (unsigned first = 0; first + count <= 64; first += alignment)
        if ((word & hki_bit_range(first, count)) == hki_bit_range(first, count))
            return (int)first;
    return -1;
}

static void assert_rows_found(uint64_t word) {
    for (unsigned alignment = 1; alignment <= 64; alignment *= 2)
        for (unsigned count = 1; count <= 64; count++)
            cr_assert_eq(hki_find_row(word, count, alignment), naive_find_row(word, count, alignment), "%llx, %u at %u",
                         (unsigned long long)word, count, alignment);
}

Test(base, find_row_in_special_words) {
    const uint64_t all = ~UINT64_C(0);
    const uint64_t words[] = {0, all, all << 1, all >> 1, 1, UINT64_C(1) << 63, 0x5555555555555555, 0xf0f0f0f0f0f0f0f0};
    for (size_t i = 0; i < LENGTH_OF(words); i++)
        assert_rows_found(words[i]);
    for (unsigned hole = 0; hole < 64; hole++)
        assert_rows_found(all & ~(UINT64_C(1) << hole));
}

Test(base, find_row_in_random_words) {
    uint32_t seed = 12345;
    for (int i = 0; i < 100; i++) {
        uint64_t word = next_random64(&seed);
        assert_rows_found(word);
        assert_rows_found(word | next_random64(&seed));                        /* 3/4 ones */
        assert_rows_found(word | next_random64(&seed) | next_random64(&seed)); /* 7/8 */
        assert_rows_found(hki_bit_range(next_random(&seed) % 32, 1 + next_random(&seed) % 32) |
                          hki_bit_range(32 + next_random(&seed) % 16, 1 + next_random(&seed) % 16));
    }
}
