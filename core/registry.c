/* registry: see registry.h. Everything here but the hot tables themselves is guarded by hki_pool_lock, slots by
 * hki_arenas_lock; the start is single-threaded. */
#include "registry.h"

#include "lock.h"
#include "os.h"

_Alignas(64) hki_registry_tables hki_registry;
hki_slots hki_arena_slots;
hki_slots hki_heap_slots;

enum {
    LARGEST_WINDOW_SHIFT = 40,
    SMALLEST_WINDOW_SHIFT = 27,
    GUARD_SIZE = 1 << 20,     /* around each table: no write beyond a table is silent; */
    GUARD_SIZE_MIN = 1 << 16, /* where address space is short */
    SEGMENTS_PER_COMMIT = 16, /* tables are made writable for so many segments at a time */
};

/* A table and how many of its bytes belong to one segment. */
typedef struct table {
    char *start;
    size_t bytes_per_segment;
} table;

enum { TABLE_LIVE, TABLE_REMOTE, TABLE_PARKED, TABLE_LINE_TAGS, TABLE_UNITS, TABLE_RUNS, TABLE_SEGMENTS, TABLES };
_Static_assert((int)TABLE_SEGMENTS == (int)HKI_SEGMENT_TABLES, "the last one has no pages for each segment");

static table tables[TABLES] = {
    [TABLE_LIVE] = {NULL, HKI_SEGMENT_SIZE / HKI_GRANULE_SIZE / 64 * sizeof(uint64_t)},
    [TABLE_REMOTE] = {NULL, HKI_SEGMENT_SIZE / HKI_GRANULE_SIZE / 64 * sizeof(uint64_t)},
    [TABLE_PARKED] = {NULL, HKI_SEGMENT_SIZE / HKI_GRANULE_SIZE / 64 * sizeof(uint64_t)},
    [TABLE_LINE_TAGS] = {NULL, HKI_SEGMENT_SIZE / HKI_LINE_SIZE * sizeof(uint32_t)},
    [TABLE_UNITS] = {NULL, HKI_UNITS_PER_SEGMENT * sizeof(hki_unit)},
    [TABLE_RUNS] = {NULL, HKI_SEGMENT_SIZE / HKI_LINE_SIZE * sizeof(hki_run)},
    [TABLE_SEGMENTS] = {NULL, sizeof(hki_segment)},
};

static size_t segment_count;       /* of the window */
static size_t writable;            /* tables are writable for the segments [0, writable) */
static bool window_is_reserved;    /* else segments are mapped where nothing else is */
static uint32_t lowest_unused = 1; /* no segment below is HKI_SEGMENT_UNUSED */
static _Atomic uint32_t segments_end = 1;

static size_t round_to_page(size_t size) {
    return hki_align_up(size, hki_os_page_size());
}

/* ---- start ---- */

/* Lays all tables and slots out from address `start`. Returns the bytes needed, which do not depend on it. */
static size_t lay_out(uintptr_t start, size_t segments, size_t guard) {
    size_t at = guard;
    size_t slots = hki_min(segments, HKI_SLOTS_MAX);
    for (int i = 0; i < TABLES; i++) {
        tables[i].start = (char *)(start + at);
        at += round_to_page(tables[i].bytes_per_segment * segments) + guard;
    }
    at = hki_align_up(at, HKI_SLOT_SIZE);
    hki_arena_slots.base = (char *)(start + at);
    at += slots * HKI_SLOT_SIZE + guard;
    hki_heap_slots.base = (char *)(start + at);
    hki_arena_slots.count = hki_heap_slots.count = slots;
    return at + slots * HKI_SLOT_SIZE + guard;
}

/* With a limit on address space a window that is only reserved would use it up. So its place is only chosen: below the
 * tables, where the system puts its next mappings too, but twice as large as the limit and filled from the far end. */
static bool reserve(size_t window, bool reserved) {
    size_t segments = window >> HKI_SEGMENT_SHIFT;
    size_t guard = reserved ? GUARD_SIZE : GUARD_SIZE_MIN;
    size_t bytes = round_to_page(lay_out(0, segments, guard));
    char *start = hki_os_reserve(bytes, HKI_SEGMENT_SIZE);
    if (start == NULL)
        return false;
    lay_out((uintptr_t)start, segments, guard);
    char *base = NULL;
    if (hki_os_make_readable(start, bytes)) { /* guards as well, which so are no mappings of their own */
        if (reserved)
            base = hki_os_reserve(window, HKI_SEGMENT_SIZE);
        else if ((uintptr_t)start > window * 2)
            base = start - window;
    }
    if (base == NULL) {
        hki_os_unmap(start, bytes);
        return false;
    }
    atomic_store_explicit(&hki_registry.base, (uintptr_t)base, memory_order_relaxed);
    segment_count = segments;
    window_is_reserved = reserved;
    return true;
}

