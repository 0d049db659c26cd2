/* heap_pages: which pages may go back, when they do, and that nothing else is lost. */
#include "heap_fixture.h"

#include "heap_pages.h"

#include <sys/mman.h>

enum { PAGE_LINES = 4, BLOCKS = 4096 };

static uintptr_t blocks[BLOCKS];

static void allocate(unsigned size_class, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        cr_assert_neq(blocks[i] = alloc(size_class), 0);
        fill(hki_granule_address(blocks[i]), hki_classes[size_class].size, i);
    }
}

/* All but each `keep`th. */
static void free_others(unsigned count, unsigned keep) {
    for (unsigned i = 0; i < count; i++)
        if (i % keep != 0)
            hki_heap_free(heap, blocks[i]);
}

static void assert_kept(unsigned size_class, unsigned count, unsigned keep) {
    for (unsigned i = 0; i < count; i += keep)
        cr_assert(is_filled(hki_granule_address(blocks[i]), hki_classes[size_class].size, i));
}

/* Pages of the heap's units that have memory. */
static size_t resident_pages(void) {
    size_t page = hki_os_page_size(), count = 0;
    uint32_t end = hki_segments_end() * HKI_UNITS_PER_SEGMENT;
    for (uint32_t i = HKI_UNITS_PER_SEGMENT; i < end; i++) {
        unsigned char resident[16];
        if (atomic_load(&hki_registry.units[i].owner) != (uintptr_t)heap)
            continue;
        cr_assert_eq(mincore(hki_granule_address(hki_unit_granule(i)), HKI_UNIT_SIZE, resident), 0);
        for (size_t k = 0; k < HKI_UNIT_SIZE / page; k++)
            count += resident[k] & 1;
    }
    return count;
}

static void assert_sound_heap(void) {
    for (uint32_t i = heap->room; i != 0; i = hki_unit_at(i)->next) {
        uint64_t parked = 0;
        for (uint64_t runs = atomic_load(&hki_unit_at(i)->run_starts); runs != 0; runs &= runs - 1)
            parked |= hki_run_parked_lines(i * HKI_LINES_PER_UNIT + hki_lowest_bit(runs));
        cr_assert_eq(hki_unit_at(i)->clean_lines & ~parked & ~hki_unit_free_lines(hki_unit_at(i)), 0);
    }
}

/* For every class: one block in sixty survives, and no more pages than the survivors reach into. */
Test(heap_pages, only_pages_of_live_blocks_stay, .init = start_heaps) {
    for (unsigned size_class = 0; size_class < HKI_CLASSES; size_class++) {
        unsigned count = (unsigned)hki_min(BLOCKS, (4 << 20) / hki_classes[size_class].size);
        allocate(size_class, count);
        free_others(count, 60);
        hki_heap_trim(heap);
        size_t survivors = hki_divide_up(count, 60);
        size_t pages_each = 1 + hki_divide_up(hki_classes[size_class].size - 8, hki_os_page_size());
        cr_assert_leq(resident_pages(), survivors * pages_each, "class of %u bytes", hki_classes[size_class].size);
        assert_kept(size_class, count, 60);
        assert_sound_heap();
        for (unsigned i = 0; i < count; i += 60)
            hki_heap_free(heap, blocks[i]);
        hki_heap_trim(heap);
        assert_nothing_left();
    }
}

Test(heap_pages, purged_blocks_can_be_had_again, .init = start_heaps) {
    allocate(HKI_CLASS_96, BLOCKS);
    free_others(BLOCKS, 50);
    hki_heap_trim(heap);
    size_t before = resident_pages();
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % 50 != 0) {
            cr_assert_neq(blocks[i] = alloc(HKI_CLASS_96), 0);
            fill(hki_granule_address(blocks[i]), 96, i);
        }
    assert_sound_heap();
    cr_assert_gt(resident_pages(), before);
    assert_kept(HKI_CLASS_96, BLOCKS, 1);
    hki_heap_trim(heap); /* takes nothing from live blocks */
    assert_kept(HKI_CLASS_96, BLOCKS, 1);
}

Test(heap_pages, stacked_blocks_keep_their_pages, .init = start_heaps) {
    allocate(HKI_CLASS_4096, 4);
    for (unsigned i = 0; i < 4; i++)
        hki_heap_free(heap, blocks[i]);
    cr_assert_geq(hki_heap_stacked(heap, HKI_CLASS_4096), 4);
    hki_heap_pages_purge(heap);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(is_filled(hki_granule_address(blocks[i]), 4096, i));
}

Test(heap_pages, pages_go_when_their_time_has_come, .init = start_heaps) {
    allocate(HKI_CLASS_1024, BLOCKS);
    size_t most = resident_pages();
    free_others(BLOCKS, 200);
    cr_assert_gt(resident_pages(), most / 8); /* whole units have gone to the pool */
    size_t before = resident_pages();
    for (int i = 0; i < 3; i++) {
        hki_os_advance_clock(10 * atomic_load(&hki_purge_delay_ms)); /* also if there was little to see before */
        hki_heap_pages_freed(heap, 0);
    }
    cr_assert_lt(resident_pages(), before / 2);
    assert_kept(HKI_CLASS_1024, BLOCKS, 200);
    assert_sound_heap();
}

Test(heap_pages, nothing_goes_before_its_time, .init = start_heaps) {
    atomic_store(&hki_purge_delay_ms, 3600000);
    allocate(HKI_CLASS_1024, 64);
    hki_heap_pages_freed(heap, 1 << 20); /* the first look */
    free_others(64, 4);
    size_t before = resident_pages();
    hki_heap_pages_freed(heap, 1 << 20);
    cr_assert_eq(resident_pages(), before);
}

Test(heap_pages, delay_of_zero_is_at_once, .init = start_heaps) {
    atomic_store(&hki_purge_delay_ms, 0);
    allocate(HKI_CLASS_1024, BLOCKS);
    free_others(BLOCKS, 64);
    hki_heap_reclaim(heap);
    hki_heap_pages_freed(heap, 1 << 20);
    cr_assert_leq(resident_pages(), BLOCKS / 64);
    assert_kept(HKI_CLASS_1024, BLOCKS, 64);
}

Test(heap_pages, refused_purges_lose_nothing, .init = start_heaps) {
    for (unsigned long skip = 0; skip < 8; skip++) {
        allocate(HKI_CLASS_512, 512);
        free_others(512, 16);
        hki_heap_reclaim(heap);
        hki_os_fail_calls(skip, 4);
        hki_heap_pages_purge(heap);
        hki_os_fail_calls(0, 0);
        assert_sound_heap();
        assert_kept(HKI_CLASS_512, 512, 16);
        for (unsigned i = 0; i < 512; i += 16)
            hki_heap_free(heap, blocks[i]);
    }
    hki_heap_trim(heap);
    assert_nothing_left();
}

/* Freed lines of whole-line blocks, and lines that are handed out as clean. */
Test(heap_pages, purged_lines_read_as_zeros, .init = start_heaps) {
    uintptr_t first = alloc_lines(16), fence = alloc_lines(1);
    fill(hki_granule_address(first), 16 * HKI_LINE_SIZE, 1);
    hki_heap_free(heap, first);
    hki_heap_trim(heap);
    bool clean;
    hk_status status;
    cr_assert_eq(hki_heap_alloc_lines(heap, 16, 1, &clean, &status), first);
    cr_assert(clean && is_zero(hki_granule_address(first), 16 * HKI_LINE_SIZE));
    cr_assert_neq(fence, 0);
}
