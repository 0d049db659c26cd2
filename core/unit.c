/* unit: see unit.h. */
#include "unit.h"

#include "lock.h"
#include "options.h"
#include "os.h"

enum {
    SEGMENTS_TRIED = 16, /* how many of a bucket the shared pool searches for a row before it goes on */
    /* A huge block that is freed keeps its pages for hki_purge_delay_ms, for the next one or for units, as long as free
     * pages are not more than so many segments (64 MiB): there may be no later call that gives them back. */
    HUGE_SEGMENTS_KEPT = 16,
    /* Of memory that is in use all the time some is free at any moment. As long as that is one unit in so many, it
     * stays for so many times hki_purge_delay_ms: most of it will be in use again by then. */
    LITTLE_IS_ONE_IN = 16,
    PATIENCE = 8,
    ALL_UNITS = HKI_UNITS_PER_SEGMENT,
};

hki_pool hki_shared_pool;

static hki_segment *segment_at(uint32_t segment) {
    return &hki_registry.segments[segment];
}

/* Of a word that is not 0: each step keeps the bits that begin a row twice as long. */
static unsigned bucket_of(uint64_t free_units) {
    unsigned bucket = 0;
    while (bucket < HKI_BUCKET_FREE && (free_units &= free_units >> (1U << bucket)) != 0)
        bucket++;
    return bucket;
}

static void list_add(hki_pool *pool, uint32_t number) {
    hki_segment *segment = segment_at(number);
    segment->bucket = (uint8_t)bucket_of(segment->free_units);
    uint32_t *first = &pool->first_segments[segment->bucket];
    segment->previous = 0;
    segment->next = *first;
    if (segment->next != 0)
        segment_at(segment->next)->previous = number;
    *first = number;
}

static void list_remove(hki_pool *pool, uint32_t number) {
    hki_segment *segment = segment_at(number);
    if (segment->previous != 0)
        segment_at(segment->previous)->next = segment->next;
    else
        pool->first_segments[segment->bucket] = segment->next;
    if (segment->next != 0)
        segment_at(segment->next)->previous = segment->previous;
}

/* Changes which units of a segment are free. */
static void set_free_units(hki_pool *pool, uint32_t number, uint64_t free_units) {
    hki_segment *segment = segment_at(number);
    bool was_listed = segment->free_units != 0;
    segment->free_units = free_units;
    if (was_listed && free_units != 0 && bucket_of(free_units) == segment->bucket)
        return;
    if (was_listed)
        list_remove(pool, number);
    if (free_units != 0)
        list_add(pool, number);
}

static hki_segment_state state_of(uint32_t segment) {
    return atomic_load_explicit(&segment_at(segment)->state, memory_order_relaxed);
}

/* The lowest segment of a private pool that was never used, made one of units; 0 if there is none left. */
static uint32_t take_spare(hki_pool *pool) {
    for (uint32_t number = pool->start; number < pool->start + pool->count; number++) {
        if (state_of(number) != HKI_SEGMENT_SPARE)
            continue;
        hki_segments_set_state(number, 0, 1, HKI_SEGMENT_UNITS);
        pool->reached = (uint32_t)hki_max(pool->reached, number + 1 - pool->start);
        return number;
    }
    return 0;
}

static bool add_segment(hki_pool *pool) {
    uint32_t number = pool->is_private ? take_spare(pool) : hki_segments_take(1, 1, HKI_SEGMENT_UNITS);
    if (number == 0)
        return false;
    hki_segment *segment = segment_at(number);
    segment->free_units = segment->clean_units = ~UINT64_C(0);
    segment->stale_units = 0;
    list_add(pool, number);
    return true;
}

/* ---- purging ---- */

/* Unmaps a segment without a used unit, if the OS lets us. */
static bool give_segment(hki_pool *pool, uint32_t number) {
    size_t dirty = hki_count_bits(~segment_at(number)->clean_units);
    list_remove(pool, number);
    if (!hki_segments_give(number, 1)) {
        list_add(pool, number);
        return false;
    }
    pool->dirty_units -= dirty;
    return true;
}

/* Gives back the pages of the units in `units`, row by row, and those of the tables that only free units use. */
static void purge_units(hki_pool *pool, uint32_t number, uint64_t units) {
    hki_segment *segment = segment_at(number);
    while (units != 0) {
        unsigned first, count = hki_take_row(&units, &first);
        char *start = hki_granule_address(hki_unit_granule(number * ALL_UNITS + first));
        if (hki_os_purge(start, (size_t)count << HKI_UNIT_SHIFT)) {
            segment->clean_units |= hki_bit_range(first, count);
            pool->dirty_units -= count;
        }
    }
    hki_tables_purge(number, segment->free_units & segment->clean_units);
}

