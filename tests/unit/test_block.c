/* block: what lies at an address: every kind of place, every state. */
#include "unit_test.h"

#include <sys/mman.h>

START_LATE()

static hki_arena *arena;
static hk_arena *handle;

static void start_arena(void) {
    let_start();
    hki_purge_delay_ms = 0; /* what is freed goes back at once */
    handle = make_arena(HK_ARENA_ONE_THREAD_AT_A_TIME, 8, 0);
    arena = hki_arena_find(handle);
    cr_assert_not_null(
        hk_arena_alloc(handle, HKI_UNIT_SIZE)); /* so the arena is not young: each size has its own class */
}

static void assert_nothing_at(const void *pointer, hk_pointer_kind kind, hk_status status) {
    hki_block block = hki_block_find(pointer);
    cr_assert_eq(block.kind, kind, "%p: kind %d", pointer, (int)block.kind);
    cr_assert_eq(block.status, status);
    cr_assert(block.state == HK_BLOCK_NONE && block.granule == 0 && block.size == 0);
}

static void assert_block_at(const char *pointer, const char *start, size_t size, hk_pointer_kind kind) {
    hki_block block = hki_block_find(pointer);
    cr_assert(block.kind == kind && block.state == HK_BLOCK_LIVE);
    cr_assert_eq(hki_granule_address(block.granule), start);
    cr_assert_eq(block.size, size);
    cr_assert_eq(block.status, pointer == start ? HK_OK : HK_ERR_INTERIOR_POINTER);
    cr_assert_eq(hki_arena_of_owner(block.owner), arena);
}

