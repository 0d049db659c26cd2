/* run: blocks of one class in consecutive lines of a unit, and which of them are parked: free, and not on a stack.
 * Lines are numbered through the window. Only the unit's owner calls these, but for hki_run_at.
 *
 * Invariants: a run's lines all have the tag of its heap and class; blocks = its bytes / block size, rounded down;
 * parked = its parked bits. A run of class HKI_CLASS_LARGE is one block of all its lines and parks nothing. */
#ifndef HKI_RUN_H
#define HKI_RUN_H

#include "registry.h"
#include "size_class.h"

HKI_INLINE hki_run *hki_run_record(uint32_t first_line) {
    return &hki_registry.runs[first_line];
}

HKI_INLINE hki_unit *hki_line_unit(uint32_t line) {
    return &hki_registry.units[line >> HKI_LINE_TO_UNIT];
}

HKI_INLINE uintptr_t hki_line_granule(uint32_t line) {
    return (uintptr_t)line << HKI_GRANULE_TO_LINE;
}

HKI_INLINE uint32_t hki_granule_line(uintptr_t granule) {
    return (uint32_t)(granule >> HKI_GRANULE_TO_LINE);
}

/* The mask of a run's lines in the words of its unit. */
HKI_INLINE uint64_t hki_run_mask(uint32_t first_line, unsigned lines) {
    return hki_bit_range(first_line % HKI_LINES_PER_UNIT, lines);
}

/* The first line of the run that a line belongs to, if it belongs to any: else that of a run before it, or 0. */
HKI_INLINE uint32_t hki_run_at(uint32_t line) {
    unsigned in_unit = line % HKI_LINES_PER_UNIT;
    uint64_t starts = atomic_load_explicit(&hki_line_unit(line)->run_starts, memory_order_relaxed);
    starts &= ~UINT64_C(0) >> (63 - in_unit);
    return starts == 0 ? 0 : line - in_unit + hki_highest_bit(starts);
}

HKI_INLINE unsigned hki_run_lines(const hki_run *run) {
    return atomic_load_explicit(&run->lines, memory_order_relaxed);
}

/* Lays a run of a size class out in lines that the caller has taken; all its blocks are parked. */
void hki_run_create(uint32_t first_line, unsigned lines, unsigned size_class, uint32_t heap_tag);
/* The same for one block of whole lines; nothing is parked. */
void hki_run_create_large(uint32_t first_line, unsigned lines, uint32_t heap_tag);
/* Longer or shorter in place: the lines behind are the caller's business. */
void hki_run_resize_large(uint32_t first_line, unsigned lines, uint32_t heap_tag);
/* Ends a run whose blocks are all parked, or a large one whose block is dead. */
void hki_run_remove(uint32_t first_line);
/* Moves up to `max` parked blocks, the lowest ones, to `granules`, in descending order. Returns how many. */
unsigned hki_run_unpark(uint32_t first_line, uintptr_t *granules, unsigned max);
/* Which lines of a run (a mask in the words of its unit) only parked blocks reach into. */
uint64_t hki_run_parked_lines(uint32_t first_line);
/* Parks blocks of one word of bits, `count` of them. */
HKI_INLINE void hki_run_park(hki_run *run, size_t word, uint64_t bits, uint32_t count) {
    HKI_ASSERT((hki_registry.parked[word] & bits) == 0 && run->parked + count <= run->blocks);
    hki_registry.parked[word] |= bits;
    run->parked = (uint16_t)(run->parked + count);
}

#endif
