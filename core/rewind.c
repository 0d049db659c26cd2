/* rewind: see rewind.h. State: the way that tests force. */
#include "rewind.h"

#include "lock.h"
#include "os.h"
#include "rewind_file.h"
#include "rewind_pages.h"
#include "rewind_tracker.h"

static _Atomic hki_rewind_way forced_way;

void hki_rewind_force(hki_rewind_way way) {
    atomic_store(&forced_way, way);
}

void hki_rewind_after_fork(void) {
    hki_tracker_after_fork();
}

bool hki_rewind_fits(size_t page_size) {
    hki_table_part parts[HKI_SEGMENT_TABLES];
    hki_tables_find(1, parts);
    bool fits = HKI_SLOT_SIZE % page_size == 0;
    for (int i = 0; i < HKI_SEGMENT_TABLES; i++)
        fits &= parts[i].bytes_per_segment % page_size == 0;
    return fits;
}

/* ---- memory that is outside of the ranges ---- */

static void *map_memory(size_t bytes) {
    void *start = hki_os_reserve(bytes, hki_os_page_size());
    if (start != NULL && !hki_os_commit(start, bytes)) {
        hki_os_unmap(start, bytes);
        return NULL;
    }
    return start;
}

static size_t image_bytes_of(size_t segments) {
    hki_table_part parts[HKI_SEGMENT_TABLES];
    size_t bytes = HKI_SLOT_SIZE + segments * HKI_SEGMENT_SIZE;
    hki_tables_find(1, parts);
    for (int i = 0; i < HKI_SEGMENT_TABLES; i++)
        bytes += segments * parts[i].bytes_per_segment;
    return bytes;
}

/* What is known of a base of so many segments, in one mapping: hki_rewind, two sets of saved pages, records. */
static hki_rewind *new_rewind(size_t segments) {
    size_t image_bytes = image_bytes_of(segments);
    size_t words = hki_divide_up(image_bytes / hki_os_page_size(), 64);
    size_t head = hki_align_up(sizeof(hki_rewind), sizeof(uint64_t));
    size_t bytes = head + 2 * words * sizeof(uint64_t) + segments * sizeof(hki_segment);
    bytes = hki_align_up(bytes, hki_os_page_size());
    char *start = map_memory(bytes);
    if (start == NULL)
        return NULL;
    hki_rewind *rewind = (hki_rewind *)(void *)start;
    rewind->bytes = bytes;
    rewind->image_bytes = image_bytes;
    rewind->saved = (uint64_t *)(void *)(start + head);
    rewind->next_saved = rewind->saved + words;
    rewind->segments = (hki_segment *)(void *)(rewind->next_saved + words);
    return rewind;
}

static void free_rewind(hki_rewind *rewind) {
    if (rewind->image != NULL)
        hki_os_unmap(rewind->image, rewind->image_bytes);
    hki_os_unmap(rewind, rewind->bytes);
}

/* ---- life ---- */

static void add_range(hki_range *range, size_t *at, char *start, size_t bytes_per_segment, size_t bytes) {
    *range = (hki_range){.start = start, .bytes = bytes, .bytes_per_segment = bytes_per_segment, .at = *at};
    *at += bytes;
}

static void find_ranges(hki_rewind *rewind, hki_arena *arena, const hki_pool *pool) {
    hki_table_part parts[HKI_SEGMENT_TABLES];
    hki_range *range = rewind->ranges;
    size_t at = 0;
    hki_tables_find(pool->start, parts);
    add_range(range++, &at, (char *)arena, 0, HKI_SLOT_SIZE);
    for (int i = 0; i < HKI_SEGMENT_TABLES; i++)
        add_range(range++, &at, parts[i].start, parts[i].bytes_per_segment, pool->count * parts[i].bytes_per_segment);
    char *segments = hki_granule_address(hki_unit_granule(pool->start * HKI_UNITS_PER_SEGMENT));
    add_range(range, &at, segments, HKI_SEGMENT_SIZE, (size_t)pool->count * HKI_SEGMENT_SIZE);
    HKI_ASSERT(at == rewind->image_bytes);
}

