/* unit: see unit.h. */
#include "unit.h"

#include "lock.h"
#include "options.h"
#include "os.h"

enum {
    SEGMENTS_TRIED = 64, /* how many are searched for units in a row before a new one is taken */
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

static bool add_segment(hki_pool *pool) {
    uint32_t number = pool->is_private ? 0 : hki_segments_take(1, 1, HKI_SEGMENT_UNITS);
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
        if (!pool->is_private && segment->free_units == ~UINT64_C(0) && units == dirty && give_segment(pool, number))
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

static place find_row(const hki_pool *pool, size_t count, size_t alignment, bool dirty) {
    uint32_t number = pool->first_segment;
    for (int tried = 0; number != 0 && tried < SEGMENTS_TRIED; tried++) {
        const hki_segment *segment = segment_at(number);
        uint64_t units = segment->free_units & ~(dirty ? segment->clean_units : 0);
        int first = hki_find_row(units, (unsigned)count, (unsigned)alignment);
        if (first >= 0)
            return (place){number, first};
        number = segment->next;
    }
    return (place){0, 0};
}

/* Units with pages come first. */
static place find_units(hki_pool *pool, const hki_units_wanted *wanted) {
    place found = find_row(pool, wanted->count, wanted->alignment, true);
    if (found.segment == 0)
        found = find_row(pool, wanted->count, wanted->alignment, false);
    if (found.segment == 0 && add_segment(pool))
        found.segment = pool->first_segment;
    return found;
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

const char *hki_units_check(void) {
    size_t dirty = 0, used = 0, listed = 0, with_room = 0;
    for (uint32_t i = 1; i < hki_segments_end(); i++) {
        const hki_segment *segment = segment_at(i);
        if (atomic_load_explicit(&segment->state, memory_order_relaxed) != HKI_SEGMENT_UNITS ||
            segment->is_private)
            continue;
        if ((segment->clean_units & ~segment->free_units) != 0)
            return "a unit in use is marked clean";
        if ((segment->stale_units & (~segment->free_units | segment->clean_units)) != 0)
            return "a unit in use or clean is marked stale";
        dirty += hki_count_bits(segment->free_units & ~segment->clean_units);
        used += ALL_UNITS - hki_count_bits(segment->free_units);
        with_room += segment->free_units != 0;
    }
    for (uint32_t i = hki_shared_pool.first_segment; i != 0 && listed <= with_room; i = segment_at(i)->next)
        listed++;
    if (dirty != hki_shared_pool.dirty_units)
        return "the number of dirty units is wrong";
    if (used != hki_shared_pool.used_units)
        return "the number of used units is wrong";
    return listed == with_room ? NULL : "the list of segments with free units is wrong";
}
