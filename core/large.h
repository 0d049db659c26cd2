/* large: blocks of whole units inside a segment, and huge ones of whole segments. They belong to an arena, not to a
 * heap; any thread takes and gives them. These functions take hki_pool_lock themselves.
 *
 * Invariants: the list holds exactly the arena's large and huge blocks; blocks, lines and units are their counts. A
 * block of n lines holds n lines of the quota, whatever address space it has. */
#ifndef HKI_LARGE_H
#define HKI_LARGE_H

#include "unit.h"

typedef struct hki_large_list {
    uintptr_t owner;       /* what the units of its blocks say; set once, as */
    hki_pool *pool;        /* where the units come from */
    uint32_t first;        /* unit of the newest block; 0 ends the list */
    _Atomic size_t blocks; /* the counts are read without the lock */
    _Atomic size_t lines;
    _Atomic size_t units;
} hki_large_list;

typedef struct hki_large_wanted {
    size_t lines;
    size_t alignment; /* of the address; a power of two */
    bool grows;       /* the block has grown and is likely to grow again: place it where it can */
} hki_large_wanted;

/* A live block. Returns its granule, 0 if the OS refuses. *clean tells whether it reads as zeros. */
uintptr_t hki_large_take(hki_large_list *list, const hki_large_wanted *wanted, bool *clean);
/* Marks a live block with its remote bit, so that it counts as freed for all but the caller, who then frees it or gives
 * the claim up. False if it is not live or claimed already. Only hardened arenas' blocks are claimed: there is work to
 * do between the look at a block and its end. */
bool hki_large_claim(hki_large_list *list, uintptr_t granule);
void hki_large_unclaim(uintptr_t granule);
/* Frees a block. Returns its lines; 0 if there is no live block of the list (any more). */
size_t hki_large_give(hki_large_list *list, uintptr_t granule);
/* Makes a block longer or shorter without copying. Returns its granule, another one if it has moved, or 0 if that is
 * not possible (a shrink always is) or there is no live block of the list (any more). */
uintptr_t hki_large_resize(hki_large_list *list, uintptr_t granule, size_t lines);
/* Units of address space that a block of `lines` lines takes, in units or in whole segments. */
size_t hki_large_units(size_t lines, bool huge);
/* Frees all blocks of the list. Returns their lines. */
size_t hki_large_give_all(hki_large_list *list);

#endif
