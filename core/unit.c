/* unit: see unit.h. */
#include "unit.h"

#include "lock.h"
#include "options.h"
#include "os.h"

enum {
    SEGMENTS_TRIED = 64, /* how many the shared pool searches for units in a row before it takes a new one */
    ALL_UNITS = HKI_UNITS_PER_SEGMENT,
};

hki_pool hki_shared_pool;

static hki_segment *segment_at(uint32_t segment) {
    return &hki_registry.segments[segment];
}

static void list_add(hki_pool *pool, uint32_t number) {
    hki_segment *segment = segment_at(number);
    segment->previous = 0;
    segment->next = pool->first_segment;
    if (segment->next != 0)
        segment_at(segment->next)->previous = number;
    pool->first_segment = number;
}

static void list_remove(hki_pool *pool, uint32_t number) {
    hki_segment *segment = segment_at(number);
    if (segment->previous != 0)
        segment_at(segment->previous)->next = segment->next;
    else
        pool->first_segment = segment->next;
    if (segment->next != 0)
        segment_at(segment->next)->previous = segment->previous;
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
static void purge(hki_pool *pool, bool all) {
    uint32_t next;
    for (uint32_t number = pool->first_segment; number != 0; number = next) {
        hki_segment *segment = segment_at(number);
        uint64_t dirty = segment->free_units & ~segment->clean_units;
        uint64_t units = all ? dirty : segment->stale_units;
        next = segment->next;
        if (segment->free_units == ~UINT64_C(0) && units == dirty && give_segment(pool, number))
            continue;
        if (units != 0)
            purge_units(pool, number, units);
        segment->stale_units = segment->free_units & ~segment->clean_units;
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
    uint64_t now = hki_os_milliseconds();
    if (now - pool->last_purge < delay)
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
    segment->free_units &= ~mask;
    segment->clean_units &= ~mask;
    segment->stale_units &= ~mask;
    pool->dirty_units -= count - hki_count_bits(clean);
    pool->used_units += count;
    if (segment->free_units == 0)
        list_remove(pool, number);
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

static place find_row(const hki_pool *pool, const hki_units_wanted *wanted, bool dirty, unsigned segments) {
    uint32_t number = pool->first_segment;
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

/* Units with pages come first. All segments are looked through only where there is no new one to be had. */
static place find_units(hki_pool *pool, const hki_units_wanted *wanted) {
    unsigned segments = pool->is_private ? UINT_MAX : SEGMENTS_TRIED;
    place found = find_row(pool, wanted, true, segments);
    if (found.segment == 0)
        found = find_row(pool, wanted, false, segments);
    if (found.segment == 0 && add_segment(pool))
        found.segment = pool->first_segment;
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
    uint32_t number = first / ALL_UNITS;
    hki_segment *segment = segment_at(number);
    if (segment->free_units == 0)
        list_add(pool, number);
    segment->free_units |= hki_bit_range(first % ALL_UNITS, (unsigned)count);
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
    if (number < pool->start || number >= pool->start + pool->count)
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

/* Makes free segments of a private pool part of the huge block at `first`. Returns whether they all read as zeros. */
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
    pool->reached = (uint32_t)hki_max(pool->reached, first + count - pool->start);
    return clean;
}

uint32_t hki_pool_take_segments(hki_pool *pool, size_t count, size_t alignment, bool *clean) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    *clean = true;
    if (!pool->is_private) {
        uint32_t taken = hki_segments_take(count, alignment, HKI_SEGMENT_HUGE);
        if (taken != 0 || pool->first_segment == 0)
            return taken;
        hki_units_purge(pool); /* address space may be short, and free segments take some of it */
        return hki_segments_take(count, alignment, HKI_SEGMENT_HUGE);
    }
    size_t base = hki_registry.base >> HKI_SEGMENT_SHIFT;
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
    if (!pool->is_private)
        return hki_segments_extend(first, count, more);
    if (more > pool->count || !are_free_segments(pool, first + (uint32_t)count, more))
        return false;
    use_segments(pool, first, count, count + more);
    return true;
}

void hki_pool_give_segments(hki_pool *pool, uint32_t first, size_t count) {
    if (pool->is_private || !hki_segments_give(first, count))
        hki_units_adopt(pool, first, count);
}

bool hki_pool_create(hki_pool *pool, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    uint32_t first = hki_segments_take(count, 1, HKI_SEGMENT_SPARE);
    if (first == 0)
        return false;
    for (size_t i = 0; i < count; i++)
        segment_at(first + (uint32_t)i)->is_private = true;
    *pool = (hki_pool){.is_private = true, .start = first, .count = (uint32_t)count};
    return true;
}

void hki_pool_end(hki_pool *pool, bool usable) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock) && pool->is_private && pool->used_units == 0);
    for (uint32_t number = pool->start; number < pool->start + pool->count; number++) {
        hki_segment *segment = segment_at(number);
        segment->free_units = segment->clean_units = segment->stale_units = 0;
        segment->is_private = false;
    }
    bool given = hki_segments_give(pool->start, pool->count);
    if (!usable)
        for (uint32_t i = 0; i < pool->count; i++)
            hki_segments_set_state(pool->start + i, 0, 1, HKI_SEGMENT_LOST);
    else if (!given)
        hki_units_adopt(&hki_shared_pool, pool->start, pool->count);
    *pool = (hki_pool){0};
}

/* ---- check ---- */

const char *hki_units_check(const hki_pool *pool) {
    size_t dirty = 0, used = 0, listed = 0, with_room = 0;
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
    for (uint32_t i = pool->first_segment; i != 0 && listed <= with_room; i = segment_at(i)->next)
        listed++;
    if (dirty != pool->dirty_units)
        return "the number of dirty units is wrong";
    if (used != pool->used_units)
        return "the number of used units is wrong";
    return listed == with_room ? NULL : "the list of segments with free units is wrong";
}
