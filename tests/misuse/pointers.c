/* Pointers that hakmem never gave out: foreign ones of every origin, and ones into its blocks. */
#include "misuse_test.h"

#include <sys/mman.h>

enum { PAGE = 65536 };

static unsigned char global[64];
static const unsigned char constant[64] = "constant";

static void *as_pointer(uintptr_t address) {
    return (void *)address;
}

/* Pages that can be written, those that cannot, and an address that was mapped until just now. */
static void *map_pages(int protection) {
    void *pages = mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(pages, MAP_FAILED);
    return pages;
}

static void *unmapped_pages(void) {
    void *pages = map_pages(PROT_READ);
    cr_assert_eq(munmap(pages, PAGE), 0);
    return pages;
}

static void assert_each_foreign(const subject *in, void *const *pointers, size_t count) {
    void *victim = make_victim(in, 64);
    size_t usable = hk_usable_size(victim);
    for (size_t i = 0; i < count; i++)
        assert_each_call(in, pointers[i], 64, foreign_pointer);
    end_victim(in, victim, usable);
}

/* ---- foreign: what others own ---- */

Test(foreign, memory_of_others_is_neither_freed_nor_touched, .init = watch) {
    unsigned char local[64];
    unsigned char *other = malloc(64), *large_other = malloc(MIB), *pages = map_pages(PROT_READ | PROT_WRITE);
    unsigned char *const owned[] = {local, global, other, large_other, pages};
    for (size_t i = 0; i < LENGTH_OF(owned); i++)
        fill(owned[i], 64, i);
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t at = 0; at <= 16; at = at == 0 ? 1 : at * 2)
            for (size_t i = 0; i < LENGTH_OF(owned); i++)
                assert_each_call(&in, owned[i] + at, 64, foreign_pointer);
        end_subject(&in);
    }
    for (size_t i = 0; i < LENGTH_OF(owned); i++)
        cr_assert(holds(owned[i], 64, i));
    free(other);
    free(large_other);
    cr_assert_eq(munmap(pages, PAGE), 0);
}

Test(foreign, what_cannot_be_read_or_written, .init = watch) {
    void *guarded = map_pages(PROT_NONE), *read_only = map_pages(PROT_READ);
    void *const pointers[] = {guarded,
                              (char *)guarded + 16,
                              read_only,
                              unmapped_pages(),
                              as_pointer((uintptr_t)constant),
                              as_pointer((uintptr_t)hk_malloc),
                              as_pointer((uintptr_t)as_pointer),
                              as_pointer((uintptr_t)hk_version())};
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        assert_each_foreign(&in, pointers, LENGTH_OF(pointers));
        end_subject(&in);
    }
}

/* Also an arena's handle, which is hakmem's own but no block. */
Test(foreign, addresses_that_are_nobodys, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        void *live = subject_alloc(&in, 64);
        uintptr_t at = (uintptr_t)live;
        void *const pointers[] = {as_pointer(1),
                                  as_pointer(2),
                                  as_pointer(7),
                                  as_pointer(8),
                                  as_pointer(16),
                                  as_pointer(4096),
                                  as_pointer((uintptr_t)1 << 32),
                                  as_pointer((uintptr_t)1 << 46),
                                  as_pointer((uintptr_t)1 << 47),
                                  as_pointer((uintptr_t)1 << 63),
                                  as_pointer(((uintptr_t)1 << 63) + 64),
                                  as_pointer(UINTPTR_MAX),
                                  as_pointer(UINTPTR_MAX - 7),
                                  as_pointer(UINTPTR_MAX - 15),
                                  as_pointer((uintptr_t)0xdeadbeefdeadbeef),
                                  as_pointer((uintptr_t)0xa5a5a5a5a5a5a5a0),
                                  as_pointer(at | (uintptr_t)1 << 63),
                                  as_pointer(at | (uintptr_t)1 << 48),
                                  as_pointer(at ^ (uintptr_t)1 << 47),
                                  as_pointer(at + ((uintptr_t)1 << 42)),
                                  as_pointer(at - ((uintptr_t)1 << 42)),
                                  as_pointer(at - 512 * (uintptr_t)MIB),
                                  as_pointer(at + 512 * (uintptr_t)MIB),
                                  as_pointer(at << 1),
                                  as_pointer(at >> 1),
                                  as_pointer(~at),
                                  in.arena,
                                  hk_arena_default()};
        assert_each_foreign(&in, pointers, LENGTH_OF(pointers));
        subject_free(&in, live);
        end_subject(&in);
    }
}

