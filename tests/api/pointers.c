/* What is this pointer? hk_classify, hk_arena_of and hk_arena_owns, for any address whatever; and that they agree. */
#include "api_test.h"

#include <sys/mman.h>

static unsigned reports;
static hk_status reported;

static void note_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reports++;
    reported = info->status;
}

static void set_up(void) {
    hk_set_error_handler(note_report, NULL);
}

static hk_pointer_info classify(const void *pointer) {
    hk_pointer_info info;
    memset(&info, 0xa5, sizeof info);
    info.struct_size = sizeof info;
    cr_assert_eq(hk_classify(pointer, &info), HK_OK);
    return info;
}

/* What hk_usable_size must report for an address that hk_classify describes so; HK_OK for the start of a live block. */
static hk_status misuse_of(const hk_pointer_info *info, const void *pointer) {
    if (info->kind == HK_POINTER_FOREIGN)
        return HK_ERR_FOREIGN_POINTER;
    bool misaligned = (uintptr_t)pointer % 8 != 0;
    if (misaligned || (info->state == HK_BLOCK_LIVE && pointer != info->block_start))
        return HK_ERR_INTERIOR_POINTER;
    return info->state == HK_BLOCK_LIVE ? HK_OK : HK_ERR_DOUBLE_FREE;
}

static bool is_shaped_right(const hk_pointer_info *info, uintptr_t address) {
    uintptr_t start = (uintptr_t)info->block_start;
    if (info->struct_size != sizeof *info || (info->state == HK_BLOCK_NONE) != (start == 0))
        return false;
    if (start != 0 && (address < start || address - start >= info->block_size || info->arena == NULL))
        return false;
    if (start == 0 && info->block_size != 0)
        return false;
    if (info->kind == HK_POINTER_UNUSED)
        return start == 0;
    return info->kind != HK_POINTER_FOREIGN || (start == 0 && info->arena == NULL);
}

/* All that is said of an address agrees. */
static bool agrees(const void *pointer) {
    hk_pointer_info info = classify(pointer);
    bool live = info.state == HK_BLOCK_LIVE;
    hk_status misuse = misuse_of(&info, pointer);
    if (!is_shaped_right(&info, (uintptr_t)pointer) || hk_arena_of(pointer) != (live ? info.arena : NULL))
        return false;
    if (info.arena != NULL && hk_arena_owns(info.arena, pointer) != (misuse == HK_OK))
        return false;
    unsigned before = reports;
    size_t usable = hk_usable_size(pointer);
    if (misuse == HK_OK || pointer == NULL)
        return reports == before && usable == (misuse == HK_OK ? info.block_size : 0);
    return usable == 0 && reports == before + 1 && reported == misuse;
}

static void assert_foreign(const void *pointer) {
    hk_pointer_info info = classify(pointer);
    cr_assert_eq(info.kind, HK_POINTER_FOREIGN, "%p", pointer);
    cr_assert(agrees(pointer), "%p", pointer);
    for (int i = 0; i < 2; i++)
        cr_assert_not(hk_arena_owns(i == 0 ? hk_arena_default() : NULL, pointer));
}

static void assert_block(const subject *in, const char *block, hk_pointer_kind kind, hk_block_state state, size_t at) {
    hk_pointer_info info = classify(block + at);
    cr_assert_eq(info.kind, kind);
    cr_assert_eq(info.state, state);
    cr_assert_eq(info.block_start, block);
    cr_assert_eq(info.arena, in->arena);
    cr_assert(agrees(block + at), "%zu bytes into %p", at, (const void *)block);
}

/* ---- live and freed blocks ---- */

static const struct {
    size_t size;
    hk_pointer_kind kind;
} blocks[] = {{0, HK_POINTER_SMALL},          {8, HK_POINTER_SMALL},      {100, HK_POINTER_SMALL},
              {SMALL_MAX, HK_POINTER_SMALL},  {20000, HK_POINTER_LARGE},  {UNIT, HK_POINTER_LARGE},
              {UNIT + 1, HK_POINTER_LARGE},   {MIB, HK_POINTER_LARGE},    {4 * MIB, HK_POINTER_LARGE},
              {4 * MIB + 1, HK_POINTER_HUGE}, {9 * MIB, HK_POINTER_HUGE}, {64 * MIB, HK_POINTER_HUGE}};

