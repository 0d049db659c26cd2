/* rewind: arenas that go back to an earlier state of theirs, their base.
 *
 * Such an arena has pages of its own for all that it is: its slot, the segments of its private pool, and the parts of
 * the registry's tables that belong to these segments. These are its ranges. hki_rewind, which knows the base, lies
 * outside of them. The pages of the base are put back in one of two ways, picked when the arena is made:
 *   TRACKING  the image is a copy in anonymous memory; the kernel tells which pages were written to since;
 *   FILE      the image is a sealed file in memory, mapped privately over the ranges: what is dropped comes back.
 * Either way any page can be compared with the image instead, so that no refusal of the OS spoils a rollback.
 *
 * One thread is inside, as in all of the arena; `busy` catches another one as far as it comes this way. Segments'
 * records and the tracker are guarded by hki_pool_lock.
 *
 * Invariants, once there is a base:
 *   `saved` has the bits of the pages that are not all zeros at the base, and the image holds their bytes;
 *   TRACKING: a page that the kernel does not report as written is as it was at the base;
 *   beyond `based` bytes a range is all zeros at the base. */
#ifndef HKI_REWIND_H
#define HKI_REWIND_H

#include "arena.h"

enum { HKI_RANGES = HKI_SEGMENT_TABLES + 2 };

typedef struct hki_range {
    char *start;
    size_t bytes;             /* all of it */
    size_t bytes_per_segment; /* of the pool; 0 for the slot, which is in use as a whole */
    size_t at;                /* where its first byte is in the image */
    size_t based;             /* how much of it may be in use at the base */
    size_t file_bytes;        /* FILE: how much of it may be mapped from a file */
    bool compares;            /* FILE: the mapping is not that of the base: pages are compared with the image */
} hki_range;

typedef enum hki_rewind_way {
    HKI_REWIND_ANY, /* the first that works */
    HKI_REWIND_TRACKING,
    HKI_REWIND_FILE,
    HKI_REWIND_NONE,
} hki_rewind_way;

typedef struct hki_rewind {
    _Atomic bool busy;
    bool has_base;
    hki_rewind_way way;
    unsigned tracked_by; /* TRACKING: the number of the tracker that knows the ranges */
    size_t bytes;        /* of the mapping that this lies in */
    hki_range ranges[HKI_RANGES];
    size_t image_bytes;
    char *image;           /* NULL before the first checkpoint */
    uint64_t *saved;       /* a bit for each page of the image */
    uint64_t *next_saved;  /* FILE: the same for a base that is being made */
    hki_segment *segments; /* the pool's records at the base */
} hki_rewind;

/* The reserve of an arena that does not say how much it wants. */
#define HKI_RESERVE_BYTES ((size_t)256 << 20)

/* Makes a new arena, which has no block yet, one that can be rewound. HK_ERR_NO_MEMORY or HK_ERR_UNSUPPORTED: it is as
 * it was. */
hk_status hki_rewind_start(hki_arena *arena, size_t reserve_bytes);
/* Gives all of that back; for any arena without blocks. False if the slot can serve no other arena. hki_arenas_lock
 * held. */
bool hki_rewind_end(hki_arena *arena);

/* Makes what is there the base. HK_ERR_UNSUPPORTED for an arena that cannot be rewound, HK_ERR_BUSY,
 * HK_ERR_NO_MEMORY: the old base, if any, still counts. */
hk_status hki_rewind_checkpoint(hki_arena *arena);
/* Brings the base back. HK_ERR_UNSUPPORTED, HK_ERR_BUSY, HK_ERR_INVALID_ARGUMENT if there is no base. */
hk_status hki_rewind_rollback(hki_arena *arena);

/* In a child of fork, hki_pool_lock held: what the kernel tells about writes is the parent's. */
void hki_rewind_after_fork(void);

/* For tests: arenas made from now on are rewound in this way. */
void hki_rewind_force(hki_rewind_way way);
/* Whether the tables' parts are whole pages of this size, so that the arena can have pages of its own. */
bool hki_rewind_fits(size_t page_size);

/* Every slow path of such an arena goes in and out, and so notices a second thread. False if one is inside. */
HKI_INLINE bool hki_rewind_enter(hki_arena *arena) {
    hki_rewind *rewind = arena->rewind;
    return rewind == NULL || !atomic_exchange_explicit(&rewind->busy, true, memory_order_acquire);
}

HKI_INLINE void hki_rewind_leave(hki_arena *arena) {
    hki_rewind *rewind = arena->rewind;
    if (rewind != NULL)
        atomic_store_explicit(&rewind->busy, false, memory_order_release);
}

#endif