static bool reserve_largest(void) {
    size_t limit = hki_os_address_space_limit();
    if (limit < (size_t)1 << LARGEST_WINDOW_SHIFT) {
        size_t window = (size_t)1 << SMALLEST_WINDOW_SHIFT;
        while (window < 2 * limit)
            window *= 2;
        return reserve(window, false);
    }
    for (unsigned shift = LARGEST_WINDOW_SHIFT; shift >= SMALLEST_WINDOW_SHIFT; shift -= 2)
        if (reserve((size_t)1 << shift, true))
            return true;
    return false;
}

bool hki_registry_start(void) {
    if (segment_count == 0 && !reserve_largest())
        return false;
    hki_registry.live = (_Atomic uint64_t *)(void *)tables[TABLE_LIVE].start;
    hki_registry.remote = (_Atomic uint64_t *)(void *)tables[TABLE_REMOTE].start;
    hki_registry.parked = (uint64_t *)(void *)tables[TABLE_PARKED].start;
    hki_registry.line_tags = (_Atomic uint32_t *)(void *)tables[TABLE_LINE_TAGS].start;
    hki_registry.units = (hki_unit *)(void *)tables[TABLE_UNITS].start;
    hki_registry.runs = (hki_run *)(void *)tables[TABLE_RUNS].start;
    hki_registry.segments = (hki_segment *)(void *)tables[TABLE_SEGMENTS].start;
    atomic_store_explicit(&hki_arena_slots.bytes, hki_arena_slots.count * HKI_SLOT_SIZE, memory_order_release);
    atomic_store_explicit(&hki_heap_slots.bytes, hki_heap_slots.count * HKI_SLOT_SIZE, memory_order_release);
    atomic_store_explicit(&hki_registry.granules, segment_count << (HKI_SEGMENT_SHIFT - HKI_GRANULE_SHIFT),
                          memory_order_release);
    return true;
}

void *hki_slot_take(hki_slots *slots) {
    HKI_ASSERT(hki_lock_is_held(&hki_arenas_lock));
    if (slots->used == slots->count)
        return NULL;
    char *slot = slots->base + slots->used * HKI_SLOT_SIZE;
    if (!hki_os_commit(slot, HKI_SLOT_SIZE))
        return NULL;
    slots->used++;
    return slot;
}

/* ---- segments ---- */

static char *segment_address(size_t segment) {
    return (char *)hki_window_base() + (segment << HKI_SEGMENT_SHIFT);
}

static hki_segment_state state_of(size_t segment) {
    return atomic_load_explicit(&hki_registry.segments[segment].state, memory_order_relaxed);
}

/* Makes the tables writable for the segments below `end`. */
static bool make_writable(size_t end) {
    if (end <= writable)
        return true;
    end = hki_min(hki_align_up(end, SEGMENTS_PER_COMMIT), segment_count);
    for (int i = 0; i < TABLES; i++) {
        size_t from = tables[i].bytes_per_segment * writable & ~(hki_os_page_size() - 1);
        size_t to = round_to_page(tables[i].bytes_per_segment * end);
        if (!hki_os_commit(tables[i].start + from, to - from))
            return false;
    }
    writable = end;
    return true;
}

/* Once private, or shared, is so for life: a thread that freed a block of a shared pool may look at its unit a long
 * time after. */
static bool is_unused(size_t segment, bool is_private) {
    return state_of(segment) == HKI_SEGMENT_UNUSED &&
           (hki_registry.segments[segment].is_private == is_private || segment >= hki_segments_end());
}

/* The lowest row of `count` unused segments; 0 if there is none. */
static uint32_t find_unused(size_t count, size_t alignment, bool is_private) {
    while (lowest_unused < segment_count && state_of(lowest_unused) != HKI_SEGMENT_UNUSED)
        lowest_unused++;
    size_t base = hki_window_base() >> HKI_SEGMENT_SHIFT;
    size_t first = lowest_unused;
    for (;;) {
        first = hki_align_up(base + first, alignment) - base;
        if (count > segment_count || first > segment_count - count)
            return 0;
        size_t fit = 0;
        while (fit < count && is_unused(first + fit, is_private))
            fit++;
        if (fit == count)
            return (uint32_t)first;
        first += fit + 1;
    }
}

void hki_segments_set_state(uint32_t first, size_t from, size_t count, hki_segment_state state) {
    for (size_t i = from; i < count; i++) {
        hki_segment *segment = &hki_registry.segments[first + i];
        bool tail = state == HKI_SEGMENT_HUGE && i > 0;
        atomic_store_explicit(&segment->head, tail ? first : 0, memory_order_relaxed);
        atomic_store_explicit(&segment->state, (uint8_t)(tail ? HKI_SEGMENT_HUGE_TAIL : state), memory_order_relaxed);
    }
    if (state == HKI_SEGMENT_UNUSED && first < lowest_unused)
        lowest_unused = first;
    if (first + count > atomic_load_explicit(&segments_end, memory_order_relaxed))
        atomic_store_explicit(&segments_end, (uint32_t)(first + count), memory_order_relaxed);
}