Test(foreign, random_addresses, .init = watch) {
    subject in[2] = {make_subject(0), make_subject(4)};
    uint32_t random = 21;
    for (int i = 0; i < 20000; i++) {
        void *pointer = as_pointer((uintptr_t)next_random64(&random) | (uintptr_t)1 << 62);
        assert_each_call(&in[i % 2], pointer, 64, foreign_pointer);
    }
    end_subject(&in[0]);
    end_subject(&in[1]);
}

/* NULL is no misuse. */
Test(foreign, null_is_fine, .init = watch) {
    hk_free(NULL);
    hk_free_sized(NULL, 100);
    cr_assert_eq(hk_usable_size(NULL), 0);
    for (int which = 1; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        cr_assert_eq(hk_arena_free(in.arena, NULL), HK_OK);
        cr_assert_eq(hk_arena_free_sized(in.arena, NULL, 100), HK_OK);
        end_subject(&in);
    }
    cr_assert_eq(seen.count, 0);
    cr_assert_eq(hk_last_status(), HK_OK);
}

/* ---- interior ---- */

static void assert_each_interior(const subject *in, char *block, size_t size, size_t usable) {
    const size_t offsets[] = {1,  2,    4,    7,        8,    9,           15,      16,         24,         32,
                              64, LINE, 4096, UNIT - 8, UNIT, 4 * MIB - 8, 4 * MIB, usable / 2, usable - 8, usable - 1};
    expectation expected = {HK_ERR_INTERIOR_POINTER, usable, 0, hk_arena_name(in->arena)};
    for (size_t i = 0; i < LENGTH_OF(offsets); i++)
        if (offsets[i] > 0 && offsets[i] < usable)
            assert_each_call(in, block + offsets[i], size, expected);
}

Test(interior, of_each_kind_of_block, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++) {
            void *before = make_victim(&in, victim_sizes[k]), *victim = make_victim(&in, victim_sizes[k]);
            void *behind = make_victim(&in, victim_sizes[k]);
            size_t usable = hk_usable_size(victim);
            assert_each_interior(&in, victim, victim_sizes[k], usable);
            end_victim(&in, before, usable);
            end_victim(&in, victim, usable);
            end_victim(&in, behind, usable);
        }
        end_subject(&in);
    }
}

Test(interior, every_byte_of_a_small_block, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        char *victim = make_victim(&in, 700);
        size_t usable = hk_usable_size(victim);
        expectation expected = {HK_ERR_INTERIOR_POINTER, usable, 0, hk_arena_name(in.arena)};
        for (size_t at = 1; at < usable; at++)
            assert_each_call(&in, victim + at, 700, expected);
        end_victim(&in, victim, usable);
        end_subject(&in);
    }
}

/* The first address behind a block that has none behind it: no live block is there. */
Test(interior, one_past_the_end, .init = watch) {
    static const size_t sizes[] = {20000, UNIT, 200000, 4 * MIB, 4 * MIB + LINE, 5 * MIB, 8 * MIB};
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            char *victim = make_victim(&in, sizes[k]);
            size_t usable = hk_usable_size(victim);
            expectation expected = expect_not_live(victim + usable);
            cr_assert_eq(expected.block_size, 0);
            assert_each_call(&in, victim + usable, sizes[k], expected);
            end_victim(&in, victim, usable);
        }
        end_subject(&in);
    }
}

/* ---- into what is free ---- */

/* Misaligned is interior, live or not; at a granule there is no live block. */
Test(interior, of_a_freed_block, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 1; k < LENGTH_OF(victim_sizes) && victim_sizes[k] < 4 * MIB; k++) {
            char *keeper = make_victim(&in, victim_sizes[k]), *freed = subject_alloc(&in, victim_sizes[k]);
            size_t usable = hk_usable_size(keeper);
            subject_free(&in, freed);
            for (size_t at = 0; at < usable; at += usable / 5 / 8 * 8 + 8) {
                assert_each_call(&in, freed + at, victim_sizes[k], expect_not_live(freed + at));
                assert_each_call(&in, freed + at + 3, victim_sizes[k], expect_not_live(freed + at + 3));
            }
            end_victim(&in, keeper, usable);
        }
        end_subject(&in);
    }
}
