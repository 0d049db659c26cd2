/* unit: pools of units. The shared pool, of all arenas, takes segments from the registry and gives them back when all
 * their units are free; a private one has one row of segments for ever, which it uses from the lowest up. Free units of
 * the shared pool keep their pages for hki_purge_delay_ms, so that those that come and go cost no faults; then the
 * pages go back to the OS, also those of the tables that only free units used. There is no thread for this: calls that
 * take and give look at the clock. Guarded by hki_pool_lock.
 *
 * Invariants: a segment of state UNITS is in a bucket of its pool, the right one, exactly if it has a free unit;
 * dirty_units is the number of free units that are not clean, over all segments of the pool; used_units that of units
 * that are not free; stale units are free, not clean, and have been so since the last purge. */
#ifndef HKI_UNIT_H
#define HKI_UNIT_H

#include "hakmem.h"
#include "registry.h"

/* Bucket b lists the segments whose longest row of free units has from 2^b to 2^(b+1) - 1 of them: a request goes to
 * the lowest bucket that has a row for it, so that long rows stay whole. */
enum { HKI_POOL_BUCKETS = 7, HKI_BUCKET_FREE = HKI_POOL_BUCKETS - 1 };

typedef struct hki_pool {
    uint32_t first_segments[HKI_POOL_BUCKETS];
    bool is_private;       /* one arena's: takes and gives no segment, and purges nothing */
    uint32_t start, count; /* private: its segments */
    uint32_t reached;      /* private: how many of them, from the start, may have been used so far */
    size_t dirty_units;
    size_t used_units;
    uint64_t last_purge; /* hki_os_milliseconds */
} hki_pool;

HKI_DATA hki_pool hki_shared_pool;

/* Why a pool has no units: the OS refuses them, or the arena's reserve is full. */
HKI_INLINE hk_status hki_pool_failure(const hki_pool *pool) {
    return pool->is_private ? HK_ERR_LIMIT : HK_ERR_NO_MEMORY;
}

/* What is asked of a pool: `count` units in a row (1..64), the first at a multiple of `alignment` units. */
typedef struct hki_units_wanted {
    size_t count, alignment;
    uintptr_t owner;
    hki_unit_kind kind; /* of the first; the others are tails of it */
} hki_units_wanted;

/* Takes units and writes owners and kinds. Returns the first unit's number, 0 if there is none: the OS refuses, or a
 * private pool is full. *clean tells whether all of them read as zeros. */
uint32_t hki_units_take(hki_pool *pool, const hki_units_wanted *wanted, bool *clean);
/* Takes the `more` units behind [first, first + count) into the same block, if they are free. */
bool hki_units_extend(hki_pool *pool, uint32_t first, size_t count, size_t more);
/* Gives units back; their bits are all clear. */
void hki_units_give(hki_pool *pool, uint32_t first, size_t count);
/* Makes units of mapped segments that served another purpose; their bits are all clear. */
void hki_units_adopt(hki_pool *pool, uint32_t first_segment, size_t count);
/* Segments in a row, for huge blocks: as hki_segments_take, _extend and _give, but that free segments are taken first,
 * and that segments which are given become units if they cannot go back to the OS, or if they are to be kept and not
 * much is free: these may be wanted again soon. All of a private pool's do. Units that hold such a block's metadata
 * have no bits set. */
uint32_t hki_pool_take_segments(hki_pool *pool, size_t count, size_t alignment, bool *clean);
bool hki_pool_extend_segments(hki_pool *pool, uint32_t first, size_t count, size_t more);
void hki_pool_give_segments(hki_pool *pool, uint32_t first, size_t count, bool keep);
/* Makes a private pool of `count` segments. False if the OS refuses or there is no row of so many. */
bool hki_pool_create(hki_pool *pool, size_t count);
/* Gives its segments back, in which nothing is in use. If their tables are not `usable` any more, nor are they. */
void hki_pool_end(hki_pool *pool, bool usable);
/* Gives back the pages of units that have been free for long enough. Every take does this; who gives single units
 * should. */
void hki_units_purge_if_due(hki_pool *pool);
/* Gives the pages of all free units of the shared pool back now; a private one keeps them. */
void hki_units_purge(hki_pool *pool);
/* Recounts the invariants of a pool: NULL, or what does not hold. */
const char *hki_units_check(const hki_pool *pool);

#endif
