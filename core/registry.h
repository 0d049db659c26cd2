/* registry: what lies at an address. It owns the window, the tables beside it, and the slots of arenas and heaps.
 *
 * All memory that hakmem gives out lies in one window of address space. Each table has one record for each granule
 * word, line, unit or segment of the window, so that an address becomes an index by one subtraction and one shift, and
 * one bound tells foreign addresses. Index 0 means "none" everywhere: segment 0 is never used.
 *
 * Before hki_registry_start the window has no granules, so every look-up misses; that is valid before any constructor
 * has run. The tables are readable for the whole window at all times; hki_segments_take makes them writable as far as
 * they are needed. */
#ifndef HKI_REGISTRY_H
#define HKI_REGISTRY_H

#include "metadata.h"

typedef struct hki_registry_tables {
    _Atomic uintptr_t base;      /* of the window; a multiple of the segment size. `granules` tells if it counts */
    _Atomic uintptr_t granules;  /* of the window; 0 before the start. Stored last, pairs with hki_granule_find */
    _Atomic uint64_t *live;      /* a word for 64 granules: where a live block starts */
    _Atomic uint32_t *line_tags; /* whose run a line belongs to, and its class: see HKI_TAG_SHIFT */
    _Atomic uint64_t *remote;    /* where a live block starts that another thread has freed */
    hki_unit *units;
    uint64_t *parked; /* where a block starts that is neither live nor on a stack; only the owner looks */
    hki_run *runs;
    hki_segment *segments;
} hki_registry_tables;
_Static_assert(offsetof(hki_registry_tables, segments) <= 64, "the hot state is one cache line");

HKI_DATA _Alignas(64) hki_registry_tables hki_registry;

/* Arena and heap slots: the stride, and where they are. A slot is never unmapped once it was committed, and slots that
 * were not read as zeros. */
enum { HKI_SLOT_SHIFT = 16, HKI_SLOT_SIZE = 1 << HKI_SLOT_SHIFT, HKI_SLOTS_MAX = 1 << 18 };

typedef struct hki_slots {
    char *base;           /* a multiple of the stride */
    _Atomic size_t bytes; /* of all slots; 0 before the start. Stored last, pairs with hki_slot_find */
    size_t count;
    size_t used; /* hki_arenas_lock: how many were ever committed, from the lowest up */
} hki_slots;

HKI_DATA hki_slots hki_arena_slots;
HKI_DATA hki_slots hki_heap_slots;

/* Reserves window, tables and slots. False if the OS refuses; it may be called again. The caller sees to it that one
 * thread at a time is inside. */
bool hki_registry_start(void);

/* The slot that an address lies in, which can be read; NULL if it lies in none. */
HKI_INLINE void *hki_slot_find(const hki_slots *slots, const void *address) {
    size_t bytes = atomic_load_explicit(&slots->bytes, memory_order_acquire);
    if ((uintptr_t)address - (uintptr_t)slots->base >= bytes)
        return NULL;
    return (void *)((uintptr_t)address & ~(uintptr_t)(HKI_SLOT_SIZE - 1));
}

HKI_INLINE uint32_t hki_slot_number(const hki_slots *slots, const void *slot) {
    return (uint32_t)(((uintptr_t)slot - (uintptr_t)slots->base) >> HKI_SLOT_SHIFT);
}

/* A slot that was never used before, zeroed; NULL if the OS refuses or none is left. hki_arenas_lock held. */
void *hki_slot_take(hki_slots *slots);

/* Takes `count` segments in a row, the first at an address that is a multiple of `alignment` segments, maps them, makes
 * their tables writable and notes what they are for: HKI_SEGMENT_UNITS, or HKI_SEGMENT_HUGE for the first and
 * _HUGE_TAIL for the rest, or _SPARE for those of a private pool. Returns the number of the first; 0 if the OS refuses
 * or no row is left. hki_pool_lock held, as for all below. */
uint32_t hki_segments_take(size_t count, size_t alignment, hki_segment_state state);
/* Takes the `more` segments behind the huge block of `count` segments at `first`, if they are unused. */
bool hki_segments_extend(uint32_t first, size_t count, size_t more);
/* Notes what the mapped segments [first + from, first + count) are for: of a huge block, the first is `first`. */
void hki_segments_set_state(uint32_t first, size_t from, size_t count, hki_segment_state state);
/* Unmaps segments, whose units have no bits set. False if the OS refuses: then nothing has changed. */
bool hki_segments_give(uint32_t first, size_t count);
/* Moves the memory of the huge block of `count` segments to a new place, `new_count` segments long, without copying.
 * The metadata of its units does not move. Returns the first of the new segments; 0 if it cannot be done: then nothing
 * has changed. */
uint32_t hki_segments_move(uint32_t first, size_t count, size_t new_count);
/* The tables whose pages belong to one segment each. */
enum { HKI_SEGMENT_TABLES = 6 };
typedef struct hki_table_part {
    char *start;
    size_t bytes_per_segment;
} hki_table_part;
/* Tells where the tables of a row of segments begin; each table has them in the same order. */
void hki_tables_find(uint32_t first, hki_table_part parts[HKI_SEGMENT_TABLES]);
/* Gives back the pages of the tables that only the free units in `free_units` of a segment use; they read as zeros. */
void hki_tables_purge(uint32_t segment, uint64_t free_units);
/* Whether there is a limit on address space. */
bool hki_segments_are_scarce(void);
/* One more than the highest segment ever taken. Any thread. */
uint32_t hki_segments_end(void);

