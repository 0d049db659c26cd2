/* walk: see walk.h. */
#include "walk.h"

#include "canary.h"

typedef struct visit {
    bool hardened;
    hk_block_visitor visitor;
    void *user_data;
} visit;

static bool visit_block(const visit *to, uintptr_t granule, size_t size) {
    void *block = hki_granule_address(granule);
    return to->visitor(block, to->hardened ? hki_canary_usable(block, size) : size, to->user_data);
}

static hki_unit_kind kind_of(uint32_t number) {
    return (hki_unit_kind)atomic_load_explicit(&hki_registry.units[number].kind, memory_order_relaxed);
}

/* Behind the first unit of a huge block, and in segments that have no units, there is nothing to ask. */
static uint32_t unit_after(uint32_t number) {
    const hki_segment *segment = &hki_registry.segments[number / HKI_UNITS_PER_SEGMENT];
    if (atomic_load_explicit(&segment->state, memory_order_relaxed) == HKI_SEGMENT_UNITS)
        return number + 1;
    return (number / HKI_UNITS_PER_SEGMENT + 1) * HKI_UNITS_PER_SEGMENT;
}

uint32_t hki_walk_next_unit(const hki_arena *arena, uint32_t number) {
    uint32_t end = hki_segments_end() * HKI_UNITS_PER_SEGMENT;
    for (number = number == 0 ? HKI_UNITS_PER_SEGMENT : number; number < end; number = unit_after(number)) {
        uintptr_t owner = atomic_load_explicit(&hki_registry.units[number].owner, memory_order_acquire);
        if (owner != 0 && hki_arena_of_owner(owner) == arena)
            return number;
    }
    return 0;
}

static bool visit_run(const visit *to, uint32_t first_line) {
    const hki_run *run = hki_run_record(first_line);
    unsigned size_class = atomic_load_explicit(&run->size_class, memory_order_relaxed);
    unsigned lines = hki_run_lines(run);
    size_t size = size_class < HKI_CLASSES ? hki_classes[size_class].size : (size_t)lines << HKI_LINE_SHIFT;
    size_t word = (size_t)first_line * HKI_WORDS_PER_LINE, end = word + (size_t)lines * HKI_WORDS_PER_LINE;
    for (; word < end; word++)
        for (uint64_t live = hki_walk_live(word); live != 0; live &= live - 1)
            if (!visit_block(to, word * 64 + hki_lowest_bit(live), size))
                return false;
    return true;
}

static bool visit_unit(const visit *to, uint32_t number) {
    const hki_unit *unit = &hki_registry.units[number];
    if (kind_of(number) != HKI_UNIT_RUNS) {
        size_t lines = atomic_load_explicit(&unit->lines, memory_order_relaxed);
        return visit_block(to, hki_unit_granule(number), lines << HKI_LINE_SHIFT);
    }
    uint64_t runs = atomic_load_explicit(&unit->run_starts, memory_order_relaxed);
    for (; runs != 0; runs &= runs - 1)
        if (!visit_run(to, number * HKI_LINES_PER_UNIT + hki_lowest_bit(runs)))
            return false;
    return true;
}

void hki_walk(const hki_arena *arena, hk_block_visitor visitor, void *user_data) {
    const visit to = {arena->hardened, visitor, user_data};
    uint32_t number = 0;
    while ((number = hki_walk_next_unit(arena, number)) != 0 && visit_unit(&to, number))
        number = unit_after(number);
}