Test(block, nothing_is_known_before_the_start) {
    int local;
    assert_nothing_at(NULL, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    assert_nothing_at(&local, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    assert_nothing_at((const void *)UINTPTR_MAX, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
}

Test(block, foreign_addresses, .init = start_arena) {
    static int fixed;
    int local;
    char *base = (char *)hki_registry.base;
    size_t bytes = atomic_load(&hki_registry.granules) << HKI_GRANULE_SHIFT;
    const void *const foreign[] = {NULL,
                                   (void *)1,
                                   (void *)UINTPTR_MAX,
                                   &local,
                                   &fixed,
                                   (void *)&hki_registry,
                                   arena,
                                   base - 1,
                                   base - 8,
                                   base,
                                   base + 8,
                                   base + bytes - 1,
                                   base + bytes,
                                   base + bytes + 8,
                                   (void *)(UINTPTR_MAX / 2),
                                   (void *)((uintptr_t)1 << 63)};
    for (size_t i = 0; i < LENGTH_OF(foreign); i++)
        assert_nothing_at(foreign[i], HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    assert_nothing_at(base + bytes / 2, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER); /* no segment there */
}

Test(block, every_byte_of_small_blocks, .init = start_arena) {
    const size_t sizes[] = {8, 24, 48, 1024, 2304, 16384};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        const char *start = hk_arena_alloc(handle, sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_block_at(start + at, start, sizes[i], HK_POINTER_SMALL);
        hki_block block = hki_block_find(start);
        cr_assert_eq(hki_classes[block.size_class].size, sizes[i]);
        cr_assert_not(block.any_size);
    }
}

Test(block, free_blocks, .init = start_arena) {
    char *start = hk_arena_alloc(handle, 48), *neighbour = start + 48;
    cr_assert_eq(hki_block_find(neighbour).state, HK_BLOCK_FREE); /* on the stack */
    cr_assert_eq(hki_block_find(neighbour).status, HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hk_arena_free(handle, start), HK_OK);
    for (size_t at = 0; at < 48; at++) {
        hki_block block = hki_block_find(start + at);
        cr_assert(block.kind == HK_POINTER_SMALL && block.state == HK_BLOCK_FREE);
        cr_assert_eq(hki_granule_address(block.granule), start);
        cr_assert_eq(block.status, at % 8 == 0 ? HK_ERR_DOUBLE_FREE : HK_ERR_INTERIOR_POINTER);
        cr_assert_eq(hki_arena_of_owner(block.owner), arena);
    }
}

Test(block, tail_of_a_run, .init = start_arena) {
    const char *start = hk_arena_alloc(handle, 48); /* 21 blocks in a line of 1024 bytes */
    assert_nothing_at(start + 21 * 48, HK_POINTER_SMALL, HK_ERR_DOUBLE_FREE);
    assert_nothing_at(start + 21 * 48 + 8, HK_POINTER_SMALL, HK_ERR_DOUBLE_FREE);
    assert_nothing_at(start + 1023, HK_POINTER_SMALL, HK_ERR_INTERIOR_POINTER);
    assert_nothing_at(start + 1024, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE); /* a free line */
}

Test(block, blocks_of_lines, .init = start_arena) {
    const char *start = hk_arena_alloc(handle, 20000), *end = start + 20 * 1024;
    for (const char *at = start; at < end; at++)
        assert_block_at(at, start, 20 * 1024, HK_POINTER_LARGE);
    assert_nothing_at(end, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hki_block_find(start).size_class, HKI_CLASS_LARGE);
    hk_arena_free(handle, (void *)(uintptr_t)start);
    assert_nothing_at(start, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
}

Test(block, blocks_of_units, .init = start_arena) {
    size_t size = 3 * (size_t)HKI_UNIT_SIZE + 1024;
    char *start = hk_arena_alloc(handle, size);
    for (size_t at = 0; at < size; at += 509)
        assert_block_at(start + at, start, size, HK_POINTER_LARGE);
    assert_block_at(start + size - 1, start, size, HK_POINTER_LARGE);
    assert_nothing_at(start + size, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE); /* the rest of the last unit */
    assert_nothing_at(start + 4 * (size_t)HKI_UNIT_SIZE, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hk_arena_free(handle, start), HK_OK);
    assert_nothing_at(start, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
    assert_nothing_at(start + HKI_UNIT_SIZE, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
}

Test(block, huge_blocks, .init = start_arena) {
    size_t size = 2 * (size_t)HKI_SEGMENT_SIZE + 1024;
    char *start = hk_arena_alloc(handle, size);
    for (size_t at = 0; at < size; at += 4093)
        assert_block_at(start + at, start, size, HK_POINTER_HUGE);
    assert_block_at(start + size - 1, start, size, HK_POINTER_HUGE);
    assert_nothing_at(start + size, HK_POINTER_UNUSED, HK_ERR_DOUBLE_FREE);
    assert_nothing_at(start + 3 * (size_t)HKI_SEGMENT_SIZE, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    cr_assert_eq(hk_arena_free(handle, start), HK_OK);
    assert_nothing_at(start, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    assert_nothing_at(start + HKI_SEGMENT_SIZE, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
}

Test(block, lost_segments_are_foreign, .init = start_arena) {
    size_t size = 2 * (size_t)HKI_SEGMENT_SIZE;
    char *start = hk_arena_alloc(handle, size);
    cr_assert_not_null(hk_arena_alloc(handle, size)); /* a fence */
    fail_from(1);                                     /* the move is made, its old place is lost */
    char *moved = hk_arena_realloc(handle, start, 2 * size);
    hki_os_fail_calls(0, 0);
    cr_assert(moved != NULL && moved != start);
    cr_assert_eq(atomic_load(&hki_registry.segments[(start - (char *)hki_registry.base) >> HKI_SEGMENT_SHIFT].state),
                 HKI_SEGMENT_LOST);
    assert_nothing_at(start, HK_POINTER_FOREIGN, HK_ERR_FOREIGN_POINTER);
    assert_block_at(moved + size, moved, 2 * size, HK_POINTER_HUGE);
}

Test(block, remotely_freed_blocks, .init = start_arena) {
    const size_t sizes[] = {8, 1000, 20000};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        char *start = hk_arena_alloc(handle, sizes[i]);
        cr_assert_eq(hki_heap_free_remote(hki_granule_of(start)), HK_OK);
        hki_block block = hki_block_find(start);
        cr_assert(block.state == HK_BLOCK_FREED_REMOTELY && block.status == HK_ERR_DOUBLE_FREE);
        cr_assert_eq(hki_block_find(start + 1).status, HK_ERR_INTERIOR_POINTER); /* misaligned */
        cr_assert_eq(hki_granule_address(block.granule), start);
    }
}

Test(block, any_size_is_told, .init = start_arena) {
    const char *aligned = hk_arena_aligned_alloc(handle, 64, 40), *plain = hk_arena_alloc(handle, 1000);
    cr_assert(hki_block_find(aligned).any_size);
    cr_assert_not(hki_block_find(plain).any_size);
}

/* Every granule of a unit of mixed runs, against a list of what was allocated there. */
Test(block, every_granule_of_a_unit, .init = start_arena) {
    static const char *owners[HKI_UNIT_SIZE / HKI_GRANULE_SIZE];
    uint32_t seed = 1414;
    const char *first = hk_arena_alloc(handle, 8), *unit = (const char *)((uintptr_t)first & ~(uintptr_t)0xffff);
    owners[(first - unit) / 8] = first;
    for (int i = 0; i < 300; i++) {
        size_t size = random_size(&seed, 3000);
        const char *block = hk_arena_alloc(handle, size);
        for (size_t at = 0; at < hk_usable_size(block); at += 8)
            if ((uintptr_t)(block + at - unit) < HKI_UNIT_SIZE)
                owners[(block + at - unit) / 8] = block;
    }
    size_t in_blocks = 0;
    for (size_t i = 0; i < LENGTH_OF(owners); i++) {
        hki_block block = hki_block_find(unit + i * 8);
        cr_assert_eq(block.state == HK_BLOCK_LIVE, owners[i] != NULL);
        if (owners[i] != NULL)
            cr_assert_eq(hki_granule_address(block.granule), owners[i]);
        in_blocks += owners[i] != NULL;
    }
    cr_assert_gt(in_blocks, LENGTH_OF(owners) / 4);
}