/* What was free at the last purge already, or all that is free, loses its pages. */
static void purge_segment(hki_pool *pool, uint32_t number, bool all) {
    hki_segment *segment = segment_at(number);
    uint64_t dirty = segment->free_units & ~segment->clean_units;
    uint64_t units = all ? dirty : segment->stale_units;
    if (segment->free_units == ~UINT64_C(0) && units == dirty && give_segment(pool, number))
        return;
    if (units != 0)
        purge_units(pool, number, units);
    segment->stale_units = segment->free_units & ~segment->clean_units;
}

static void purge(hki_pool *pool, bool all) {
    for (unsigned bucket = 0; bucket < HKI_POOL_BUCKETS; bucket++)
        for (uint32_t next, number = pool->first_segments[bucket]; number != 0; number = next) {
            next = segment_at(number)->next;
            purge_segment(pool, number, all);
        }
}

void hki_units_purge(hki_pool *pool) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    purge(pool, true);
}

void hki_units_purge_if_due(hki_pool *pool) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    unsigned delay = atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed);
    if (pool->is_private || pool->dirty_units == 0)
        return;
    bool is_little = pool->dirty_units <= pool->used_units / LITTLE_IS_ONE_IN;
    uint64_t now = hki_os_milliseconds();
    if (now - pool->last_purge < (uint64_t)delay * (is_little ? PATIENCE : 1))
        return;
    pool->last_purge = now;
    purge(pool, delay == 0);
}

/* ---- take and give ---- */

/* Marks the units [first, first + count) of a segment as used. Returns whether they were all clean. */
static bool use_units(hki_pool *pool, uint32_t number, unsigned first, unsigned count) {
    hki_segment *segment = segment_at(number);
    uint64_t mask = hki_bit_range(first, count);
    uint64_t clean = segment->clean_units & mask;
    HKI_ASSERT((segment->free_units & mask) == mask);
    set_free_units(pool, number, segment->free_units & ~mask);
    segment->clean_units &= ~mask;
    segment->stale_units &= ~mask;
    pool->dirty_units -= count - hki_count_bits(clean);
    pool->used_units += count;
    return clean == mask;
}

static void set_owner(uint32_t unit, uintptr_t owner, hki_unit_kind kind) {
    atomic_store_explicit(&hki_registry.units[unit].kind, (uint8_t)kind, memory_order_relaxed);
    atomic_store_explicit(&hki_registry.units[unit].owner, owner, memory_order_release); /* pairs with remote frees */
}

static void set_tails(uint32_t head, size_t from, size_t count) {
    for (size_t i = from; i < count; i++) {
        set_owner(head + (uint32_t)i, 0, HKI_UNIT_LARGE_TAIL);
        atomic_store_explicit(&hki_registry.units[head + i].head, head, memory_order_relaxed);
    }
}

typedef struct place {
    uint32_t segment; /* 0: nowhere */
    int first;
} place;

static place find_in_bucket(uint32_t number, const hki_units_wanted *wanted, bool dirty, unsigned segments) {
    for (unsigned tried = 0; number != 0 && tried < segments; tried++) {
        const hki_segment *segment = segment_at(number);
        uint64_t units = segment->free_units & ~(dirty ? segment->clean_units : 0);
        int first = hki_find_row(units, (unsigned)wanted->count, (unsigned)wanted->alignment);
        if (first >= 0)
            return (place){number, first};
        number = segment->next;
    }
    return (place){0, 0};
}

static place find_row(const hki_pool *pool, const hki_units_wanted *wanted, bool dirty, unsigned segments) {
    place found = {0, 0};
    for (unsigned bucket = hki_highest_bit(wanted->count); found.segment == 0 && bucket < HKI_POOL_BUCKETS; bucket++)
        found = find_in_bucket(pool->first_segments[bucket], wanted, dirty, segments);
    return found;
}

/* Units with pages come first. All segments are looked through only where there is no new one to be had. */
static place find_units(hki_pool *pool, const hki_units_wanted *wanted) {
    unsigned segments = pool->is_private ? UINT_MAX : SEGMENTS_TRIED;
    place found = find_row(pool, wanted, true, segments);
    if (found.segment == 0)
        found = find_row(pool, wanted, false, segments);
    if (found.segment == 0 && add_segment(pool))
        found.segment = pool->first_segments[HKI_BUCKET_FREE];
    return found.segment != 0 ? found : find_row(pool, wanted, false, UINT_MAX);
}