static bool pick_way(hki_rewind *rewind) {
    hki_rewind_way wanted = atomic_load(&forced_way);
    bool any = wanted == HKI_REWIND_ANY;
    if ((any || wanted == HKI_REWIND_TRACKING) && hki_tracker_join(rewind))
        rewind->way = HKI_REWIND_TRACKING;
    else if ((any || wanted == HKI_REWIND_FILE) && hki_file_way_works())
        rewind->way = HKI_REWIND_FILE;
    else
        rewind->way = HKI_REWIND_NONE;
    return rewind->way != HKI_REWIND_NONE;
}

static hk_status start_under_locks(hki_arena *arena, hki_rewind *rewind, size_t segments) {
    if (!hki_pool_create(&arena->own_pool, segments))
        return HK_ERR_NO_MEMORY;
    find_ranges(rewind, arena, &arena->own_pool);
    if (!pick_way(rewind)) {
        hki_pool_end(&arena->own_pool, true);
        return HK_ERR_UNSUPPORTED;
    }
    arena->rewind = rewind;
    arena->pool = arena->heap.pool = arena->large.pool = &arena->own_pool;
    return HK_OK;
}

hk_status hki_rewind_start(hki_arena *arena, size_t reserve_bytes) {
    size_t bytes = reserve_bytes != 0 ? reserve_bytes : HKI_RESERVE_BYTES;
    size_t segments = hki_divide_up(bytes, HKI_SEGMENT_SIZE);
    if (!hki_rewind_fits(hki_os_page_size()))
        return HK_ERR_UNSUPPORTED;
    hki_rewind *rewind = new_rewind(segments);
    if (rewind == NULL)
        return HK_ERR_NO_MEMORY;
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&hki_pool_lock);
    hk_status status = start_under_locks(arena, rewind, segments);
    hki_lock_release(&hki_pool_lock);
    hki_lock_release(&hki_arenas_lock);
    if (status != HK_OK)
        free_rewind(rewind);
    return status;
}

/* The slot's header stays as it is. What is mapped serves as well, if this is refused, but a file: it would come back
 * when its pages are purged. */
static bool renew_slot(hki_arena *arena, const hki_range *slot) {
    const hki_arena saved = *arena;
    if (!hki_os_renew(arena, HKI_SLOT_SIZE))
        return slot->file_bytes == 0;
    *arena = saved;
    return true;
}

/* Makes ordinary memory of the tables, in which no bits are set. */
static bool renew_tables(const hki_rewind *rewind) {
    bool usable = true;
    for (int i = 1; i <= HKI_SEGMENT_TABLES; i++) {
        const hki_range *range = &rewind->ranges[i];
        if (!hki_os_renew(range->start, range->bytes))
            usable &= range->file_bytes == 0;
    }
    return usable;
}

bool hki_rewind_end(hki_arena *arena) {
    hki_rewind *rewind = arena->rewind;
    if (rewind == NULL)
        return true;
    hki_lock_acquire(&hki_pool_lock);
    hki_pool_end(&arena->own_pool, renew_tables(rewind));
    arena->rewind = NULL;
    arena->pool = arena->heap.pool = arena->large.pool = &hki_shared_pool;
    bool usable = renew_slot(arena, &rewind->ranges[0]);
    if (rewind->way == HKI_REWIND_TRACKING)
        hki_tracker_leave();
    hki_lock_release(&hki_pool_lock);
    free_rewind(rewind);
    return usable;
}

/* ---- checkpoint ---- */

