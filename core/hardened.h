/* hardened: what a heap of a hardened arena has in place of stacks: for each class a ring, in which freed blocks wait
 * in the order in which they came, and behind it an urn, from which blocks are drawn at random. The heap's owner is
 * inside, but for hki_hardened_blocks, which any thread may call.
 *
 * A block's way: run (parked) -> urn -> next -> live -> ring -> urn. What the urn cannot hold goes back to its run.
 *
 * The fast paths see stacks that are empty and full at once, and a heap whose tag no line has: so all of them miss.
 *
 * Invariants, for each class: the urn's blocks are slots[0, urn_blocks), with urn_blocks <= urn_slots; the ring's are
 * slots[urn_slots, urn_slots + ring_blocks), the oldest one at ring_next once it is full. urn_room is urn_slots while
 * the ring is full, or 0. A block in one of them, drawn or parked is all zeros, or was written to after it was
 * freed. */
#ifndef HKI_HARDENED_H
#define HKI_HARDENED_H

#include "canary.h"
#include "heap.h"

typedef struct hki_delay {
    _Atomic uintptr_t next; /* the block that was drawn for the next allocation; or 0 */
    uintptr_t *slots;       /* of urn and ring; NULL before the class is used */
    uint16_t size;          /* of a block */
    uint16_t urn_slots;
    uint16_t ring_slots; /* a power of two */
    uint16_t urn_least;  /* so many stay in the urn when a block is drawn for the next allocation */
    uint16_t urn_room;   /* how many blocks the urn may hold for the ring to be pushed on without further ado */
    uint16_t ring_next;
    _Atomic uint16_t ring_blocks, urn_blocks;
} hki_delay;
_Static_assert(sizeof(hki_delay) == 32, "two to a cache line");

/* Makes a heap that was just started, or cleared, a hardened one. The secret has been drawn. */
void hki_hardened_start(hki_heap *heap);

HKI_INLINE unsigned hki_delay_load(const _Atomic uint16_t *count) {
    return atomic_load_explicit(count, memory_order_relaxed);
}

HKI_INLINE void hki_delay_store(_Atomic uint16_t *count, unsigned n) {
    atomic_store_explicit(count, (uint16_t)n, memory_order_relaxed);
}

/* Takes one of the `count` blocks in an urn, at least one. `more` is what the heap's random number is stirred with. */
HKI_INLINE uintptr_t hki_delay_draw(hki_heap *heap, hki_delay *delay, unsigned count, uint64_t more) {
    heap->random += more;
    uintptr_t *drawn = delay->slots + ((heap->random >> 32) * count >> 32);
    uintptr_t granule = *drawn;
    *drawn = delay->slots[count - 1];
    hki_delay_store(&delay->urn_blocks, count - 1);
    return granule;
}

/* Draws the next block, unless there are too few in the urn for that to be unforeseeable: then it is to be filled. */
HKI_INLINE void hki_delay_draw_next(hki_heap *heap, hki_delay *delay, uint64_t more) {
    unsigned count = hki_delay_load(&delay->urn_blocks);
    uintptr_t drawn = HKI_LIKELY(count > delay->urn_least) ? hki_delay_draw(heap, delay, count, more) : 0;
    atomic_store_explicit(&delay->next, drawn, memory_order_relaxed);
}

/* The same if the ring is not full yet, or the urn has no room. */
HKI_SLOW void hki_hardened_put_slow(hki_heap *heap, unsigned size_class, uintptr_t granule);

/* Puts a dead block of zeros in the ring, and the oldest one in there into the urn. */
HKI_INLINE void hki_hardened_put(hki_heap *heap, unsigned size_class, uintptr_t granule) {
    hki_delay *delay = &heap->delays[size_class];
    unsigned in_urn = hki_delay_load(&delay->urn_blocks), next = delay->ring_next;
    if (HKI_UNLIKELY(in_urn >= delay->urn_room)) {
        hki_hardened_put_slow(heap, size_class, granule);
        return;
    }
    uintptr_t *oldest = &delay->slots[delay->urn_slots + next];
    delay->slots[in_urn] = *oldest;
    *oldest = granule;
    hki_delay_store(&delay->urn_blocks, in_urn + 1);
    delay->ring_next = (uint16_t)((next + 1) & (delay->ring_slots - 1U));
}

/* A block that is not live yet, from the urn, from remote frees, parked blocks or a new run. HK_ERR_LIMIT or
 * HK_ERR_NO_MEMORY: there is none, but there may be some in the ring. */
hk_status hki_hardened_take(hki_heap *heap, unsigned size_class, uintptr_t *granule);
/* Makes the last word of a block zero that another thread has freed: it claimed the block by it and zeroed the rest. */
void hki_hardened_break_seal(uintptr_t granule, unsigned size_class);
/* Parks all blocks of ring and urn. */
void hki_hardened_flush(hki_heap *heap, unsigned size_class);

/* How many blocks are delayed; 0 in an ordinary heap. */
static inline uint32_t hki_hardened_blocks(const hki_heap *heap, unsigned size_class) {
    if (heap->delays == NULL || size_class >= HKI_CLASSES)
        return 0;
    const hki_delay *delay = &heap->delays[size_class];
    uintptr_t next = atomic_load_explicit(&delay->next, memory_order_relaxed);
    return hki_delay_load(&delay->ring_blocks) + hki_delay_load(&delay->urn_blocks) + (next != 0);
}

/* Zeroes all lines in use, before the heap is cleared. */
void hki_hardened_erase_all(hki_heap *heap);

/* Zeroes memory of a block that ends, by giving its pages back where it is long. */
void hki_hardened_erase(void *start, size_t size);

#endif
