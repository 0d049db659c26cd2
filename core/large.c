/* large: see large.h. */
#include "large.h"

#include "lock.h"
#include "os.h"
#include "size_class.h"

enum {
    LINES_PER_SEGMENT = HKI_SEGMENT_SIZE / HKI_LINE_SIZE,
    /* A block of so many lines that has grown gets segments of its own, where it can go on to grow without copying;
     * private pools have no segments to spare for that. */
    OWN_SEGMENT_LINES = 512,
};

static size_t units_of(size_t lines) {
    return hki_divide_up(lines, HKI_LINES_PER_UNIT);
}

static size_t segments_of(size_t lines) {
    return hki_divide_up(lines, LINES_PER_SEGMENT);
}

static size_t length_of(const hki_unit *unit) {
    return atomic_load_explicit(&unit->lines, memory_order_relaxed);
}

static bool is_huge(const hki_unit *unit) {
    return atomic_load_explicit(&unit->kind, memory_order_relaxed) == HKI_UNIT_HUGE;
}

/* What the caller found without the lock may be another arena's by now. */
static bool is_live(const hki_large_list *list, uintptr_t granule) {
    uint64_t live = atomic_load_explicit(hki_live_word(granule), memory_order_relaxed);
    uintptr_t owner = atomic_load_explicit(&hki_granule_unit(granule)->owner, memory_order_relaxed);
    return (live & hki_granule_mask(granule)) != 0 && owner == list->owner;
}

size_t hki_large_units(size_t lines, bool huge) {
    return huge ? segments_of(lines) * HKI_UNITS_PER_SEGMENT : units_of(lines);
}

static void count(hki_large_list *list, const hki_unit *unit) {
    atomic_fetch_add_explicit(&list->blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&list->lines, length_of(unit), memory_order_relaxed);
    atomic_fetch_add_explicit(&list->units, hki_large_units(length_of(unit), is_huge(unit)), memory_order_relaxed);
}

static void uncount(hki_large_list *list, const hki_unit *unit) {
    atomic_fetch_sub_explicit(&list->blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&list->lines, length_of(unit), memory_order_relaxed);
    atomic_fetch_sub_explicit(&list->units, hki_large_units(length_of(unit), is_huge(unit)), memory_order_relaxed);
}

static void set_length(hki_large_list *list, hki_unit *unit, size_t lines) {
    uncount(list, unit);
    atomic_store_explicit(&unit->lines, (uint32_t)lines, memory_order_relaxed);
    count(list, unit);
}

static void list_add(hki_large_list *list, hki_unit *unit) {
    unit->previous = 0;
    unit->next = list->first;
    if (list->first != 0)
        hki_registry.units[list->first].previous = hki_unit_number(unit);
    list->first = hki_unit_number(unit);
    count(list, unit);
}

static void list_remove(hki_large_list *list, hki_unit *unit) {
    if (unit->previous != 0)
        hki_registry.units[unit->previous].next = unit->next;
    else
        list->first = unit->next;
    if (unit->next != 0)
        hki_registry.units[unit->next].previous = unit->previous;
    uncount(list, unit);
}

/* The pages behind the last line: a block keeps no memory that it does not hold, whether it has shrunk or
 * begun with segments that have pages. */
static void purge_tail(uint32_t segment, size_t lines, size_t old_lines) {
    uintptr_t start = hki_window_base() + ((uintptr_t)segment << HKI_SEGMENT_SHIFT);
    size_t end = segments_of(lines) << HKI_SEGMENT_SHIFT;
    uintptr_t from = hki_align_up(start + (lines << HKI_LINE_SHIFT), hki_os_page_size());
    size_t old_end = hki_min(end, old_lines << HKI_LINE_SHIFT);
    if (start + old_end > from)
        hki_os_purge((void *)from, hki_align_up(start + old_end - from, hki_os_page_size()));
}

