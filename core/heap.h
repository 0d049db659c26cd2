/* heap: one owner's stacks of free blocks, runs and units, in one arena. One thread at a time is inside, but for
 * hki_heap_free_remote, which any thread may call, and the counts, which any thread may read.
 *
 * A block's way: run (parked) -> refill -> stack -> live -> stack -> flush -> run. A block that another thread frees
 * goes live -> remote -> collect -> stack or run.
 *
 * Invariants, for each size class c:
 *   books[c].blocks = sum of the blocks of its runs; books[c].lines likewise; books[c].parked = sum of their parked;
 *   live blocks = books[c].blocks - books[c].parked - those on the stack (blocks freed remotely count until collected);
 *   parked_runs lists exactly the runs with parked blocks.
 * A unit of the heap is on the list `room` if it has free lines, else on `full`. A unit with remote_lines != 0 is on
 * the pending list, or will be as soon as the thread that set its first bit gets there; until then that thread alone
 * may write its pending_next. It is not given back, but when all blocks of the heap end at once. */
#ifndef HKI_HEAP_H
#define HKI_HEAP_H

#include "hakmem.h"
#include "quota.h"
#include "run.h"
#include "unit.h"

#include <string.h>

struct hki_arena;

typedef struct hki_class_books {
    uint32_t parked_runs; /* first line of a run; 0 ends the list */
    _Atomic uint32_t blocks;
    _Atomic uint32_t parked;
    _Atomic uint32_t lines;
    _Atomic uint16_t stack; /* where its bottom is in the storage, plus 1; 0: the class has none */
    uint16_t slots;         /* of the stack */
} hki_class_books;

typedef struct hki_heap {
    /* The stacks of free blocks, by their granules: a word of 0, the slots, HKI_STACK_END. top is the last block, or
     * the word of 0. A class that was not used yet, and HKI_CLASS_LARGE for ever, have hki_no_blocks, which is empty
     * and full at once, so that pop and push take the slow way. */
    _Atomic(uintptr_t *) top[HKI_CLASSES + 1];
    uint32_t tag;      /* of this heap's lines, with class 0; HKI_NO_TAG in a hardened heap */
    uint32_t line_tag; /* the same, in any heap */
    const uint8_t *class_table;
    _Atomic(struct hki_arena *) arena; /* NULL once the arena was destroyed */
    hki_quota *quota;
    hki_pool *pool;                   /* where its units come from */
    _Atomic uint64_t pending;         /* units with remote frees: see hki_pending_unit */
    _Atomic uint32_t units;           /* how many the heap owns */
    uint32_t room, full;              /* lists of units */
    uint32_t spare;                   /* one unit without runs that is kept; 0: none */
    size_t freed_bytes;               /* since the last look for pages that may go back; */
    uint64_t last_look;               /* when that was, or, of an idle heap, when it became idle */
    uintptr_t *storage_begin;         /* room for stacks; */
    uintptr_t *storage, *storage_end; /* what is left of it */
    uintptr_t *storage_used;          /* how far it was ever used since hki_heap_init or the last purge */
    uint32_t refills_pending;         /* since the last collection, while there was something to collect */
    uint64_t classes_used[2];         /* a bit for each class that has a stack, or ring and urn */
    uint8_t borrowed[HKI_CLASSES];    /* how many requests of a class other classes have served */
    _Atomic bool trim_wanted;         /* by another thread: the owner trims at its next refill */
    bool little_idle;                 /* few pages were without a live block at the last look */
    hki_class_books books[HKI_CLASSES + 1];
    struct hki_delay *delays; /* of a hardened heap, for each class: see hardened.h. NULL in an ordinary one */
    uint64_t random;          /* the state of its drawing */

    /* For the layers above, under hki_arenas_lock: */
    struct hki_heap *next;      /* among the arena's heaps, or the unused heap slots */
    struct hki_heap *next_idle; /* among the arena's idle heaps */
    bool idle;
    /* For the owning thread alone: */
    struct hki_heap *next_of_thread;
} hki_heap;

/* `pending` is a stack of units that others push and the owner takes whole: the number of the top one, 0 if there is
 * none, below the heap's life. All blocks of a heap may end at once, its units go to other heaps, and the heap to
 * another arena, while a thread is about to push one of the units: each time a new life begins, with a number that no
 * heap had before, and the push is refused. */
HKI_INLINE uint32_t hki_pending_unit(uint64_t pending) {
    return (uint32_t)pending;
}

