/* block: see block.h. No state. */
#include "block.h"

static hki_unit *unit_at(uintptr_t granule) {
    return hki_granule_unit(granule);
}

static size_t bytes_of_lines(size_t lines) {
    return lines << HKI_LINE_SHIFT;
}

/* A block of a size class, if the granule lies in one (and not in a run's tail). */
static void find_small(hki_block *block, uintptr_t granule, uint32_t first_line) {
    const hki_run *run = hki_run_record(first_line);
    size_t size = hki_classes[block->size_class].size;
    uintptr_t start = hki_line_granule(first_line);
    size_t index = (granule - start) * HKI_GRANULE_SIZE / size;
    size_t blocks = bytes_of_lines(hki_run_lines(run)) / size;
    block->kind = HK_POINTER_SMALL;
    if (index < blocks) {
        block->granule = start + index * (size / HKI_GRANULE_SIZE);
        block->size = size;
        block->any_size = atomic_load_explicit(&run->any_size, memory_order_relaxed);
        block->borrowed = atomic_load_explicit(&run->borrowed, memory_order_relaxed);
    }
}

static void find_in_runs(hki_block *block, uintptr_t granule) {
    uint32_t line = hki_granule_line(granule);
    uint32_t first_line = hki_run_at(line);
    if (first_line == 0 || line >= first_line + hki_run_lines(hki_run_record(first_line)))
        return;
    const hki_run *run = hki_run_record(first_line);
    unsigned size_class = atomic_load_explicit(&run->size_class, memory_order_relaxed);
    if (size_class < HKI_CLASSES) {
        block->size_class = size_class;
        find_small(block, granule, first_line);
        return;
    }
    block->kind = HK_POINTER_LARGE;
    block->granule = hki_line_granule(first_line);
    block->size = bytes_of_lines(hki_run_lines(run));
    block->any_size = atomic_load_explicit(&run->any_size, memory_order_relaxed);
}

/* A block that starts at the first granule of `unit`. What lies behind its last line is no block's. */
static void find_large(hki_block *block, uintptr_t granule, uint32_t unit, hk_pointer_kind kind) {
    const hki_unit *head = &hki_registry.units[unit];
    uintptr_t start = hki_unit_granule(unit);
    size_t size = bytes_of_lines(atomic_load_explicit(&head->lines, memory_order_relaxed));
    if ((granule - start) * HKI_GRANULE_SIZE >= size)
        return;
    block->kind = kind;
    block->owner = atomic_load_explicit(&head->owner, memory_order_acquire);
    block->granule = start;
    block->size = size;
}

static void find_in_units(hki_block *block, uintptr_t granule) {
    const hki_unit *unit = unit_at(granule);
    switch ((hki_unit_kind)atomic_load_explicit(&unit->kind, memory_order_relaxed)) {
    case HKI_UNIT_RUNS:
        block->owner = atomic_load_explicit(&unit->owner, memory_order_acquire);
        find_in_runs(block, granule);
        break;
    case HKI_UNIT_LARGE:
        find_large(block, granule, hki_unit_number(unit), HK_POINTER_LARGE);
        break;
    case HKI_UNIT_LARGE_TAIL:
        find_large(block, granule, atomic_load_explicit(&unit->head, memory_order_relaxed), HK_POINTER_LARGE);
        break;
    case HKI_UNIT_HUGE:
    case HKI_UNIT_FREE:
        break;
    }
}

/* False if the granule's segment is not ours. */
static bool find_in_segments(hki_block *block, uintptr_t granule) {
    uint32_t number = (uint32_t)(granule >> (HKI_GRANULE_TO_UNIT + HKI_UNIT_TO_SEGMENT));
    const hki_segment *segment = &hki_registry.segments[number];
    switch ((hki_segment_state)atomic_load_explicit(&segment->state, memory_order_relaxed)) {
    case HKI_SEGMENT_UNITS:
        find_in_units(block, granule);
        return true;
    case HKI_SEGMENT_HUGE:
        find_large(block, granule, number * HKI_UNITS_PER_SEGMENT, HK_POINTER_HUGE);
        return true;
    case HKI_SEGMENT_HUGE_TAIL:
        find_large(block, granule, atomic_load_explicit(&segment->head, memory_order_relaxed) * HKI_UNITS_PER_SEGMENT,
                   HK_POINTER_HUGE);
        return true;
    case HKI_SEGMENT_UNUSED:
    case HKI_SEGMENT_LOST:
    case HKI_SEGMENT_SPARE:
        break;
    }
    return false;
}

static hk_block_state state_of(uintptr_t granule) {
    uint64_t mask = hki_granule_mask(granule);
    if ((atomic_load_explicit(hki_live_word(granule), memory_order_acquire) & mask) == 0)
        return HK_BLOCK_FREE;
    bool remote = (atomic_load_explicit(hki_remote_word(granule), memory_order_relaxed) & mask) != 0;
    return remote ? HK_BLOCK_FREED_REMOTELY : HK_BLOCK_LIVE;
}

hki_block hki_block_find(const void *pointer) {
    hki_block block = {.kind = HK_POINTER_FOREIGN, .status = HK_ERR_FOREIGN_POINTER, .size_class = HKI_CLASS_LARGE};
    uintptr_t granule = ((uintptr_t)pointer - hki_window_base()) >> HKI_GRANULE_SHIFT;
    if (!hki_granule_exists(granule) || !find_in_segments(&block, granule))
        return block;
    if (block.kind == HK_POINTER_FOREIGN)
        block.kind = HK_POINTER_UNUSED;
    if (block.granule != 0)
        block.state = state_of(block.granule);
    bool misaligned = (uintptr_t)pointer % HKI_GRANULE_SIZE != 0;
    bool at_start = granule == block.granule && !misaligned;
    if (misaligned || (block.state == HK_BLOCK_LIVE && !at_start))
        block.status = HK_ERR_INTERIOR_POINTER;
    else
        block.status = block.state == HK_BLOCK_LIVE ? HK_OK : HK_ERR_DOUBLE_FREE;
    return block;
}