/* Maps [from, end) one by one. What someone else has mapped there is lost to us: *retry is set. */
static bool map_unreserved(size_t from, size_t end, bool *retry) {
    for (size_t i = from; i < end; i++) {
        bool occupied;
        if (hki_os_map_at(segment_address(i), HKI_SEGMENT_SIZE, &occupied))
            continue;
        if (occupied)
            hki_segments_set_state((uint32_t)i, 0, 1, HKI_SEGMENT_LOST);
        *retry = occupied;
        if (i > from)
            hki_os_unmap(segment_address(from), (i - from) << HKI_SEGMENT_SHIFT);
        return false;
    }
    return true;
}

static bool map_segments(size_t first, size_t count, bool *retry) {
    *retry = false;
    if (!make_writable(first + count))
        return false;
    if (window_is_reserved)
        return hki_os_commit(segment_address(first), count << HKI_SEGMENT_SHIFT);
    return map_unreserved(first, first + count, retry);
}

uint32_t hki_segments_take(size_t count, size_t alignment, hki_segment_state state) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    uint32_t first;
    bool retry, is_private = state == HKI_SEGMENT_SPARE;
    do {
        first = find_unused(count, alignment, is_private);
        if (first == 0)
            return 0;
        if (map_segments(first, count, &retry)) {
            hki_segments_set_state(first, 0, count, state);
            for (size_t i = 0; i < count; i++)
                hki_registry.segments[first + i].is_private = is_private;
            return first;
        }
    } while (retry);
    return 0;
}

bool hki_segments_extend(uint32_t first, size_t count, size_t more) {
    size_t end = first + count;
    if (more > segment_count - end)
        return false;
    for (size_t i = 0; i < more; i++)
        if (!is_unused(end + i, false))
            return false;
    bool retry;
    if (!map_segments(end, more, &retry))
        return false;
    hki_segments_set_state(first, count, count + more, HKI_SEGMENT_HUGE);
    return true;
}

/* Of each page of a table that holds whole units, all units must be free. That pages are given back is a courtesy, so
 * refusal is fine. The units' own records stay: one that went back to the pool may still be looked at. */
static void purge_table(const table *table, uint32_t segment, uint64_t free_units) {
    size_t page = hki_os_page_size();
    size_t per_unit = table->bytes_per_segment / HKI_UNITS_PER_SEGMENT;
    if (table->bytes_per_segment % page != 0)
        return;
    size_t units = hki_max(page / per_unit, 1);
    char *start = table->start + table->bytes_per_segment * segment;
    for (size_t first = 0; first < HKI_UNITS_PER_SEGMENT; first += units) {
        size_t count = 0;
        while (first + count < HKI_UNITS_PER_SEGMENT &&
               (~free_units & hki_bit_range((unsigned)(first + count), (unsigned)units)) == 0)
            count += units;
        if (count > 0)
            hki_os_purge(start + first * per_unit, count * per_unit);
        first += count;
    }
}

void hki_tables_find(uint32_t first, hki_table_part parts[HKI_SEGMENT_TABLES]) {
    for (int i = 0; i < HKI_SEGMENT_TABLES; i++) {
        size_t bytes = tables[i].bytes_per_segment;
        parts[i] = (hki_table_part){tables[i].start + bytes * first, bytes};
    }
}

void hki_tables_purge(uint32_t segment, uint64_t free_units) {
    for (int i = 0; i < TABLES; i++)
        if (i != TABLE_UNITS && i != TABLE_SEGMENTS)
            purge_table(&tables[i], segment, free_units);
}

bool hki_segments_give(uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    if (window_is_reserved) {
        if (!hki_os_decommit(segment_address(first), count << HKI_SEGMENT_SHIFT))
            return false;
    } else {
        hki_os_unmap(segment_address(first), count << HKI_SEGMENT_SHIFT);
    }
    if (state_of(first) != HKI_SEGMENT_HUGE_TAIL)
        hki_tables_purge(first, ~UINT64_C(0));
    hki_segments_set_state(first, 0, count, HKI_SEGMENT_UNUSED);
    return true;
}

uint32_t hki_segments_move(uint32_t first, size_t count, size_t new_count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    if (!window_is_reserved)
        return 0;
    uint32_t to = find_unused(new_count, 1, false);
    if (to == 0 || !make_writable(to + new_count))
        return 0;
    if (!hki_os_move(segment_address(first), count << HKI_SEGMENT_SHIFT, segment_address(to),
                     new_count << HKI_SEGMENT_SHIFT))
        return 0;
    bool still_ours = hki_os_reserve_at(segment_address(first), count << HKI_SEGMENT_SHIFT);
    hki_segments_set_state(to, 0, new_count, HKI_SEGMENT_HUGE);
    for (size_t i = 0; i < count; i++)
        hki_segments_set_state(first + (uint32_t)i, 0, 1, still_ours ? HKI_SEGMENT_UNUSED : HKI_SEGMENT_LOST);
    return to;
}

bool hki_segments_are_scarce(void) {
    return !window_is_reserved;
}

uint32_t hki_segments_end(void) {
    return atomic_load_explicit(&segments_end, memory_order_relaxed);
}
