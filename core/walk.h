/* walk: an arena's units and live blocks, by address. No state, no lock.
 *
 * What it reads of the arena's units is atomic, and a run with a live block is neither moved nor ended by anyone but
 * its owner at the owner's call: so a walk is sound while other arenas are at work, also from within the visitor, and
 * while threads end whose heaps take back what they do not need. */
#ifndef HKI_WALK_H
#define HKI_WALK_H

#include "arena.h"

/* The first unit from `number` on that a heap of the arena owns or that begins a large or huge block of it; 0: none.
 * All units of the process are asked whose they are. Begin with 0. */
uint32_t hki_walk_next_unit(const hki_arena *arena, uint32_t number);

/* Calls `visitor` with each live block and its usable size, by ascending address, until it returns false. */
void hki_walk(const hki_arena *arena, hk_block_visitor visitor, void *user_data);

/* The bits of a word of granules where a block starts that is live and that no other thread has freed. */
HKI_INLINE uint64_t hki_walk_live(size_t word) {
    return atomic_load_explicit(&hki_registry.live[word], memory_order_acquire) &
           ~atomic_load_explicit(&hki_registry.remote[word], memory_order_relaxed);
}

#endif
