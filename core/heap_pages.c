/* heap_pages: see heap_pages.h. */
#include "heap_pages.h"

#include "options.h"
#include "os.h"

/* A look reads the books of all units of the heap: 1/64 of its memory at most. So at least one page in each unit on
 * average has come free before the next one. */
enum { FREED_PER_UNIT = 4096 };

static unsigned lines_per_page(void) {
    return (unsigned)hki_max(hki_os_page_size() >> HKI_LINE_SHIFT, 1);
}

/* Those of the lines that make up whole pages. */
static uint64_t whole_pages(uint64_t lines) {
    unsigned per_page = lines_per_page();
    if (per_page >= HKI_LINES_PER_UNIT)
        return per_page == HKI_LINES_PER_UNIT && lines == HKI_ALL_LINES ? lines : 0;
    uint64_t starts = 0;
    for (unsigned i = 0; i < HKI_LINES_PER_UNIT; i += per_page)
        starts |= UINT64_C(1) << i;
    for (unsigned i = 1; i < per_page; i *= 2)
        lines &= lines >> i;
    return (lines & starts) * hki_bit_range(0, per_page);
}

/* One bit for each page, of lines that make up whole ones; pages have four lines at least. */
static uint16_t page_bits(uint64_t lines) {
    uint16_t bits = 0;
    for (unsigned i = 0; i < 16; i++)
        bits |= (uint16_t)((lines >> i * 4 & 1) << i);
    return bits;
}

static uint64_t lines_of_bits(uint16_t bits) {
    uint64_t lines = 0;
    for (unsigned i = 0; i < 16; i++)
        lines |= (uint64_t)(bits >> i & 1) * 15 << i * 4;
    return lines;
}

static uint64_t idle_lines(uint32_t number) {
    const hki_unit *unit = hki_unit_at(number);
    uint64_t idle = hki_unit_free_lines(unit);
    for (uint64_t runs = atomic_load_explicit(&unit->run_starts, memory_order_relaxed); runs != 0; runs &= runs - 1)
        idle |= hki_run_parked_lines(number * HKI_LINES_PER_UNIT + hki_lowest_bit(runs));
    return idle;
}

static void purge_lines(uint32_t number, uint64_t lines) {
    while (lines != 0) {
        unsigned first, count = hki_take_row(&lines, &first);
        void *start = hki_granule_address(hki_line_granule(number * HKI_LINES_PER_UNIT + first));
        if (hki_os_purge(start, (size_t)count << HKI_LINE_SHIFT))
            hki_unit_at(number)->clean_lines |= hki_bit_range(first, count);
    }
}

/* Returns whether there are pages that may go at the next look. */
static bool look_at_unit(uint32_t number, bool all) {
    hki_unit *unit = hki_unit_at(number);
    uint64_t idle = whole_pages(idle_lines(number));
    uint64_t dirty = idle & ~whole_pages(unit->clean_lines);
    uint64_t now = all ? dirty : dirty & lines_of_bits(unit->stale_pages);
    if (now != 0)
        purge_lines(number, now);
    unit->stale_pages = page_bits(dirty & ~now);
    return unit->stale_pages != 0;
}

static bool look(hki_heap *heap, bool all) {
    bool more = false;
    for (uint32_t number = heap->room; number != 0; number = hki_unit_at(number)->next)
        more |= look_at_unit(number, all);
    for (uint32_t number = heap->full; number != 0; number = hki_unit_at(number)->next)
        more |= look_at_unit(number, all);
    return more;
}

void hki_heap_pages_freed(hki_heap *heap, size_t bytes) {
    size_t enough = (size_t)atomic_load_explicit(&heap->units, memory_order_relaxed) * FREED_PER_UNIT;
    heap->freed_bytes += bytes;
    if (heap->freed_bytes < enough || heap->pool->is_private)
        return;
    unsigned delay = atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed);
    uint64_t now = hki_os_milliseconds();
    if (now - heap->last_look < delay)
        return;
    heap->last_look = now;
    heap->freed_bytes = look(heap, delay == 0) ? enough : 0;
}

void hki_heap_pages_purge(hki_heap *heap) {
    if (!heap->pool->is_private)
        look(heap, true);
    heap->freed_bytes = 0;
}