uint32_t hki_units_take(hki_pool *pool, const hki_units_wanted *wanted, bool *clean) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    HKI_ASSERT(wanted->count <= ALL_UNITS && wanted->alignment <= ALL_UNITS);
    hki_units_purge_if_due(pool);
    place found = find_units(pool, wanted);
    if (found.segment == 0)
        return 0;
    *clean = use_units(pool, found.segment, (unsigned)found.first, (unsigned)wanted->count);
    uint32_t unit = found.segment * ALL_UNITS + (uint32_t)found.first;
    set_owner(unit, wanted->owner, wanted->kind);
    set_tails(unit, 1, wanted->count);
    return unit;
}

bool hki_units_extend(hki_pool *pool, uint32_t first, size_t count, size_t more) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    unsigned end = (unsigned)(first % ALL_UNITS + count);
    if (end + more > ALL_UNITS)
        return false;
    uint64_t mask = hki_bit_range(end, (unsigned)more);
    if ((segment_at(first / ALL_UNITS)->free_units & mask) != mask)
        return false;
    use_units(pool, first / ALL_UNITS, end, (unsigned)more);
    set_tails(first, count, count + more);
    return true;
}

void hki_units_give(hki_pool *pool, uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    for (size_t i = 0; i < count; i++)
        set_owner(first + (uint32_t)i, 0, HKI_UNIT_FREE);
    uint64_t mask = hki_bit_range(first % ALL_UNITS, (unsigned)count);
    set_free_units(pool, first / ALL_UNITS, segment_at(first / ALL_UNITS)->free_units | mask);
    pool->dirty_units += count;
    pool->used_units -= count;
}

void hki_units_adopt(hki_pool *pool, uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    for (uint32_t number = first; number < first + count; number++) {
        hki_segment *segment = segment_at(number);
        segment->free_units = ~UINT64_C(0);
        segment->clean_units = segment->stale_units = 0;
        atomic_store_explicit(&segment->state, HKI_SEGMENT_UNITS, memory_order_relaxed);
        list_add(pool, number);
        pool->dirty_units += ALL_UNITS;
    }
}

/* ---- segments in a row ---- */

static bool is_free_segment(const hki_pool *pool, uint32_t number) {
    bool belongs = pool->is_private ? number >= pool->start && number < pool->start + pool->count
                                    : number < hki_segments_end() && !segment_at(number)->is_private;
    if (!belongs)
        return false;
    hki_segment_state state = state_of(number);
    return state == HKI_SEGMENT_SPARE || (state == HKI_SEGMENT_UNITS && segment_at(number)->free_units == ~UINT64_C(0));
}

static bool are_free_segments(const hki_pool *pool, uint32_t first, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!is_free_segment(pool, first + (uint32_t)i))
            return false;
    return true;
}

/* Makes free segments of a pool part of the huge block at `first`. Returns whether they all read as zeros. */
static bool use_segments(hki_pool *pool, uint32_t first, size_t from, size_t count) {
    bool clean = true;
    for (uint32_t number = first + (uint32_t)from; number < first + count; number++) {
        hki_segment *segment = segment_at(number);
        if (state_of(number) == HKI_SEGMENT_SPARE)
            continue;
        list_remove(pool, number);
        clean &= segment->clean_units == ~UINT64_C(0);
        pool->dirty_units -= hki_count_bits(~segment->clean_units);
        segment->free_units = segment->clean_units = segment->stale_units = 0;
    }
    hki_segments_set_state(first, from, count, HKI_SEGMENT_HUGE);
    if (pool->is_private)
        pool->reached = (uint32_t)hki_max(pool->reached, first + count - pool->start);
    return clean;
}

/* A row of free segments that have pages already; 0 if there is none among the first few. */
static uint32_t find_free_segments(const hki_pool *pool, size_t count, size_t alignment) {
    size_t base = hki_window_base() >> HKI_SEGMENT_SHIFT;
    uint32_t number = pool->first_segments[HKI_BUCKET_FREE];
    for (unsigned tried = 0; number != 0 && tried < SEGMENTS_TRIED; tried++) {
        if ((base + number) % alignment == 0 && are_free_segments(pool, number, count))
            return number;
        number = segment_at(number)->next;
    }
    return 0;
}

/* Gives back up to `count` free segments, so that as many new ones do not come on top of them. */
static void make_up_for(hki_pool *pool, size_t count) {
    uint32_t number;
    while (count > 0 && (number = pool->first_segments[HKI_BUCKET_FREE]) != 0 && give_segment(pool, number))
        count--;
}

static uint32_t take_from_shared(hki_pool *pool, size_t count, size_t alignment, bool *clean) {
    hki_units_purge_if_due(pool);
    uint32_t first = find_free_segments(pool, count, alignment);
    if (first != 0) {
        *clean = use_segments(pool, first, 0, count);
        return first;
    }
    make_up_for(pool, count);
    first = hki_segments_take(count, alignment, HKI_SEGMENT_HUGE);
    if (first != 0)
        return first;
    hki_units_purge(pool); /* address space may be short, and free segments take some of it */
    return hki_segments_take(count, alignment, HKI_SEGMENT_HUGE);
}

