/* metadata: what is known about each granule, line, unit and segment. All of it lives in tables beside the window (see
 * registry.h), where no user block can overrun into it.
 *
 * Who may write: the heap that owns a unit writes its live bits, parked bits, line tags, runs and lines, without
 * atomic read-modify-write; any thread sets remote bits and remote lines. What other threads may look up is atomic, so
 * that a look-up of any address by any thread is defined. Free units, large and huge blocks belong to hki_pool_lock.
 *
 * Invariants:
 *   a unit that is free has no live, remote or parked bit;
 *   live & parked == 0; remote is a subset of live, but while the unit's collections is odd, and but for a bit that a
 *   double free sets and takes back;
 *   a line with a remote bit has HKI_TAG_REMOTE in its tag, or will have before the free that set the bit returns; the
 *   mark stays until the owner frees there and finds no remote bit;
 *   free_lines and the lines of the unit's runs partition its 64 lines; a clean line is free, or all blocks that
 *   reach into it are parked. */
#ifndef HKI_METADATA_H
#define HKI_METADATA_H

#include "base.h"

/* A run of blocks of one class, in the record of its first line. Lists are of line numbers, 0 ends them. */
typedef struct hki_run {
    uint32_t next, previous; /* among the runs of this class with parked blocks */
    uint16_t parked;         /* blocks that are neither live nor on a stack */
    uint16_t blocks;
    _Atomic uint8_t size_class;
    _Atomic uint8_t lines;
    _Atomic bool any_size; /* a block here was shrunk in place or aligned: sized calls may say any size that fits */
    _Atomic bool borrowed; /* a block here serves a smaller class: sized calls may say any size down to half */
} hki_run;

typedef enum hki_unit_kind {
    HKI_UNIT_FREE = 0,   /* in the pool, or never used */
    HKI_UNIT_RUNS,       /* owned by a heap */
    HKI_UNIT_LARGE,      /* the first of a block of whole units */
    HKI_UNIT_LARGE_TAIL, /* another one of such a block */
    HKI_UNIT_HUGE,       /* the first of a block of whole segments */
} hki_unit_kind;

typedef struct hki_unit {
    _Atomic uintptr_t owner; /* RUNS: the heap. LARGE, HUGE: the arena, + HKI_OWNER_IS_ARENA. Else 0. */
    _Atomic uint64_t free_lines;
    _Atomic uint64_t run_starts;
    _Atomic uint64_t remote_lines; /* the first line with remote bits since the owner collected; 0: not on its list,
                                    * nor on its way there */
    uint64_t clean_lines;          /* RUNS: lines that read as zeros: free, or with parked blocks only */
    uint32_t pending_next;         /* in the owner's list of units with remote frees */
    uint32_t next, previous;       /* in the owner's list of units, or of large and huge blocks */
    union {
        _Atomic uint32_t lines; /* LARGE, HUGE: length of the block */
        _Atomic uint32_t head;  /* LARGE_TAIL: the unit where the block starts */
    };
    _Atomic uint32_t collections; /* RUNS: odd while the heap is taking in remote frees; never set back */
    uint16_t stale_pages;         /* RUNS: pages without a live block at the heap's last look: see heap_pages.h */
    _Atomic uint8_t kind;         /* hki_unit_kind */
    union {
        bool has_room; /* RUNS: on the heap's list of units with free lines, not on that of full ones */
        bool moved;    /* HUGE: the mapping has been moved by mremap */
    };
} hki_unit;
_Static_assert(sizeof(hki_unit) == 64, "a unit's metadata is one cache line");
_Static_assert(sizeof(hki_run) == 16, "a run's record is 1/64 of its first line");

enum { HKI_OWNER_IS_ARENA = 1 };

typedef enum hki_segment_state {
    HKI_SEGMENT_UNUSED = 0, /* not mapped */
    HKI_SEGMENT_UNITS,      /* 64 units */
    HKI_SEGMENT_HUGE,       /* the first of a huge block */
    HKI_SEGMENT_HUGE_TAIL,
    HKI_SEGMENT_LOST,  /* the address space belongs to someone else, or is of no use any more */
    HKI_SEGMENT_SPARE, /* of a private pool, mapped and never used yet */
} hki_segment_state;

typedef struct hki_segment {
    uint64_t free_units;     /* UNITS */
    uint64_t clean_units;    /* UNITS: those of the free ones that read as zeros */
    uint64_t stale_units;    /* UNITS: those of the free, dirty ones that were so at the last purge */
    uint32_t next, previous; /* UNITS: among the segments of its bucket; 0 ends the list */
    _Atomic uint32_t head;   /* HUGE_TAIL: the segment where the block starts */
    _Atomic uint8_t state;   /* hki_segment_state */
    bool is_private;         /* of a private pool, or of one that has ended; once one was used, for life */
    uint8_t bucket;          /* UNITS, with free units: see hki_pool */
} hki_segment;
_Static_assert(sizeof(hki_segment) == 40, "a segment's record has no holes to speak of");

#endif