static uint32_t take_huge(const hki_large_list *list, size_t lines, size_t alignment, bool *clean) {
    size_t align_segments = hki_max(alignment >> HKI_SEGMENT_SHIFT, 1);
    uint32_t segment = hki_pool_take_segments(list->pool, segments_of(lines), align_segments, clean);
    if (segment == 0)
        return 0;
    if (!*clean && !list->pool->is_private)
        purge_tail(segment, lines, segments_of(lines) * LINES_PER_SEGMENT);
    uint32_t number = segment * HKI_UNITS_PER_SEGMENT;
    hki_unit *unit = &hki_registry.units[number];
    unit->moved = false;
    atomic_store_explicit(&unit->kind, HKI_UNIT_HUGE, memory_order_relaxed);
    atomic_store_explicit(&unit->owner, list->owner, memory_order_release);
    return number;
}

static uintptr_t make_live(hki_large_list *list, uint32_t number, size_t lines) {
    hki_unit *unit = &hki_registry.units[number];
    atomic_store_explicit(&unit->lines, (uint32_t)lines, memory_order_relaxed);
    list_add(list, unit);
    hki_line_set_tag((size_t)number * HKI_LINES_PER_UNIT, HKI_CLASS_LARGE); /* of no heap */
    hki_live_set(hki_unit_granule(number));
    return hki_unit_granule(number);
}

static uint32_t take_units(const hki_large_list *list, const hki_large_wanted *wanted, bool *clean) {
    return hki_units_take(list->pool,
                          &(hki_units_wanted){.count = units_of(wanted->lines),
                                              .alignment = hki_max(wanted->alignment >> HKI_UNIT_SHIFT, 1),
                                              .owner = list->owner,
                                              .kind = HKI_UNIT_LARGE},
                          clean);
}

uintptr_t hki_large_take(hki_large_list *list, const hki_large_wanted *wanted, bool *clean) {
    uintptr_t granule = 0;
    uint32_t number;
    hki_lock_acquire(&hki_pool_lock);
    bool grows = wanted->grows && wanted->lines >= OWN_SEGMENT_LINES && !list->pool->is_private;
    if (grows || wanted->lines > LINES_PER_SEGMENT || wanted->alignment > HKI_SEGMENT_SIZE)
        number = take_huge(list, wanted->lines, wanted->alignment, clean);
    else
        number = take_units(list, wanted, clean);
    if (number != 0)
        granule = make_live(list, number, wanted->lines);
    hki_lock_release(&hki_pool_lock);
    return granule;
}

bool hki_large_claim(hki_large_list *list, uintptr_t granule) {
    uint64_t mask = hki_granule_mask(granule);
    hki_lock_acquire(&hki_pool_lock);
    bool claimed = is_live(list, granule) &&
                   (atomic_fetch_or_explicit(hki_remote_word(granule), mask, memory_order_relaxed) & mask) == 0;
    hki_lock_release(&hki_pool_lock);
    return claimed;
}

void hki_large_unclaim(uintptr_t granule) {
    atomic_fetch_and_explicit(hki_remote_word(granule), ~hki_granule_mask(granule), memory_order_relaxed);
}

/* The mappings of a block that was moved do not merge with others, so they go back. */
static size_t give(hki_large_list *list, uintptr_t granule) {
    hki_unit *unit = hki_granule_unit(granule);
    uint32_t number = hki_unit_number(unit);
    size_t lines = length_of(unit);
    list_remove(list, unit);
    hki_live_clear(granule);
    if (atomic_load_explicit(hki_remote_word(granule), memory_order_relaxed) != 0)
        hki_large_unclaim(granule);
    if (is_huge(unit)) {
        atomic_store_explicit(&unit->owner, 0, memory_order_relaxed);
        atomic_store_explicit(&unit->kind, HKI_UNIT_FREE, memory_order_relaxed);
        hki_pool_give_segments(list->pool, number / HKI_UNITS_PER_SEGMENT, segments_of(lines), !unit->moved);
    } else {
        hki_units_give(list->pool, number, units_of(lines));
    }
    return lines;
}

