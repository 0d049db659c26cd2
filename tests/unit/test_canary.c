/* canary: every byte behind what was asked for counts, whatever the sizes; and the loops of base.h that zero and
 * test. */
#include "unit_test.h"

#include "canary.h"

enum { ROOM = 4096 };

/* Between two bounds that nothing may touch. */
static _Alignas(64) unsigned char memory[ROOM + 128];
static unsigned char *const block = memory + 64;

static void start(void) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_canary_start();
    hki_lock_release(&hki_arenas_lock);
}

static bool bounds_are_whole(size_t size) {
    return is_filled(memory, 64, 3) && is_filled(block + size, 64, 3);
}

static void prepare(size_t size) {
    fill(memory, sizeof memory, 3);
    memset(block, 0, size);
}

/* Sizes of blocks: multiples of 8, with their largest and smallest slack and all about as large as a window. */
#define FOR_EACH_SIZE(size) for (size_t size = 8; size <= ROOM; size += size < 400 ? 8 : 296)
#define FOR_EACH_ASKED(asked, size)                                                                                    \
    for (size_t asked = (size) > 400 ? (size)-200 : 0; asked <= (size)-HKI_SLACK_MIN; asked++)

Test(canary, tells_what_was_asked_for, .init = start) {
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        prepare(size);
        hki_canary_write(block, size, asked);
        cr_assert_eq(hki_canary_check(block, size), asked, "%zu of %zu", asked, size);
        cr_assert_eq(hki_canary_usable(block, size), asked);
        cr_assert(is_zero(block, asked) && bounds_are_whole(size), "%zu of %zu", asked, size);
    }
}

Test(canary, is_the_same_by_the_short_way, .init = start) {
    static unsigned char other[ROOM];
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        prepare(size);
        hki_canary_write(block, size, asked);
        memcpy(other, block, size);
        prepare(size);
        hki_canary_write_fresh(block, size, asked, hki_canary_key(block));
        cr_assert(memcmp(other, block, size) == 0 && bounds_are_whole(size), "%zu of %zu", asked, size);
    }
}

Test(canary, keeps_what_was_there, .init = start) {
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        fill(memory, sizeof memory, 3);
        hki_canary_write(block, size, asked);
        cr_assert(is_filled(block, asked, 3) && bounds_are_whole(size), "%zu of %zu", asked, size);
        cr_assert_eq(hki_canary_check(block, size), asked);
    }
}

Test(canary, has_no_byte_that_may_change, .init = start) {
    uint32_t random = 1;
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        prepare(size);
        hki_canary_write(block, size, asked);
        for (size_t i = asked; i < size; i++) {
            unsigned char before = block[i], change = (unsigned char)(next_random(&random) % 255 + 1);
            block[i] ^= change;
            cr_assert_eq(hki_canary_check(block, size), HKI_CANARY_BROKEN, "byte %zu, %zu of %zu", i, asked, size);
            block[i] = before;
        }
        cr_assert_eq(hki_canary_check(block, size), asked);
    }
}

Test(canary, sees_a_zero_too_far, .init = start) {
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        prepare(size);
        hki_canary_write(block, size, asked);
        block[asked] = 0;
        cr_assert_eq(hki_canary_check(block, size), HKI_CANARY_BROKEN, "%zu of %zu", asked, size);
    }
}

Test(canary, is_no_other_blocks, .init = start) {
    prepare(ROOM);
    hki_canary_write(block, 64, 20);
    memcpy(block + 64, block, 64);
    cr_assert_eq(hki_canary_check(block + 64, 64), HKI_CANARY_BROKEN);
    cr_assert_eq(hki_canary_check(block, 64), 20);
}

Test(canary, is_claimed_once, .init = start) {
    prepare(64);
    hki_canary_write(block, 64, 20);
    cr_assert_eq(hki_canary_claim(block, 64, 21), HK_ERR_SIZE_MISMATCH);
    block[30]++;
    cr_assert_eq(hki_canary_claim(block, 64, 20), HK_ERR_OVERFLOW);
    block[30]--;
    cr_assert_eq(hki_canary_check(block, 64), 20);
    cr_assert_eq(hki_canary_claim(block, 64, 20), HK_OK);
    cr_assert_eq(hki_canary_claim(block, 64, 20), HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hki_canary_check(block, 64), HKI_CANARY_CLAIMED);
    cr_assert_eq(hki_canary_verify(block, 64, SIZE_MAX), HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hki_canary_usable(block, 64), 56);
}

