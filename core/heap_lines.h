/* heap_lines: the units of a heap, and which of their lines are free. For heap.c alone; the heap's owner is inside.
 *
 * Invariants: a unit with free lines is on the list `room`, the last one that changed first, others are on `full`; one
 * unit at most that has no runs is kept, the `spare`; every line in use is charged to the quota. */
#ifndef HKI_HEAP_LINES_H
#define HKI_HEAP_LINES_H

#include "heap.h"

#define HKI_ALL_LINES (~UINT64_C(0))

HKI_INLINE hki_unit *hki_unit_at(uint32_t number) {
    return &hki_registry.units[number];
}

HKI_INLINE uint64_t hki_unit_free_lines(const hki_unit *unit) {
    return atomic_load_explicit(&unit->free_lines, memory_order_relaxed);
}

HKI_INLINE bool hki_unit_is_collecting(const hki_unit *unit) {
    return atomic_load_explicit(&unit->collections, memory_order_relaxed) % 2 != 0;
}

/* Counts that others read: only the owner writes, so a load and a store are enough. */
HKI_INLINE void hki_count_add(_Atomic uint32_t *count, uint32_t n) {
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

HKI_INLINE void hki_count_sub(_Atomic uint32_t *count, uint32_t n) {
    HKI_ASSERT(atomic_load_explicit(count, memory_order_relaxed) >= n);
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - n, memory_order_relaxed);
}

/* Puts a unit on its owner's pending list, by the one thread that set its first bit in remote_lines. False if
 * `pending`, which that thread has seen, is not what it was. Release pairs with hki_heap_collect, which reads
 * pending_next. */
HKI_INLINE bool hki_heap_push_pending(hki_heap *heap, hki_unit *unit, uint64_t pending) {
    unit->pending_next = hki_pending_unit(pending);
    uint64_t pushed = (pending & ~(uint64_t)UINT32_MAX) | hki_unit_number(unit);
    return atomic_compare_exchange_weak_explicit(&heap->pending, &pending, pushed, memory_order_release,
                                                 memory_order_relaxed);
}

typedef struct hki_lines {
    uint32_t first;
    unsigned count;
    bool clean; /* they all read as zeros */
} hki_lines;

/* Takes `wanted` lines, charges them to the quota and marks them as used, or only `enough` of them if that spares a new
 * unit or keeps the limit. HK_ERR_LIMIT or HK_ERR_NO_MEMORY: nothing was taken. */
hk_status hki_heap_take_lines(hki_heap *heap, unsigned wanted, unsigned enough, unsigned alignment, hki_lines *lines);
/* Marks free lines as used that the caller has charged to the quota. Returns whether they all read as zeros; they still
 * count as clean. */
bool hki_heap_use_lines(hki_heap *heap, uint32_t first_line, unsigned lines);
/* Lines in use are about to be written to. */
HKI_INLINE void hki_heap_dirty_lines(uint32_t first_line, unsigned lines) {
    hki_line_unit(first_line)->clean_lines &= ~hki_run_mask(first_line, lines);
}
/* Gives lines back. Their unit goes to the head of `room`, where the next run looks first. */
void hki_heap_give_lines(hki_heap *heap, uint32_t first_line, unsigned lines);
/* What becomes of a unit whose lines are all free: one is kept, so that a heap on the edge does not go to and fro. */
void hki_heap_unit_is_empty(hki_heap *heap, uint32_t number);
/* What `pending` is when a life begins. */
uint64_t hki_heap_new_life(void);
/* Ends all runs, live blocks and all, and the heap's life; gives all units but `keep` back. Returns the lines that were
 * in use. */
size_t hki_heap_clear_units(hki_heap *heap, unsigned keep);
/* Gives a unit without runs back to the pool, unless a notice of a remote free is on its way to it. */
void hki_heap_give_unit(hki_heap *heap, uint32_t number);

#endif