HKI_INLINE bool hki_heap_has_pending(const hki_heap *heap) {
    return hki_pending_unit(atomic_load_explicit(&heap->pending, memory_order_relaxed)) != 0;
}

#define HKI_STACK_END UINTPTR_MAX
#define HKI_NO_TAG (UINT32_MAX << HKI_TAG_SHIFT)
HKI_DATA uintptr_t hki_no_blocks[2]; /* 0, HKI_STACK_END */
/* What a thread has before it has any heap: all stacks are empty and full at once. Never written. */
HKI_DATA hki_heap hki_empty_heap;

/* Makes a heap, of a number from 1 that no other heap has. [storage, storage_end) is for its stacks. */
void hki_heap_init(hki_heap *heap, uint32_t number, void *storage, void *storage_end);
/* Gives a heap that is new, or was cleared, to an arena. */
void hki_heap_start(hki_heap *heap, const uint8_t *class_table, hki_quota *quota, hki_pool *pool);

/* A live block off the stack of its class; its granule, or 0 if the stack is empty. */
HKI_INLINE uintptr_t hki_heap_pop(hki_heap *heap, unsigned size_class) {
    uintptr_t *top = atomic_load_explicit(&heap->top[size_class], memory_order_relaxed);
    uintptr_t granule = *top;
    if (HKI_LIKELY(granule != 0)) {
        atomic_store_explicit(&heap->top[size_class], top - 1, memory_order_relaxed);
        hki_live_set(granule);
    }
    return granule;
}

HKI_INLINE bool hki_heap_is_full(const hki_heap *heap, unsigned size_class) {
    return atomic_load_explicit(&heap->top[size_class], memory_order_relaxed)[1] == HKI_STACK_END;
}

/* What the look-up of a block found, for the push that follows. */
typedef struct hki_found {
    _Atomic uint64_t *word; /* its live bit is here, */
    uint64_t live;          /* and this is what the word was */
    unsigned size_class;
} hki_found;

/* Whether the granule is the start of a live block of this heap, in a line where no other thread has freed anything. */
HKI_INLINE bool hki_heap_find(const hki_heap *heap, uintptr_t granule, hki_found *found) {
    if (HKI_UNLIKELY(!hki_granule_exists(granule)))
        return false;
    found->word = hki_live_word(granule);
    found->live = atomic_load_explicit(found->word, memory_order_relaxed);
    if (HKI_UNLIKELY((found->live >> (granule & 63) & 1) == 0))
        return false;
    found->size_class = hki_granule_tag(granule) ^ heap->tag;
    return HKI_LIKELY(found->size_class <= HKI_CLASS_LARGE);
}

/* Puts a block that was found on its stack. False, and nothing has changed, if there is no room. */
HKI_INLINE bool hki_heap_push(hki_heap *heap, uintptr_t granule, hki_found found) {
    uintptr_t *top = atomic_load_explicit(&heap->top[found.size_class], memory_order_relaxed);
    if (HKI_UNLIKELY(top[1] == HKI_STACK_END))
        return false;
    atomic_store_explicit(found.word, found.live ^ hki_granule_mask(granule), memory_order_release);
    top[1] = granule;
    atomic_store_explicit(&heap->top[found.size_class], top + 1, memory_order_relaxed);
    return true;
}

/* The word of 0 below the first block of a stack. */
static inline uintptr_t *hki_heap_bottom(const hki_heap *heap, unsigned size_class) {
    uint16_t stack = atomic_load_explicit(&heap->books[size_class].stack, memory_order_relaxed);
    return stack == 0 ? hki_no_blocks : heap->storage_begin + stack - 1;
}

/* How many blocks are on a stack. Other threads may see a stack that is just growing: then anything up to its size. */
static inline uint32_t hki_heap_stacked(const hki_heap *heap, unsigned size_class) {
    const uintptr_t *bottom = hki_heap_bottom(heap, size_class);
    const uintptr_t *top = atomic_load_explicit(&heap->top[size_class], memory_order_relaxed);
    size_t count = ((uintptr_t)top - (uintptr_t)bottom) / sizeof *top;
    return size_class < HKI_CLASSES && count <= hki_classes[size_class].stack_slots ? (uint32_t)count : 0;
}

/* Moves a block that was found to the class `to`, with `bytes` of its contents, from stack to stack. Returns the other
 * block; NULL, and nothing has changed, if one of the stacks does not allow it. */