Test(canary, is_verified_as_a_status, .init = start) {
    prepare(64);
    hki_canary_write(block, 64, 20);
    cr_assert_eq(hki_canary_verify(block, 64, SIZE_MAX), HK_OK);
    cr_assert_eq(hki_canary_verify(block, 64, 20), HK_OK);
    cr_assert_eq(hki_canary_verify(block, 64, 21), HK_ERR_SIZE_MISMATCH);
    block[40]++;
    cr_assert_eq(hki_canary_verify(block, 64, 20), HK_ERR_OVERFLOW);
}

Test(canary, secret_is_drawn_once, .init = start) {
    hki_secret first = hki_process_secret;
    cr_assert_neq(first.offset, 0);
    cr_assert_eq(first.factor % 2, 1);
    start();
    cr_assert(memcmp(&first, &hki_process_secret, sizeof first) == 0);
}

Test(canary, secret_is_had_without_the_kernel) {
    uint64_t words[2];
    hki_os_random_of_start(words);
    hki_os_fail_calls(0, ULONG_MAX);
    start();
    hki_os_fail_calls(0, 0);
    cr_assert_neq(words[0], 0);
    cr_assert_eq(hki_process_secret.offset, words[0]);
    cr_assert_eq(hki_process_secret.factor, words[1] | 1);
}

/* ---- zeroing and testing ---- */

#define FOR_EACH_LENGTH(size) for (size_t size = 8; size <= ROOM; size += 8)

Test(zero, is_written_from_end_to_end) {
    FOR_EACH_LENGTH(size) {
        fill(memory, sizeof memory, 3);
        hki_zero(block, size);
        cr_assert(is_zero(block, size) && bounds_are_whole(size), "%zu", size);
    }
}

Test(zero, is_told_from_all_else) {
    uint32_t random = 1;
    FOR_EACH_LENGTH(size) {
        prepare(size);
        cr_assert(hki_is_zero(block, size), "%zu", size);
        for (unsigned i = 0; i < 200; i++) {
            size_t at = i < 16   ? hki_min(i, size - 1)
                        : i < 32 ? size - 1 - hki_min(i - 16, size - 1)
                                 : next_random(&random) % size;
            block[at] = (unsigned char)(1U << i % 8);
            cr_assert_not(hki_is_zero(block, size), "byte %zu of %zu", at, size);
            block[at] = 0;
        }
    }
}

#if defined(__x86_64__)
static HKI_WIDE bool wide_is_zero(const void *start, size_t size) {
    return hki_is_zero(start, size);
}

static HKI_WIDE void wide_zero(void *start, size_t size) {
    hki_zero(start, size);
}

static HKI_WIDE size_t wide_check(const void *start, size_t size) {
    return hki_canary_check(start, size);
}

static HKI_WIDE void wide_write(void *start, size_t size, size_t asked) {
    hki_canary_write_fresh(start, size, asked, hki_canary_key(start));
}

Test(wide, does_the_same, .init = start) {
    if (!hki_cpu_is_wide())
        return;
    FOR_EACH_LENGTH(size) {
        fill(memory, sizeof memory, 3);
        wide_zero(block, size);
        cr_assert(bounds_are_whole(size) && hki_is_zero(block, size) && wide_is_zero(block, size), "%zu", size);
        block[size - 1] = 1;
        cr_assert_not(wide_is_zero(block, size), "%zu", size);
        block[size - 1] = 0;
    }
    FOR_EACH_SIZE(size) FOR_EACH_ASKED(asked, size) {
        prepare(size);
        wide_write(block, size, asked);
        cr_assert_eq(hki_canary_check(block, size), asked, "%zu of %zu", asked, size);
        cr_assert_eq(wide_check(block, size), asked, "%zu of %zu", asked, size);
        block[asked] ^= 1;
        cr_assert_eq(wide_check(block, size), HKI_CANARY_BROKEN, "%zu of %zu", asked, size);
    }
}
#endif
