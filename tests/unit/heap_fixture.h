/* heap_fixture: heaps that no arena owns, and what may be asked of them. */
#ifndef HAKMEM_HEAP_FIXTURE_H
#define HAKMEM_HEAP_FIXTURE_H

#include "unit_test.h"

#include "heap_lines.h"

enum { FIXTURE_HEAPS = 4, FIXTURE_SLOTS = HKI_SLOT_SIZE / sizeof(uintptr_t) };

static hki_quota quota;
static hki_heap heaps[FIXTURE_HEAPS];
static uintptr_t stacks[FIXTURE_HEAPS][FIXTURE_SLOTS];

/* The first of the heaps is the one under test; the others are for what it should not touch. */
static hki_heap *const heap = &heaps[0];

static inline void start_heaps(void) {
    cr_assert(hki_registry_start());
    quota = (hki_quota){.limit_lines = HKI_NO_LIMIT};
    for (uint32_t i = 0; i < FIXTURE_HEAPS; i++) {
        hki_heap_init(&heaps[i], i + 1, stacks[i], stacks[i] + FIXTURE_SLOTS);
        hki_heap_start(&heaps[i], hki_class_table_8, &quota, &hki_shared_pool);
    }
}

static inline size_t held(void) {
    return atomic_load(&quota.held_lines);
}

static inline uint32_t units_of(const hki_heap *of) {
    return atomic_load(&of->units);
}

/* A live block, or 0. */
static inline uintptr_t alloc_from(hki_heap *from, unsigned size_class) {
    uintptr_t granule = hki_heap_pop(from, size_class);
    if (granule == 0 && hki_heap_refill(from, size_class) == HK_OK)
        granule = hki_heap_pop(from, size_class);
    return granule;
}

static inline uintptr_t alloc(unsigned size_class) {
    return alloc_from(heap, size_class);
}

static inline uintptr_t alloc_lines(unsigned lines) {
    bool clean;
    hk_status status;
    return hki_heap_alloc_lines(heap, lines, 1, &clean, &status);
}

static inline bool is_set(_Atomic uint64_t *word, uintptr_t granule) {
    return (atomic_load(word) & hki_granule_mask(granule)) != 0;
}

static inline bool is_live(uintptr_t granule) {
    return is_set(hki_live_word(granule), granule);
}

static inline bool is_remote(uintptr_t granule) {
    return is_set(hki_remote_word(granule), granule);
}

static inline bool is_marked(uintptr_t granule) {
    return (hki_granule_tag(granule) & HKI_TAG_REMOTE) != 0;
}

static inline const char *check_pool(void) {
    hki_lock_acquire(&hki_pool_lock);
    const char *wrong = hki_units_check(&hki_shared_pool);
    hki_lock_release(&hki_pool_lock);
    return wrong;
}

/* Nothing is left: no line, no unit, no bit. */
static inline void assert_nothing_left(void) {
    cr_assert_eq(held(), 0);
    cr_assert_null(check_pool());
    uint32_t end = hki_segments_end() * HKI_UNITS_PER_SEGMENT;
    for (uint32_t i = HKI_UNITS_PER_SEGMENT; i < end; i++)
        cr_assert_eq(atomic_load(&hki_registry.units[i].owner), 0);
    for (uintptr_t word = hki_unit_granule(HKI_UNITS_PER_SEGMENT) / 64; word < hki_unit_granule(end) / 64; word++) {
        cr_assert_eq(atomic_load(&hki_registry.live[word]), 0);
        cr_assert_eq(atomic_load(&hki_registry.remote[word]), 0);
        cr_assert_eq(hki_registry.parked[word], 0);
    }
}

#endif
