/* heap_lines: see heap_lines.h. */
#include "heap_lines.h"

#include "lock.h"

#include <string.h>

enum { UNITS_TRIED = 16 }; /* how many units are searched for free lines before a new one is taken */

/* ---- units ---- */

static void set_free_lines(hki_unit *unit, uint64_t lines) {
    atomic_store_explicit(&unit->free_lines, lines, memory_order_relaxed);
}

static void unit_list_add(hki_heap *heap, uint32_t number) {
    hki_unit *unit = hki_unit_at(number);
    unit->has_room = hki_unit_free_lines(unit) != 0;
    uint32_t *first = unit->has_room ? &heap->room : &heap->full;
    unit->previous = 0;
    unit->next = *first;
    if (*first != 0)
        hki_unit_at(*first)->previous = number;
    *first = number;
}

static void unit_list_remove(hki_heap *heap, uint32_t number) {
    hki_unit *unit = hki_unit_at(number);
    uint32_t *first = unit->has_room ? &heap->room : &heap->full;
    if (unit->previous != 0)
        hki_unit_at(unit->previous)->next = unit->next;
    else
        *first = unit->next;
    if (unit->next != 0)
        hki_unit_at(unit->next)->previous = unit->previous;
}

/* A new unit at the head of `room`. */
static bool add_unit(hki_heap *heap) {
    bool clean;
    const hki_units_wanted wanted = {.count = 1, .alignment = 1, .owner = (uintptr_t)heap, .kind = HKI_UNIT_RUNS};
    hki_lock_acquire(&hki_pool_lock);
    uint32_t number = hki_units_take(heap->pool, &wanted, &clean);
    hki_lock_release(&hki_pool_lock);
    if (number == 0)
        return false;
    hki_unit *unit = hki_unit_at(number);
    set_free_lines(unit, HKI_ALL_LINES);
    unit->clean_lines = clean ? HKI_ALL_LINES : 0;
    unit->stale_pages = 0;
    atomic_store_explicit(&unit->run_starts, 0, memory_order_relaxed);
    unit_list_add(heap, number);
    hki_count_add(&heap->units, 1);
    return true;
}

/* The store and the load pair with the fetch_or and the load in notify(): one of the two sides sees the other. */
void hki_heap_give_unit(hki_heap *heap, uint32_t number) {
    hki_unit *unit = hki_unit_at(number);
    hki_lock_acquire(&hki_pool_lock);
    atomic_store_explicit(&unit->owner, 0, memory_order_seq_cst);
    bool noticed = atomic_load_explicit(&unit->remote_lines, memory_order_seq_cst) != 0;
    if (noticed) {
        atomic_store_explicit(&unit->owner, (uintptr_t)heap, memory_order_seq_cst);
    } else {
        unit_list_remove(heap, number);
        hki_units_give(heap->pool, number, 1);
        hki_units_purge_if_due(heap->pool);
        hki_count_sub(&heap->units, 1);
    }
    hki_lock_release(&hki_pool_lock);
}

void hki_heap_unit_is_empty(hki_heap *heap, uint32_t number) {
    if (number == heap->spare || hki_unit_is_collecting(hki_unit_at(number)))
        return;
    if (heap->spare == 0)
        heap->spare = number;
    else
        hki_heap_give_unit(heap, number);
}

static void clear_run(uint32_t first_line) {
    const hki_run *run = hki_run_record(first_line);
    size_t words = (size_t)hki_run_lines(run) * HKI_WORDS_PER_LINE;
    _Atomic uint64_t *live = &hki_registry.live[(size_t)first_line * HKI_WORDS_PER_LINE];
    for (_Atomic uint64_t *end = live + words; live < end; live += HKI_WORDS_PER_LINE)
        for (int i = 0; i < HKI_WORDS_PER_LINE; i++)
            atomic_store_explicit(&live[i], 0, memory_order_relaxed);
    if (run->parked > 0)
        memset(&hki_registry.parked[(size_t)first_line * HKI_WORDS_PER_LINE], 0, words * sizeof *hki_registry.parked);
}

/* The pages of remote bits have no memory where nobody ever freed remotely. */
static void clear_remote(uint32_t number, uint64_t lines) {
    for (; lines != 0; lines &= lines - 1) {
        size_t word = ((size_t)number * HKI_LINES_PER_UNIT + hki_lowest_bit(lines)) * HKI_WORDS_PER_LINE;
        for (unsigned i = 0; i < HKI_WORDS_PER_LINE; i++)
            atomic_store_explicit(&hki_registry.remote[word + i], 0, memory_order_relaxed);
    }
}

/* Clears what is known of a unit's blocks. Returns the lines that were in use. */
static unsigned clear_unit(hki_unit *unit) {
    uint32_t number = hki_unit_number(unit);
    for (uint64_t runs = atomic_load_explicit(&unit->run_starts, memory_order_relaxed); runs != 0; runs &= runs - 1)
        clear_run(number * HKI_LINES_PER_UNIT + hki_lowest_bit(runs));
    if (atomic_load_explicit(&unit->remote_lines, memory_order_relaxed) != 0)
        clear_remote(number, hki_unit_marked_lines(number));
    atomic_store_explicit(&unit->run_starts, 0, memory_order_relaxed);
    return hki_count_bits(~hki_unit_free_lines(unit));
}

