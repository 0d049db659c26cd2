/* check_fixture: an arena with everything in it, and corruptions of its books that can be undone. */
#ifndef HAKMEM_CHECK_FIXTURE_H
#define HAKMEM_CHECK_FIXTURE_H

#include "unit_test.h"

enum { CLASS = HKI_CLASS_64, BLOCKS = 300, LINES = 20, MORE = 0x40 };

/* The arena under test, and what lies in it. */
static hk_arena *handle;
static hki_arena *arena;
static hki_heap *heap;
static hki_heap *other_heap;   /* of another arena */
static uintptr_t live;         /* a block of CLASS in a run with parked ones */
static uintptr_t parked;       /* another one of that run */
static uintptr_t in_short_run; /* a block of 48 bytes in a run of one line, which wastes some */
static uintptr_t of_lines;     /* a block of LINES lines */
static uintptr_t full;         /* one that fills its unit */
static uintptr_t large;        /* two blocks of units, in segments of their own */
static uintptr_t larger;
static uintptr_t huge;
static uintptr_t foreign; /* a block of the other heap */

/* ---- an arena with everything in it ---- */

static inline uintptr_t alloc_in(hk_arena *in, size_t size) {
    void *block = hk_arena_alloc(in, size);
    cr_assert_not_null(block);
    return hki_granule_of(block);
}

/* Half of the blocks are freed, alternately: more than the stack of the class holds. */
static inline void fill_class(void) {
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        cr_assert_not_null(blocks[i] = hk_arena_alloc(handle, hki_classes[CLASS].size));
    for (int i = 0; i < BLOCKS; i += 2)
        cr_assert_eq(hk_arena_free(handle, blocks[i]), HK_OK);
    live = hki_granule_of(blocks[1]);
    uint32_t line = hki_run_at(hki_granule_line(live));
    for (size_t word = (size_t)line * HKI_WORDS_PER_LINE; parked == 0; word++)
        if (hki_registry.parked[word] != 0)
            parked = word * 64 + hki_lowest_bit(hki_registry.parked[word]);
    cr_assert_eq(hki_run_at(hki_granule_line(parked)), line);
}

static inline void make_arena_of(uint32_t flags) {
    live = parked = 0;
    hk_purge(); /* what an arena before this one left */
    handle = make_arena(flags, 16, 0);
    arena = hki_arena_find(handle);
    full = alloc_in(handle, HKI_UNIT_SIZE); /* and the arena is not young any more: each class has its own runs */
    fill_class();
    heap = hki_thread_heap(arena);
    in_short_run = alloc_in(handle, 48);
    of_lines = alloc_in(handle, (size_t)LINES * HKI_LINE_SIZE);
    large = alloc_in(handle, (size_t)3 << 20);
    larger = alloc_in(handle, (size_t)3 << 20);
    huge = alloc_in(handle, (size_t)9 << 20);
    hk_arena *other = make_arena(flags, 16, 0);
    foreign = alloc_in(other, hki_classes[CLASS].size);
    other_heap = hki_thread_heap(hki_arena_find(other));
}

/* ---- what is where ---- */

static inline uint32_t first_line_of(uintptr_t granule) {
    return hki_run_at(hki_granule_line(granule));
}

static inline hki_run *run_of(uintptr_t granule) {
    return hki_run_record(first_line_of(granule));
}

static inline hki_segment *segment_of(uintptr_t granule) {
    return &hki_registry.segments[hki_unit_number(hki_granule_unit(granule)) / HKI_UNITS_PER_SEGMENT];
}

static inline uint64_t *parked_word(uintptr_t granule) {
    return &hki_registry.parked[granule >> 6];
}

static inline hki_class_books *books(void) {
    return &heap->books[CLASS];
}

/* The block on top of the stack of CLASS, and where it stands there. */
static inline uintptr_t *top(void) {
    cr_assert_geq(hki_heap_stacked(heap, CLASS), 2);
    return atomic_load(&heap->top[CLASS]);
}

static inline uint64_t free_lines(void) {
    return atomic_load(&hki_granule_unit(of_lines)->free_lines);
}

/* The first granule of a free line in the unit of `of_lines`. */
static inline uintptr_t free_line(void) {
    cr_assert_neq(free_lines(), 0);
    return hki_unit_granule(hki_unit_number(hki_granule_unit(of_lines))) +
           hki_lowest_bit(free_lines()) * (uintptr_t)HKI_GRANULES_PER_LINE;
}

static inline uint64_t lowest(uint64_t word) {
    return word & (~word + 1);
}

/* ---- corruptions that can be undone ---- */

static struct {
    void *at;
    size_t size;
    uint64_t before;
} changes[8];
static size_t change_count;

static inline void set_bytes(void *at, size_t size, uint64_t value) {
    cr_assert_lt(change_count, LENGTH_OF(changes));
    changes[change_count].at = at;
    changes[change_count].size = size;
    memcpy(&changes[change_count++].before, at, size);
    memcpy(at, &value, size);
}

static inline void undo(void) {
    while (change_count > 0) {
        change_count--;
        memcpy(changes[change_count].at, &changes[change_count].before, changes[change_count].size);
    }
}

/* Numbers of any width, on a little-endian machine. */
#define SET(variable, value) set_bytes(&(variable), sizeof(variable), (uint64_t)(value))
#define ADD(variable, number) SET(variable, (uint64_t)(variable) + (uint64_t)(number))

static inline void flip(void *word, uintptr_t granule) {
    uint64_t value;
    memcpy(&value, word, sizeof value);
    set_bytes(word, sizeof value, value ^ hki_granule_mask(granule));
}

static inline void flip_live(uintptr_t granule) {
    flip(hki_live_word(granule), granule);
}

static inline void flip_remote(uintptr_t granule) {
    flip(hki_remote_word(granule), granule);
}

static inline void flip_parked(uintptr_t granule) {
    flip(parked_word(granule), granule);
}

typedef struct corruption {
    const char *complaint;
    void (*corrupt)(void);
} corruption;

static inline void assert_complaint(const corruption *of) {
    const void *where;
    capture errors;
    assert_sound(arena);
    cr_assert_eq(hk_arena_check(handle), HK_OK);
    of->corrupt();
    cr_assert_gt(change_count, 0);
    const char *wrong = hki_arena_check(arena, &where);
    cr_assert_not_null(wrong, "%s", of->complaint);
    cr_assert_str_eq(wrong, of->complaint);
    capture_begin(&errors);
    hk_status status = hk_arena_check(handle);
    const char *text = capture_end(&errors);
    cr_assert_eq(status, HK_ERR_CORRUPT);
    cr_assert_eq(hk_last_status(), HK_ERR_CORRUPT);
    cr_assert_not_null(strstr(text, of->complaint));
    undo();
    assert_sound(arena);
}

/* In an arena whose heap is inside it, and in one whose heaps are on its list. */
static inline void assert_complaints(const corruption *cases, size_t count) {
    const uint32_t flags[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0};
    for (size_t k = 0; k < LENGTH_OF(flags); k++) {
        make_arena_of(flags[k]);
        for (size_t i = 0; i < count; i++)
            assert_complaint(&cases[i]);
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    }
}

#define ASSERT_COMPLAINTS(cases) assert_complaints(cases, LENGTH_OF(cases))

#endif