HKI_INLINE void *hki_heap_move(hki_heap *heap, uintptr_t granule, hki_found found, unsigned to, size_t bytes) {
    if (HKI_UNLIKELY(hki_heap_is_full(heap, found.size_class)))
        return NULL;
    uintptr_t copy = hki_heap_pop(heap, to);
    if (HKI_UNLIKELY(copy == 0))
        return NULL;
    memcpy(hki_granule_address(copy), hki_granule_address(granule), bytes);
    found.live = atomic_load_explicit(found.word, memory_order_relaxed); /* the copy's bit may be in the same word */
    hki_heap_push(heap, granule, found);
    return hki_granule_address(copy);
}

/* A small block of this heap's, resized to a small size from 1 up: itself if its class serves, else moved. NULL, and
 * nothing has changed, if it is not as simple as that. */
HKI_INLINE void *hki_heap_resize_small(hki_heap *heap, const uint8_t *class_table, void *pointer, size_t size) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (HKI_UNLIKELY(!hki_heap_find(heap, granule, &found)) || HKI_UNLIKELY(found.size_class == HKI_CLASS_LARGE))
        return NULL;
    unsigned to = hki_class_of(class_table, size);
    size_t old_size = hki_classes[found.size_class].size;
    return found.size_class == to ? pointer : hki_heap_move(heap, granule, found, to, hki_min(old_size, size));
}

/* Which class should serve a request of a class. In a heap of one unit a class that is only beginning does not get
 * lines of its own as long as a larger one, up to twice the size, has room, or needs fewer lines: a bare interpreter
 * has a few blocks in each of fifteen classes. Blocks are multiples of `alignment`. */
unsigned hki_heap_serving_class(hki_heap *heap, unsigned size_class, size_t alignment);
/* Fills the stack of a class: from remote frees, parked blocks, or a new run. HK_OK: there is a block on it.
 * HK_ERR_LIMIT or HK_ERR_NO_MEMORY: there is none. */
HKI_MISS hk_status hki_heap_refill(hki_heap *heap, unsigned size_class);
/* Frees a live block of this heap in a line where other threads have freed others, if it is one of a size class and
 * there is room on its stack. */
HKI_MISS bool hki_heap_free_marked(hki_heap *heap, uintptr_t granule);
/* Frees a live block of this heap, whatever its class; of a hardened one only blocks of whole lines. */
HKI_MISS void hki_heap_free(hki_heap *heap, uintptr_t granule);
/* Frees a live block of a heap that is not ours. HK_ERR_DOUBLE_FREE if another thread was faster. */
HKI_MISS hk_status hki_heap_free_remote(uintptr_t granule);

/* A live block of `count` (1..64) lines at a multiple of `alignment` lines; 0 and *status if there is none. *clean
 * tells whether it reads as zeros. */
uintptr_t hki_heap_alloc_lines(hki_heap *heap, unsigned count, unsigned alignment, bool *clean, hk_status *status);
/* Makes such a block longer or shorter in place. HK_ERR_LIMIT, or HK_ERR_BUSY if the lines behind are in use. */
hk_status hki_heap_resize_lines(hki_heap *heap, uintptr_t granule, unsigned lines);

/* The steps of a refill and a flush, for hardened.c, whose heaps have no stacks: a new run, whose blocks are all
 * parked; up to `max` parked blocks of a class; the way back. */
hk_status hki_heap_add_run(hki_heap *heap, unsigned size_class);
uint32_t hki_heap_unpark(hki_heap *heap, unsigned size_class, uintptr_t *granules, uint32_t max);
void hki_heap_park(hki_heap *heap, const uintptr_t *granules, uint32_t count, unsigned size_class);
/* Whether a refill of this class should collect first; and takes the mark off a line that holds nothing to collect. */
bool hki_heap_should_collect(hki_heap *heap, unsigned size_class);
void hki_heap_unmark(uint32_t line);

/* Takes in what other threads have freed. */
void hki_heap_collect(hki_heap *heap);
/* Gives back every line and every unit that no live block needs; pages wait for their time. */
void hki_heap_reclaim(hki_heap *heap);
/* The same, and all pages without a live block as well, now. */
HKI_SLOW void hki_heap_trim(hki_heap *heap);
/* Frees everything at once; up to `keep` units stay with the heap, so that it starts quickly again. Nobody else may be
 * inside. */
void hki_heap_clear(hki_heap *heap, unsigned keep);

/* For heaps without an owner, whose stacks are empty: frees a live block straight into its run. The caller sees to it
 * that one thread at a time is inside. */
void hki_heap_free_to_run(hki_heap *heap, uintptr_t granule);
/* Live blocks of such a heap, after hki_heap_reclaim. */
size_t hki_heap_live_blocks(const hki_heap *heap);

#endif