size_t hki_large_give(hki_large_list *list, uintptr_t granule) {
    hki_lock_acquire(&hki_pool_lock);
    size_t lines = is_live(list, granule) ? give(list, granule) : 0;
    hki_units_purge_if_due(list->pool);
    hki_lock_release(&hki_pool_lock);
    return lines;
}

size_t hki_large_give_all(hki_large_list *list) {
    size_t lines = 0;
    hki_lock_acquire(&hki_pool_lock);
    while (list->first != 0)
        lines += give(list, hki_unit_granule(list->first));
    hki_lock_release(&hki_pool_lock);
    return lines;
}

/* ---- resize ---- */

static bool resize_units(hki_large_list *list, hki_unit *unit, size_t lines) {
    uint32_t number = hki_unit_number(unit);
    size_t now = units_of(length_of(unit)), wanted = units_of(lines);
    if (wanted > now)
        return wanted <= HKI_UNITS_PER_SEGMENT && hki_units_extend(list->pool, number, now, wanted - now);
    if (wanted < now)
        hki_units_give(list->pool, number + (uint32_t)wanted, now - wanted);
    return true;
}

/* Moves the block's pages, and what is known of it, to another place. */
static hki_unit *move_huge(hki_large_list *list, hki_unit *unit, size_t now, size_t wanted) {
    uint32_t from = hki_unit_number(unit) / HKI_UNITS_PER_SEGMENT;
    uint32_t to = hki_segments_move(from, now, wanted);
    if (to == 0)
        return NULL;
    uintptr_t owner = atomic_load_explicit(&unit->owner, memory_order_relaxed);
    size_t lines = length_of(unit);
    list_remove(list, unit);
    hki_live_clear(hki_unit_granule(from * HKI_UNITS_PER_SEGMENT));
    atomic_store_explicit(&unit->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&unit->kind, HKI_UNIT_FREE, memory_order_relaxed);
    hki_unit *moved = &hki_registry.units[(size_t)to * HKI_UNITS_PER_SEGMENT];
    moved->moved = true;
    atomic_store_explicit(&moved->kind, HKI_UNIT_HUGE, memory_order_relaxed);
    atomic_store_explicit(&moved->owner, owner, memory_order_release);
    make_live(list, hki_unit_number(moved), lines);
    return moved;
}

/* A mapping that was moved once does not merge with a neighbour, and mremap wants a single one: so it is moved
 * always. */
static hki_unit *resize_huge(hki_large_list *list, hki_unit *unit, size_t lines) {
    uint32_t segment = hki_unit_number(unit) / HKI_UNITS_PER_SEGMENT;
    size_t now = segments_of(length_of(unit)), wanted = segments_of(lines);
    if (wanted > now) {
        if (!unit->moved && hki_pool_extend_segments(list->pool, segment, now, wanted - now))
            return unit;
        return list->pool->is_private ? NULL : move_huge(list, unit, now, wanted);
    }
    if (wanted < now)
        hki_pool_give_segments(list->pool, segment + (uint32_t)wanted, now - wanted, !unit->moved);
    if (lines < length_of(unit) && !list->pool->is_private)
        purge_tail(segment, lines, length_of(unit));
    return unit;
}

uintptr_t hki_large_resize(hki_large_list *list, uintptr_t granule, size_t lines) {
    hki_unit *unit = hki_granule_unit(granule);
    hki_lock_acquire(&hki_pool_lock);
    if (!is_live(list, granule))
        unit = NULL;
    else if (is_huge(unit))
        unit = resize_huge(list, unit, lines);
    else if (!resize_units(list, unit, lines))
        unit = NULL;
    if (unit != NULL)
        set_length(list, unit, lines);
    hki_lock_release(&hki_pool_lock);
    return unit == NULL ? 0 : hki_unit_granule(hki_unit_number(unit));
}