HKI_INLINE uintptr_t hki_window_base(void) {
    return atomic_load_explicit(&hki_registry.base, memory_order_relaxed);
}

/* The granule's number in the window, or a number out of bounds for what is not in the window or not at a granule. */
HKI_INLINE uintptr_t hki_granule_of(const void *pointer) {
    return hki_rotate_right((uintptr_t)pointer - hki_window_base(), HKI_GRANULE_SHIFT);
}

HKI_INLINE bool hki_granule_exists(uintptr_t granule) {
    return granule < atomic_load_explicit(&hki_registry.granules, memory_order_acquire);
}

HKI_INLINE void *hki_granule_address(uintptr_t granule) {
    return (void *)(hki_window_base() + (granule << HKI_GRANULE_SHIFT));
}

HKI_INLINE _Atomic uint64_t *hki_live_word(uintptr_t granule) {
    return &hki_registry.live[granule >> 6];
}

HKI_INLINE _Atomic uint64_t *hki_remote_word(uintptr_t granule) {
    return &hki_registry.remote[granule >> 6];
}

HKI_INLINE uint64_t hki_granule_mask(uintptr_t granule) {
    return UINT64_C(1) << (granule & 63);
}

enum {
    HKI_GRANULES_PER_LINE = HKI_LINE_SIZE / HKI_GRANULE_SIZE,
    HKI_WORDS_PER_LINE = HKI_GRANULES_PER_LINE / 64,
    HKI_GRANULE_TO_LINE = HKI_LINE_SHIFT - HKI_GRANULE_SHIFT,
    HKI_GRANULE_TO_UNIT = HKI_UNIT_SHIFT - HKI_GRANULE_SHIFT,
    HKI_LINE_TO_UNIT = HKI_UNIT_SHIFT - HKI_LINE_SHIFT,
    HKI_UNIT_TO_SEGMENT = HKI_SEGMENT_SHIFT - HKI_UNIT_SHIFT,
};

HKI_INLINE hki_unit *hki_granule_unit(uintptr_t granule) {
    return &hki_registry.units[granule >> HKI_GRANULE_TO_UNIT];
}

/* A line's tag is its heap's number, shifted, and the class of its run: one load and one XOR with the heap's own tag
 * tell both whether the line is the heap's and which class it has. HKI_TAG_REMOTE says that some block of the line may
 * have been freed by another thread: only then the owner has to look at the remote bits. Tags of lines without live
 * blocks mean nothing. */
enum { HKI_TAG_SHIFT = 8 };
enum { HKI_TAG_REMOTE_BIT = 31 };
#define HKI_TAG_REMOTE (UINT32_C(1) << HKI_TAG_REMOTE_BIT)

HKI_INLINE uint32_t hki_granule_tag(uintptr_t granule) {
    return atomic_load_explicit(&hki_registry.line_tags[granule >> HKI_GRANULE_TO_LINE], memory_order_relaxed);
}

HKI_INLINE unsigned hki_tag_class(uint32_t tag) {
    return tag & ((1U << HKI_TAG_SHIFT) - 1);
}

HKI_INLINE unsigned hki_granule_class(uintptr_t granule) {
    return hki_tag_class(hki_granule_tag(granule));
}

/* The lines of a unit, a mask, that are marked: another thread has freed blocks there. */
HKI_INLINE uint64_t hki_unit_marked_lines(uint32_t unit) {
    const _Atomic uint32_t *tags = &hki_registry.line_tags[(size_t)unit * HKI_LINES_PER_UNIT];
    uint64_t marked = 0;
    for (unsigned i = 0; i < HKI_LINES_PER_UNIT; i++)
        marked |= (uint64_t)(atomic_load_explicit(&tags[i], memory_order_seq_cst) >> HKI_TAG_REMOTE_BIT) << i;
    return marked;
}

HKI_INLINE void hki_line_set_tag(size_t line, uint32_t tag) {
    atomic_store_explicit(&hki_registry.line_tags[line], tag, memory_order_relaxed);
}

HKI_INLINE uint32_t hki_unit_number(const hki_unit *unit) {
    return (uint32_t)(unit - hki_registry.units);
}

HKI_INLINE uintptr_t hki_unit_granule(uint32_t unit) {
    return (uintptr_t)unit << HKI_GRANULE_TO_UNIT;
}

/* Only the owner clears and sets live bits, so a load and a store are enough; release pairs with the acquire of whoever
 * frees the block from another thread. */
HKI_INLINE void hki_live_set(uintptr_t granule) {
    _Atomic uint64_t *live = hki_live_word(granule);
    uint64_t word = atomic_load_explicit(live, memory_order_relaxed);
    atomic_store_explicit(live, word | hki_granule_mask(granule), memory_order_release);
}

HKI_INLINE void hki_live_clear(uintptr_t granule) {
    _Atomic uint64_t *live = hki_live_word(granule);
    uint64_t word = atomic_load_explicit(live, memory_order_relaxed);
    atomic_store_explicit(live, word & ~hki_granule_mask(granule), memory_order_release);
}

#endif