Test(blocks, live_at_and_around_each_address, .init = set_up) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(blocks); k++) {
            char *block = subject_alloc(&in, blocks[k].size);
            size_t usable = hk_usable_size(block);
            const size_t offsets[] = {0, 1, 7, usable / 2, usable - 1, usable - 8, usable / 3};
            for (size_t l = 0; l < LENGTH_OF(offsets); l++)
                assert_block(&in, block, blocks[k].kind, HK_BLOCK_LIVE, offsets[l]);
            for (size_t step = 1; step < usable; step *= 2)
                cr_assert(agrees(block + usable + step) && agrees(block - step));
            cr_assert_eq(classify(block).block_size, usable);
            subject_free(&in, block);
        }
        end_subject(&in);
    }
}

Test(blocks, freed, .init = set_up) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(blocks); k++) {
            char *block = subject_alloc(&in, blocks[k].size), *other = subject_alloc(&in, blocks[k].size);
            size_t usable = hk_usable_size(block);
            subject_free(&in, block);
            hk_pointer_info info = classify(block);
            cr_assert_neq(info.state, HK_BLOCK_LIVE);
            if (blocks[k].kind == HK_POINTER_SMALL)
                assert_block(&in, block, HK_POINTER_SMALL, HK_BLOCK_FREE, usable / 2);
            if (blocks[k].kind == HK_POINTER_HUGE && !in.rewindable) { /* which keeps its segments */
                hk_purge();
                assert_foreign(block);
            }
            for (size_t at = 0; at < usable; at += usable / 50 + 1)
                cr_assert(agrees(block + at) && hk_arena_of(block + at) == NULL);
            assert_block(&in, other, blocks[k].kind, HK_BLOCK_LIVE, usable / 2);
            subject_free(&in, other);
        }
        end_subject(&in);
    }
}

typedef struct remote_free {
    const subject *in;
    void *block;
} remote_free;

static void *free_remotely(void *argument) {
    const remote_free *of = argument;
    if (of->in->process)
        hk_free(of->block);
    else
        (void)hk_arena_free(of->in->arena, of->block);
    return NULL;
}

Test(blocks, freed_by_another_thread, .init = set_up) {
    static const size_t sizes[] = {8, 100, SMALL_MAX, 20000, UNIT};
    for (int i = 0; i < 4; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            char *block = subject_alloc(&in, sizes[k]);
            hk_pointer_kind kind = classify(block).kind;
            run_in_thread(free_remotely, &(remote_free){&in, block});
            assert_block(&in, block, kind, HK_BLOCK_FREED_REMOTELY, 0);
            assert_block(&in, block, kind, HK_BLOCK_FREED_REMOTELY, hk_good_size(sizes[k]) / 2 / 8 * 8);
            cr_assert_eq(totals_of(in.arena).live_blocks, 0); /* collects */
            cr_assert_neq(classify(block).state, HK_BLOCK_FREED_REMOTELY);
            cr_assert(agrees(block));
        }
        end_subject(&in);
    }
}

/* Runs with tails, units that are not full, the unused rest of segments: byte by byte, and far around. */
Test(blocks, every_address_around, .init = set_up) {
    static const size_t sizes[] = {24, 48, 100, 700, 5000, 20000, 70000};
    for (int i = 2; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        char *kept[LENGTH_OF(sizes)];
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            kept[k] = subject_alloc(&in, sizes[k]);
            subject_free(&in, subject_alloc(&in, sizes[k]));
        }
        const char *first = (const char *)((uintptr_t)kept[0] / UNIT * UNIT);
        for (ptrdiff_t at = -64; at < UNIT; at++)
            if (!agrees(first + at))
                cr_assert_fail("at %td", at);
        for (ptrdiff_t at = -16 * MIB; at < 16 * MIB; at += 1016)
            if (!agrees(first + at))
                cr_assert_fail("at %td", at);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++)
            subject_free(&in, kept[k]);
        end_subject(&in);
    }
}