uint32_t hki_pool_take_segments(hki_pool *pool, size_t count, size_t alignment, bool *clean) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    *clean = true;
    if (!pool->is_private)
        return take_from_shared(pool, count, alignment, clean);
    size_t base = hki_window_base() >> HKI_SEGMENT_SHIFT;
    size_t first = hki_align_up(base + pool->start, alignment) - base;
    for (; first - pool->start < pool->count && count <= pool->count; first += alignment) {
        if (!are_free_segments(pool, (uint32_t)first, count))
            continue;
        *clean = use_segments(pool, (uint32_t)first, 0, count);
        return (uint32_t)first;
    }
    return 0;
}

bool hki_pool_extend_segments(hki_pool *pool, uint32_t first, size_t count, size_t more) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    if (!pool->is_private) {
        for (size_t i = 0; i < more && is_free_segment(pool, first + (uint32_t)(count + i)); i++)
            give_segment(pool, first + (uint32_t)(count + i));
        return hki_segments_extend(first, count, more);
    }
    if (more > pool->count || !are_free_segments(pool, first + (uint32_t)count, more))
        return false;
    use_segments(pool, first, count, count + more);
    return true;
}

/* Where address space is short, other callers of the system may need it. */
static bool may_keep(const hki_pool *pool, size_t count) {
    return atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed) != 0 && !hki_segments_are_scarce() &&
           pool->dirty_units / ALL_UNITS + count <= HUGE_SEGMENTS_KEPT;
}

void hki_pool_give_segments(hki_pool *pool, uint32_t first, size_t count, bool keep) {
    if (pool->is_private || (keep && may_keep(pool, count)) || !hki_segments_give(first, count))
        hki_units_adopt(pool, first, count);
    hki_units_purge_if_due(pool);
}

bool hki_pool_create(hki_pool *pool, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    uint32_t first = hki_segments_take(count, 1, HKI_SEGMENT_SPARE);
    if (first == 0)
        return false;
    *pool = (hki_pool){.is_private = true, .start = first, .count = (uint32_t)count};
    return true;
}

void hki_pool_end(hki_pool *pool, bool usable) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock) && pool->is_private && pool->used_units == 0);
    for (uint32_t number = pool->start; number < pool->start + pool->count; number++) {
        hki_segment *segment = segment_at(number);
        segment->free_units = segment->clean_units = segment->stale_units = 0;
    }
    if (!hki_segments_give(pool->start, pool->count) || !usable)
        for (uint32_t i = 0; i < pool->count; i++)
            hki_segments_set_state(pool->start + i, 0, 1, HKI_SEGMENT_LOST);
    *pool = (hki_pool){0};
}

/* ---- check ---- */

const char *hki_units_check(const hki_pool *pool) {
    size_t dirty = 0, used = 0, listed = 0, with_room = 0, misplaced = 0;
    uint32_t start = pool->is_private ? pool->start : 1;
    uint32_t end = pool->is_private ? pool->start + pool->count : hki_segments_end();
    for (uint32_t i = start; i < end; i++) {
        const hki_segment *segment = segment_at(i);
        if (segment->is_private != pool->is_private)
            continue;
        if (pool->is_private && i >= start + pool->reached && state_of(i) != HKI_SEGMENT_SPARE)
            return "a segment beyond those that a private pool has reached is in use";
        if (state_of(i) != HKI_SEGMENT_UNITS)
            continue;
        if ((segment->clean_units & ~segment->free_units) != 0)
            return "a unit in use is marked clean";
        if ((segment->stale_units & (~segment->free_units | segment->clean_units)) != 0)
            return "a unit in use or clean is marked stale";
        dirty += hki_count_bits(segment->free_units & ~segment->clean_units);
        used += ALL_UNITS - hki_count_bits(segment->free_units);
        with_room += segment->free_units != 0;
    }
    for (unsigned bucket = 0; bucket < HKI_POOL_BUCKETS; bucket++)
        for (uint32_t i = pool->first_segments[bucket]; i != 0 && listed <= with_room; i = segment_at(i)->next) {
            listed++;
            misplaced += segment_at(i)->bucket != bucket || bucket_of(segment_at(i)->free_units) != bucket;
        }
    if (dirty != pool->dirty_units)
        return "the number of dirty units is wrong";
    if (used != pool->used_units)
        return "the number of used units is wrong";
    if (listed != with_room)
        return "the buckets of segments with free units are wrong";
    return misplaced == 0 ? NULL : "a segment is in the wrong bucket";
}