uint64_t hki_heap_new_life(void) {
    static _Atomic uint32_t lives;
    return (uint64_t)(atomic_fetch_add_explicit(&lives, 1, memory_order_relaxed) + 1) << 32;
}

/* The units on the pending list are not awaited any more. One whose notice is still on its way keeps its remote_lines,
 * also in the pool and under its next owner: the thread that brings it finds whom to tell, if anyone. */
static void end_life(hki_heap *heap) {
    uint64_t pending = atomic_exchange_explicit(&heap->pending, hki_heap_new_life(), memory_order_acq_rel);
    for (uint32_t number = hki_pending_unit(pending); number != 0;) {
        hki_unit *unit = hki_unit_at(number);
        number = unit->pending_next; /* before others may push the unit again */
        atomic_store_explicit(&unit->remote_lines, 0, memory_order_seq_cst);
    }
}

size_t hki_heap_clear_units(hki_heap *heap, unsigned keep) {
    uint32_t lists[2] = {heap->room, heap->full};
    size_t lines = 0;
    uint32_t kept = 0;
    heap->room = heap->full = heap->spare = 0;
    hki_lock_acquire(&hki_pool_lock);
    for (int i = 0; i < 2; i++)
        for (uint32_t next, number = lists[i]; number != 0; number = next) {
            hki_unit *unit = hki_unit_at(number);
            next = unit->next;
            lines += clear_unit(unit);
            if (kept < keep) {
                set_free_lines(unit, HKI_ALL_LINES);
                unit_list_add(heap, number);
                kept++;
            } else {
                hki_units_give(heap->pool, number, 1);
            }
        }
    end_life(heap);                     /* after the units' owners have changed; nobody can take them yet */
    hki_units_purge_if_due(heap->pool); /* what was free before; these units wait */
    hki_lock_release(&hki_pool_lock);
    atomic_store_explicit(&heap->units, kept, memory_order_relaxed);
    return lines;
}

/* ---- lines ---- */

static uint32_t find_lines(const hki_heap *heap, unsigned lines, unsigned alignment) {
    uint32_t number = heap->room;
    for (int tried = 0; number != 0 && tried < UNITS_TRIED; tried++) {
        int first = hki_find_row(hki_unit_free_lines(hki_unit_at(number)), lines, alignment);
        if (first >= 0)
            return number * HKI_LINES_PER_UNIT + (uint32_t)first;
        number = hki_unit_at(number)->next;
    }
    return 0;
}

bool hki_heap_use_lines(hki_heap *heap, uint32_t first_line, unsigned lines) {
    hki_unit *unit = hki_line_unit(first_line);
    uint32_t number = hki_unit_number(unit);
    uint64_t mask = hki_run_mask(first_line, lines);
    uint64_t rest = hki_unit_free_lines(unit) & ~mask;
    bool clean = (unit->clean_lines & mask) == mask;
    if (number == heap->spare)
        heap->spare = 0;
    if (rest == 0) {
        unit_list_remove(heap, number);
        set_free_lines(unit, 0);
        unit_list_add(heap, number);
    } else {
        set_free_lines(unit, rest);
    }
    return clean;
}

void hki_heap_give_lines(hki_heap *heap, uint32_t first_line, unsigned lines) {
    hki_unit *unit = hki_line_unit(first_line);
    uint32_t number = hki_unit_number(unit);
    HKI_ASSERT((hki_unit_free_lines(unit) & hki_run_mask(first_line, lines)) == 0);
    unit_list_remove(heap, number);
    set_free_lines(unit, hki_unit_free_lines(unit) | hki_run_mask(first_line, lines));
    unit_list_add(heap, number);
    hki_quota_give(heap->quota, lines);
    if (hki_unit_free_lines(unit) == HKI_ALL_LINES)
        hki_heap_unit_is_empty(heap, number);
}

hk_status hki_heap_take_lines(hki_heap *heap, unsigned wanted, unsigned enough, unsigned alignment, hki_lines *lines) {
    lines->count = wanted;
    if (!hki_quota_take(heap->quota, wanted)) {
        lines->count = enough;
        if (enough == wanted || !hki_quota_take(heap->quota, enough))
            return HK_ERR_LIMIT;
    }
    lines->first = find_lines(heap, lines->count, alignment);
    if (lines->first == 0 && enough < lines->count) {
        lines->first = find_lines(heap, enough, alignment);
        if (lines->first != 0) {
            hki_quota_give(heap->quota, lines->count - enough);
            lines->count = enough;
        }
    }
    if (lines->first == 0) {
        if (!add_unit(heap)) {
            hki_quota_give(heap->quota, lines->count);
            return hki_pool_failure(heap->pool);
        }
        lines->first = heap->room * HKI_LINES_PER_UNIT;
    }
    lines->clean = hki_heap_use_lines(heap, lines->first, lines->count);
    return HK_OK;
}
