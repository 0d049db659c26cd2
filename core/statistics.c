/* statistics: see statistics.h. */
#include "statistics.h"

#include "hardened.h"
#include "lock.h"

#include <string.h>

_Static_assert(HKI_CLASSES <= HK_SIZE_CLASSES_MAX, "the public structure has room for all classes");

/* What has been freed remotely in a heap and not been collected, by class; HKI_CLASS_LARGE counts lines apart. */
typedef struct remote_frees {
    uint32_t blocks[HKI_CLASSES + 1];
    uint32_t large_lines;
} remote_frees;

static void count_word(size_t word, remote_frees *frees) {
    uint64_t freed = atomic_load_explicit(&hki_registry.remote[word], memory_order_relaxed) &
                     atomic_load_explicit(&hki_registry.live[word], memory_order_relaxed);
    if (freed == 0)
        return;
    unsigned size_class = hki_granule_class(word * 64);
    frees->blocks[size_class] += hki_count_bits(freed);
    if (size_class == HKI_CLASS_LARGE)
        frees->large_lines += hki_run_lines(hki_run_record(hki_granule_line(word * 64)));
}

static void count_unit(uint32_t number, remote_frees *frees) {
    bool any = atomic_load_explicit(&hki_registry.units[number].remote_lines, memory_order_relaxed) != 0;
    uint64_t lines = any ? hki_unit_marked_lines(number) : 0;
    for (; lines != 0; lines &= lines - 1) {
        size_t line = (size_t)number * HKI_LINES_PER_UNIT + hki_lowest_bit(lines);
        for (unsigned i = 0; i < HKI_WORDS_PER_LINE; i++)
            count_word(line * HKI_WORDS_PER_LINE + i, frees);
    }
}

/* Another thread's heap cannot be collected, and its lists cannot be walked while it changes them: so all units are
 * asked whose they are. Only done if there is anything pending. */
static void count_remote(const hki_heap *heap, remote_frees *frees) {
    if (!hki_heap_has_pending(heap))
        return;
    uint32_t end = hki_segments_end() * HKI_UNITS_PER_SEGMENT;
    for (uint32_t i = HKI_UNITS_PER_SEGMENT; i < end; i++)
        if (atomic_load_explicit(&hki_registry.units[i].owner, memory_order_relaxed) == (uintptr_t)heap)
            count_unit(i, frees);
}

static size_t load(const _Atomic uint32_t *count) {
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* A snapshot of figures that change meanwhile may not add up; it is never below 0. */
static size_t minus(size_t n, size_t less) {
    return n > less ? n - less : 0;
}

static void add_class(const hki_heap *heap, unsigned size_class, const remote_frees *frees, hk_statistics *total) {
    const hki_class_books *books = &heap->books[size_class];
    size_t stacked = hki_heap_stacked(heap, size_class) + hki_hardened_blocks(heap, size_class);
    size_t free_blocks = load(&books->parked) + stacked + frees->blocks[size_class];
    size_t live = minus(load(&books->blocks), free_blocks);
    hk_class_statistics *figures = &total->classes[size_class];
    figures->live_blocks += live;
    figures->held_bytes += load(&books->lines) << HKI_LINE_SHIFT;
    total->live_blocks += live;
    total->live_bytes += live * figures->block_size;
    total->children_bytes += load(&books->lines) << HKI_LINE_SHIFT;
}

static void add_large(size_t blocks, size_t lines, hk_statistics *total) {
    total->large_blocks += blocks;
    total->large_bytes += lines << HKI_LINE_SHIFT;
    total->live_blocks += blocks;
    total->live_bytes += lines << HKI_LINE_SHIFT;
}

static void add_heap(const hki_heap *heap, const remote_frees *frees, hk_statistics *total) {
    for (unsigned size_class = 0; size_class < HKI_CLASSES; size_class++)
        add_class(heap, size_class, frees, total);
    const hki_class_books *large = &heap->books[HKI_CLASS_LARGE];
    total->children_bytes += load(&large->lines) << HKI_LINE_SHIFT;
    add_large(minus(load(&large->blocks), frees->blocks[HKI_CLASS_LARGE]),
              minus(load(&large->lines), frees->large_lines), total);
    total->units += load(&heap->units);
    total->heaps++;
}

static void add_collected(hki_heap *heap, hk_statistics *total) {
    hki_heap_collect(heap);
    add_heap(heap, &(remote_frees){0}, total);
}

static void add_as_it_is(const hki_heap *heap, hk_statistics *total) {
    remote_frees frees = {0};
    count_remote(heap, &frees);
    add_heap(heap, &frees, total);
}

static void begin(const hki_arena *arena, hk_statistics *total) {
    size_t limit = atomic_load_explicit(&arena->quota.limit_lines, memory_order_relaxed);
    memset(total, 0, sizeof *total);
    total->peak_held_bytes = atomic_load_explicit(&arena->quota.peak_lines, memory_order_relaxed) << HKI_LINE_SHIFT;
    total->limit_bytes = limit == HKI_NO_LIMIT ? 0 : limit << HKI_LINE_SHIFT;
    total->limit_failures = atomic_load_explicit(&arena->quota.limit_failures, memory_order_relaxed);
    total->system_failures = atomic_load_explicit(&arena->quota.system_failures, memory_order_relaxed);
    total->size_classes = HKI_CLASSES;
    for (unsigned i = 0; i < HKI_CLASSES; i++)
        total->classes[i].block_size = hki_classes[i].size;
}

/* After the heaps, which may have collected, and whose bytes children_bytes is until here. */
static void finish(const hki_arena *arena, hk_statistics *total) {
    size_t large_lines = atomic_load_explicit(&arena->large.lines, memory_order_relaxed);
    size_t own_bytes = total->children_bytes + (large_lines << HKI_LINE_SHIFT);
    add_large(atomic_load_explicit(&arena->large.blocks, memory_order_relaxed), large_lines, total);
    total->units += atomic_load_explicit(&arena->large.units, memory_order_relaxed);
    total->held_bytes = atomic_load_explicit(&arena->quota.held_lines, memory_order_relaxed) << HKI_LINE_SHIFT;
    total->children_bytes = hki_arena_children(arena) > 0 ? minus(total->held_bytes, own_bytes) : 0;
}

void hki_statistics_get(hki_arena *arena, hki_heap *own, hk_statistics *total) {
    begin(arena, total);
    if (arena->one_thread)
        add_collected(&arena->heap, total);
    hki_lock_acquire(&hki_arenas_lock);
    for (hki_heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        if (heap == own || heap->idle)
            add_collected(heap, total);
        else
            add_as_it_is(heap, total);
    }
    hki_lock_release(&hki_arenas_lock);
    finish(arena, total);
}

void hki_statistics_peek(const hki_arena *arena, hk_statistics *total) {
    begin(arena, total);
    if (arena->one_thread)
        add_as_it_is(&arena->heap, total);
    const hki_heap *heap = atomic_load_explicit(&arena->heaps, memory_order_acquire);
    for (; heap != NULL; heap = heap->next)
        add_as_it_is(heap, total);
    finish(arena, total);
}
