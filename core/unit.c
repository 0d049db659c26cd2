/* unit: see unit.h. */
#include "unit.h"

#include "lock.h"
#include "os.h"

enum {
    DIRTY_UNITS_MIN = 128, /* free units that keep their pages, besides as many as are in use: 8 MiB */
    SEGMENTS_TRIED = 64,   /* how many are searched for units in a row before a new one is taken */
    ALL_UNITS = HKI_UNITS_PER_SEGMENT,
};

static uint32_t first_segment; /* of the list of segments with free units */
static size_t dirty_units;
static size_t used_units;

static hki_segment *segment_at(uint32_t segment) {
    return &hki_registry.segments[segment];
}

static void list_add(uint32_t number) {
    hki_segment *segment = segment_at(number);
    segment->previous = 0;
    segment->next = first_segment;
    if (first_segment != 0)
        segment_at(first_segment)->previous = number;
    first_segment = number;
}

static void list_remove(uint32_t number) {
    hki_segment *segment = segment_at(number);
    if (segment->previous != 0)
        segment_at(segment->previous)->next = segment->next;
    else
        first_segment = segment->next;
    if (segment->next != 0)
        segment_at(segment->next)->previous = segment->previous;
}

static bool add_segment(void) {
    uint32_t number = hki_segments_take(1, 1, HKI_SEGMENT_UNITS);
    if (number == 0)
        return false;
    hki_segment *segment = segment_at(number);
    segment->free_units = segment->clean_units = ~UINT64_C(0);
    list_add(number);
    return true;
}

/* Marks the units [first, first + count) of a segment as used. Returns whether they were all clean. */
static bool use_units(uint32_t number, unsigned first, unsigned count) {
    hki_segment *segment = segment_at(number);
    uint64_t mask = hki_bit_range(first, count);
    uint64_t clean = segment->clean_units & mask;
    HKI_ASSERT((segment->free_units & mask) == mask);
    segment->free_units &= ~mask;
    segment->clean_units &= ~mask;
    dirty_units -= count - hki_count_bits(clean);
    used_units += count;
    if (segment->free_units == 0)
        list_remove(number);
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

static place find_row(size_t count, size_t alignment, bool dirty) {
    uint32_t number = first_segment;
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

/* Units with pages come first, unless the block is to have room to grow. */
static place find_units(const hki_units_wanted *wanted) {
    place found = {0, 0};
    if (wanted->room > wanted->count)
        found = find_row(hki_min(wanted->room, ALL_UNITS), wanted->alignment, false);
    else
        found = find_row(wanted->count, wanted->alignment, true);
    if (found.segment == 0)
        found = find_row(wanted->count, wanted->alignment, false);
    if (found.segment == 0 && add_segment())
        found.segment = first_segment;
    return found;
}

uint32_t hki_units_take(const hki_units_wanted *wanted, bool *clean) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    HKI_ASSERT(wanted->count <= ALL_UNITS && wanted->alignment <= ALL_UNITS);
    place found = find_units(wanted);
    if (found.segment == 0)
        return 0;
    *clean = use_units(found.segment, (unsigned)found.first, (unsigned)wanted->count);
    uint32_t unit = found.segment * ALL_UNITS + (uint32_t)found.first;
    set_owner(unit, wanted->owner, wanted->kind);
    set_tails(unit, 1, wanted->count);
    return unit;
}

bool hki_units_extend(uint32_t first, size_t count, size_t more) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    unsigned end = (unsigned)(first % ALL_UNITS + count);
    if (end + more > ALL_UNITS)
        return false;
    uint64_t mask = hki_bit_range(end, (unsigned)more);
    if ((segment_at(first / ALL_UNITS)->free_units & mask) != mask)
        return false;
    use_units(first / ALL_UNITS, end, (unsigned)more);
    set_tails(first, count, count + more);
    return true;
}