/* Any thread may ask for the head and the state of a segment. */
static void copy_segment(hki_segment *to, const hki_segment *from) {
    to->bucket = from->bucket;
    to->free_units = from->free_units;
    to->clean_units = from->clean_units;
    to->stale_units = from->stale_units;
    to->next = from->next;
    to->previous = from->previous;
    atomic_store_explicit(&to->head, atomic_load_explicit(&from->head, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&to->state, atomic_load_explicit(&from->state, memory_order_relaxed), memory_order_relaxed);
}

static void save_segments(hki_rewind *rewind, const hki_pool *pool) {
    hki_lock_acquire(&hki_pool_lock);
    for (size_t i = 0; i < pool->reached; i++)
        copy_segment(&rewind->segments[i], &hki_registry.segments[pool->start + i]);
    hki_lock_release(&hki_pool_lock);
}

/* From now on writes are noticed. Where this is refused, pages count as written for ever, which is no more than
 * slow. */
static void protect(const hki_rewind *rewind, const hki_os_tracker *tracker) {
    for (int i = 0; i < HKI_RANGES; i++)
        if (tracker != NULL && rewind->ranges[i].based > 0)
            (void)hki_os_protect(tracker, rewind->ranges[i].start, rewind->ranges[i].based);
}

static bool tracking_checkpoint(hki_rewind *rewind, size_t reached) {
    if (rewind->image == NULL)
        rewind->image = map_memory(rewind->image_bytes);
    if (rewind->image == NULL)
        return false;
    const hki_os_tracker *tracker = hki_tracker_of(rewind);
    for (int i = 0; i < HKI_RANGES; i++) {
        hki_range *range = &rewind->ranges[i];
        range->based = hki_range_used(range, reached);
        hki_range_save(rewind, range, tracker, range->based);
    }
    protect(rewind, tracker);
    return true;
}

hk_status hki_rewind_checkpoint(hki_arena *arena) {
    hki_rewind *rewind = arena->rewind;
    if (rewind == NULL)
        return HK_ERR_UNSUPPORTED;
    if (!hki_rewind_enter(arena))
        return HK_ERR_BUSY;
    size_t reached = arena->own_pool.reached;
    bool tracking = rewind->way == HKI_REWIND_TRACKING;
    bool done = tracking ? tracking_checkpoint(rewind, reached) : hki_file_checkpoint(rewind, reached);
    if (done) {
        save_segments(rewind, &arena->own_pool);
        rewind->has_base = true;
    }
    hki_rewind_leave(arena);
    return done ? HK_OK : HK_ERR_NO_MEMORY;
}

/* ---- rollback ---- */

/* The records lie among those of other arenas. The pool itself is back already; segments that it has reached since are
 * spare again. */
static void restore_segments(const hki_rewind *rewind, const hki_pool *pool, size_t was_reached) {
    hki_segment *segments = &hki_registry.segments[pool->start];
    hki_lock_acquire(&hki_pool_lock);
    for (size_t i = 0; i < pool->reached; i++)
        copy_segment(&segments[i], &rewind->segments[i]);
    for (size_t i = pool->reached; i < was_reached; i++) {
        segments[i].free_units = segments[i].clean_units = segments[i].stale_units = 0;
        segments[i].next = segments[i].previous = 0;
        hki_segments_set_state(pool->start + (uint32_t)i, 0, 1, HKI_SEGMENT_SPARE);
    }
    hki_lock_release(&hki_pool_lock);
}

/* Pages that were written to once stay unprotected and are looked at in each rollback, since the next request is likely
 * to write to them again, and looking costs less than the fault. When most looks are for nothing, all are protected
 * anew. */
static bool is_worth_protecting(const hki_rewind_counts *counts) {
    enum { LOOKS_PER_FAULT = 4, LOOKS_FREE = 64 };
    return counts->unchanged > counts->changed * LOOKS_PER_FAULT + LOOKS_FREE;
}

static void roll_back(hki_arena *arena, hki_rewind *rewind) {
    const hki_os_tracker *tracker = rewind->way == HKI_REWIND_TRACKING ? hki_tracker_of(rewind) : NULL;
    size_t reached = arena->own_pool.reached; /* the arena's own records are in the first range */
    hki_rewind_counts counts = {0};
    for (int i = 0; i < HKI_RANGES; i++) {
        const hki_range *range = &rewind->ranges[i];
        hki_range_restore(rewind, range, tracker, hki_range_used(range, reached), &counts);
    }
    restore_segments(rewind, &arena->own_pool, reached);
    if (is_worth_protecting(&counts))
        protect(rewind, tracker);
}

hk_status hki_rewind_rollback(hki_arena *arena) {
    hki_rewind *rewind = arena->rewind;
    if (rewind == NULL)
        return HK_ERR_UNSUPPORTED;
    if (!hki_rewind_enter(arena))
        return HK_ERR_BUSY;
    bool can = rewind->has_base;
    if (can)
        roll_back(arena, rewind);
    hki_rewind_leave(arena);
    return can ? HK_OK : HK_ERR_INVALID_ARGUMENT;
}
