/* heap_pages: see heap_pages.h. */
#include "heap_pages.h"

#include "options.h"
#include "os.h"

/* A look reads the books of all units of the heap: 1/64 of its memory at most. So at least one page in each unit on
 * average has come free before the next one. */
enum { FREED_PER_UNIT = 4096 };

/* Of pages that are in use all the time some are idle at any moment. As long as that is one in so many, the next look
 * has time until so many times hki_purge_delay_ms are over: most of them will be in use again by then. */
enum { LITTLE_IS_ONE_IN = 32, PATIENCE = 8 };

/* How pages lie in a unit. */
typedef struct page_shape {
    unsigned lines;  /* of a page */
    uint64_t starts; /* the lines that pages begin with */
} page_shape;

static page_shape shape_of_pages(void) {
    page_shape shape = {.lines = (unsigned)hki_max(hki_os_page_size() >> HKI_LINE_SHIFT, 1)};
    for (unsigned i = 0; i < HKI_LINES_PER_UNIT; i += shape.lines)
        shape.starts |= UINT64_C(1) << i;
    return shape;
}

/* Those of the lines that make up whole pages. */
static uint64_t whole_pages(page_shape shape, uint64_t lines) {
    if (shape.lines >= HKI_LINES_PER_UNIT)
        return shape.lines == HKI_LINES_PER_UNIT && lines == HKI_ALL_LINES ? lines : 0;
    for (unsigned i = 1; i < shape.lines; i *= 2)
        lines &= lines >> i;
    return (lines & shape.starts) * hki_bit_range(0, shape.lines);
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

/* Returns how many lines there are on pages without a live block, whether they go now or may go at the next look. */
static unsigned look_at_unit(uint32_t number, page_shape shape, bool all) {
    hki_unit *unit = hki_unit_at(number);
    uint64_t idle = whole_pages(shape, idle_lines(number));
    uint64_t dirty = idle & ~whole_pages(shape, unit->clean_lines);
    uint64_t now = all ? dirty : dirty & lines_of_bits(unit->stale_pages);
    if (now != 0)
        purge_lines(number, now);
    unit->stale_pages = page_bits(dirty & ~now);
    return hki_count_bits(dirty);
}

/* Returns whether there was anything to see. */
static bool look(hki_heap *heap, bool all) {
    const page_shape shape = shape_of_pages();
    size_t lines = 0, units = atomic_load_explicit(&heap->units, memory_order_relaxed);
    for (uint32_t number = heap->room; number != 0; number = hki_unit_at(number)->next)
        lines += look_at_unit(number, shape, all);
    for (uint32_t number = heap->full; number != 0; number = hki_unit_at(number)->next)
        lines += look_at_unit(number, shape, all);
    heap->little_idle = lines <= units * HKI_LINES_PER_UNIT / LITTLE_IS_ONE_IN;
    return lines != 0;
}

void hki_heap_pages_freed(hki_heap *heap, size_t bytes) {
    size_t enough = (size_t)atomic_load_explicit(&heap->units, memory_order_relaxed) * FREED_PER_UNIT;
    heap->freed_bytes += bytes;
    if (heap->freed_bytes < enough || heap->pool->is_private)
        return;
    unsigned delay = atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed);
    uint64_t now = hki_os_milliseconds();
    if (now - heap->last_look < (uint64_t)delay * (heap->little_idle ? PATIENCE : 1))
        return;
    heap->last_look = now;
    heap->freed_bytes = look(heap, delay == 0) ? enough : 0;
}

void hki_heap_pages_purge(hki_heap *heap) {
    if (!heap->pool->is_private)
        look(heap, true);
    heap->freed_bytes = 0;
}