bool hki_units_make_huge(uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    uint32_t number = first / ALL_UNITS;
    hki_segment *segment = segment_at(number);
    uint64_t others = count == ALL_UNITS ? 0 : ~hki_bit_range(0, (unsigned)count);
    if (first % ALL_UNITS != 0 || segment->free_units != others)
        return false;
    if (others != 0)
        list_remove(number);
    dirty_units -= hki_count_bits(others & ~segment->clean_units);
    used_units -= count;
    segment->free_units = segment->clean_units = 0;
    for (uint32_t i = 1; i < ALL_UNITS; i++)
        set_owner(first + i, 0, HKI_UNIT_FREE);
    atomic_store_explicit(&hki_registry.units[first].kind, HKI_UNIT_HUGE, memory_order_relaxed);
    atomic_store_explicit(&segment->state, HKI_SEGMENT_HUGE, memory_order_relaxed);
    return true;
}

static size_t dirty_bound(void) {
    return DIRTY_UNITS_MIN + used_units;
}

/* Unmaps a segment without a used unit, if the OS lets us. */
static void give_segment(uint32_t number) {
    hki_segment *segment = segment_at(number);
    size_t dirty = hki_count_bits(~segment->clean_units);
    list_remove(number);
    if (!hki_segments_give(number, 1)) {
        list_add(number);
        return;
    }
    dirty_units -= dirty;
}

static void purge_segment(uint32_t number) {
    hki_segment *segment = segment_at(number);
    uint64_t dirty = segment->free_units & ~segment->clean_units;
    while (dirty != 0) {
        unsigned first = hki_lowest_bit(dirty);
        uint64_t rest = ~(dirty >> first);
        unsigned count = rest == 0 ? ALL_UNITS : hki_lowest_bit(rest);
        uint64_t mask = hki_bit_range(first, count);
        dirty &= ~mask;
        char *start = hki_granule_address(hki_unit_granule(number * ALL_UNITS + first));
        if (hki_os_purge(start, (size_t)count << HKI_UNIT_SHIFT)) {
            segment->clean_units |= mask;
            dirty_units -= count;
        }
    }
}

/* Brings the dirty units down to half of what is allowed: whole segments first, then pages. */
static void purge(void) {
    size_t goal = dirty_bound() / 2;
    uint32_t next;
    for (uint32_t number = first_segment; number != 0 && dirty_units > goal; number = next) {
        next = segment_at(number)->next;
        if (segment_at(number)->free_units == ~UINT64_C(0))
            give_segment(number);
    }
    for (uint32_t number = first_segment; number != 0 && dirty_units > goal; number = segment_at(number)->next)
        purge_segment(number);
}

void hki_units_give(uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    for (size_t i = 0; i < count; i++)
        set_owner(first + (uint32_t)i, 0, HKI_UNIT_FREE);
    uint32_t number = first / ALL_UNITS;
    hki_segment *segment = segment_at(number);
    if (segment->free_units == 0)
        list_add(number);
    segment->free_units |= hki_bit_range(first % ALL_UNITS, (unsigned)count);
    dirty_units += count;
    used_units -= count;
    if (dirty_units > dirty_bound())
        purge();
}

void hki_units_adopt(uint32_t first, size_t count) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    for (uint32_t number = first; number < first + count; number++) {
        hki_segment *segment = segment_at(number);
        segment->free_units = ~UINT64_C(0);
        segment->clean_units = 0;
        atomic_store_explicit(&segment->state, HKI_SEGMENT_UNITS, memory_order_relaxed);
        list_add(number);
        dirty_units += ALL_UNITS;
    }
}

const char *hki_units_check(void) {
    size_t dirty = 0, used = 0, listed = 0, with_room = 0;
    for (uint32_t i = 1; i < hki_segments_end(); i++) {
        const hki_segment *segment = segment_at(i);
        if (atomic_load_explicit(&segment->state, memory_order_relaxed) != HKI_SEGMENT_UNITS)
            continue;
        if ((segment->clean_units & ~segment->free_units) != 0)
            return "a unit in use is marked clean";
        dirty += hki_count_bits(segment->free_units & ~segment->clean_units);
        used += ALL_UNITS - hki_count_bits(segment->free_units);
        with_room += segment->free_units != 0;
    }
    for (uint32_t i = first_segment; i != 0 && listed <= with_room; i = segment_at(i)->next)
        listed++;
    if (dirty != dirty_units)
        return "the number of dirty units is wrong";
    if (used != used_units)
        return "the number of used units is wrong";
    return listed == with_room ? NULL : "the list of segments with free units is wrong";
}
