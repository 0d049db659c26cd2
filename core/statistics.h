/* statistics: an arena's figures, derived from what the lower layers count anyway. No state. */
#ifndef HKI_STATISTICS_H
#define HKI_STATISTICS_H

#include "arena.h"

/* Whether there is anything to tell of a class. */
HKI_INLINE bool hki_statistics_has(const hk_class_statistics *row) {
    return row->live_blocks != 0 || row->held_bytes != 0;
}

/* What counts against the limit without what arenas below hold. */
HKI_INLINE size_t hki_statistics_own_held(const hk_statistics *figures) {
    return figures->held_bytes - figures->children_bytes;
}

/* Fills in everything but struct_size. `own` is the calling thread's heap in this arena, if any: what other threads
 * freed there is collected first. */
void hki_statistics_get(hki_arena *arena, hki_heap *own, hk_statistics *total);
/* The same for an arena that does not end meanwhile, without a lock and without collecting anything: for signal
 * handlers, and for processes that are ending. */
void hki_statistics_peek(const hki_arena *arena, hk_statistics *total);

#endif