/* ---- any other address ---- */

static int global;

Test(foreign, stack_code_globals_and_other_heaps, .init = set_up) {
    int local;
    void *other = malloc(100), *page = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const void *const pointers[] = {
        NULL,        &local, &global,          "a string",         (void *)(uintptr_t)free_remotely,
        other,       page,   (char *)page + 8, hk_arena_default(), (void *)(uintptr_t)hk_malloc,
        hk_version()};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < LENGTH_OF(pointers); i++)
            assert_foreign(pointers[i]);
        if (pass == 0)
            cr_assert_eq(munmap(page, 65536), 0);
    }
    free(other);
}

Test(foreign, all_powers_of_two_and_their_neighbours, .init = set_up) {
    void *live = hk_malloc(100);
    for (unsigned bit = 0; bit < 64; bit++)
        for (uintptr_t around = 0; around <= 16; around++) {
            assert_foreign((void *)(((uintptr_t)1 << bit) + around));
            assert_foreign((void *)(((uintptr_t)1 << bit) - around));
            assert_foreign((void *)(UINTPTR_MAX - around));
        }
    hk_free(live);
}

/* A live block's address with one high bit changed, or all that make it non-canonical. */
Test(foreign, live_addresses_with_changed_bits, .init = set_up) {
    for (size_t k = 0; k < LENGTH_OF(blocks); k++) {
        char *block = hk_malloc(blocks[k].size);
        for (unsigned bit = 30; bit < 64; bit++)
            assert_foreign((void *)((uintptr_t)block ^ (uintptr_t)1 << bit));
        for (uintptr_t top = 1; top < 65536; top++) {
            const void *pointer = (void *)((uintptr_t)block | top << 48);
            if (hk_arena_of(pointer) != NULL || classify(pointer).kind != HK_POINTER_FOREIGN)
                cr_assert_fail("%p", pointer);
        }
        assert_foreign((void *)~(uintptr_t)block);
        assert_foreign((void *)(0 - (uintptr_t)block));
        hk_free(block);
    }
}

Test(foreign, random_addresses, .init = set_up) {
    enum { SAMPLES = 200000 };
    char *live = hk_malloc(9 * MIB);
    uint32_t random = 12;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t number = next_random64(&random);
        const void *anywhere = (void *)(uintptr_t)number;
        const void *in_user_space = (void *)(uintptr_t)(number >> 17);
        const void *near = live + (ptrdiff_t)(number >> 20) - ((ptrdiff_t)1 << 43);
        if (!agrees(anywhere) || !agrees(in_user_space) || !agrees(near))
            cr_assert_fail("%p, %p or %p", anywhere, in_user_space, near);
    }
    hk_free(live);
}

/* ---- the structure ---- */

Test(classify, writes_as_much_as_is_asked_for) {
    void *block = hk_malloc(100);
    union {
        hk_pointer_info info;
        unsigned char bytes[sizeof(hk_pointer_info) + 64];
    } all, part;
    all.info.struct_size = sizeof all.info;
    cr_assert_eq(hk_classify(block, &all.info), HK_OK);
    for (size_t size = 0; size <= sizeof part; size++) {
        memset(&part, 0x5a, sizeof part);
        part.info.struct_size = size;
        hk_status status = hk_classify(block, &part.info);
        cr_assert_eq(status, size < sizeof(size_t) ? HK_ERR_INVALID_ARGUMENT : HK_OK, "%zu", size);
        cr_assert_eq(part.info.struct_size, size);
        size_t written = status != HK_OK ? sizeof(size_t) : size < sizeof all.info ? size : sizeof all.info;
        cr_assert_arr_eq(part.bytes + sizeof(size_t), all.bytes + sizeof(size_t), written - sizeof(size_t));
        for (size_t i = written; i < sizeof part; i++)
            cr_assert_eq(part.bytes[i], 0x5a, "byte %zu of %zu", i, size);
    }
    cr_assert_eq(hk_classify(block, NULL), HK_ERR_INVALID_ARGUMENT);
    hk_free(block);
}
