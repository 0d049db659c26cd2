/* thread: which heap of a thread-safe arena is the calling thread's. Owns the thread-local state, and what happens when
 * a thread ends.
 *
 * Invariants: `owned` lists the heaps that this thread took, the last one used first; `heap` is its heap of the default
 * arena, or hki_empty_heap. A thread whose exit handler has run owns none: it borrows one for each call. */
#ifndef HKI_THREAD_H
#define HKI_THREAD_H

#include "arena.h"

typedef struct hki_thread {
    hki_heap *heap;
    hki_heap *owned;
    bool watched; /* the exit handler will run */
    bool borrows; /* it has run, or cannot be had */
} hki_thread;
_Static_assert(sizeof(hki_thread) <= 32, "static TLS is scarce: with initial-exec a dlopen fails when it is used up");

HKI_DATA _Thread_local hki_thread hki_self;

/* Once per process. False if the OS has no thread-exit key left: then all threads borrow. */
bool hki_thread_start(void);

/* The look-up when the heap is not the first of the list: hki_empty_heap if the thread has none in this arena. */
hki_heap *hki_thread_find(const hki_arena *arena);

/* A heap of the default arena that something other than threads guards, such as an interpreter's lock: it is the
 * calling thread's own until hki_thread_release, which is given what hki_thread_adopt has returned. */
typedef struct hki_adoption {
    hki_heap *heap; /* hki_self.heap, before */
    bool borrows;
} hki_adoption;
hki_adoption hki_thread_adopt(hki_heap *heap);
void hki_thread_release(hki_heap *heap, hki_adoption before);

/* Trims the calling thread's heaps. */
void hki_thread_trim(void);

/* The calling thread's heap of an arena, or hki_empty_heap. */
HKI_INLINE hki_heap *hki_thread_heap(hki_arena *arena) {
    if (arena->one_thread)
        return &arena->heap;
    hki_heap *heap = hki_self.owned;
    if (HKI_LIKELY(heap != NULL && atomic_load_explicit(&heap->arena, memory_order_relaxed) == arena))
        return heap;
    return hki_thread_find(arena);
}

/* The same, if it is found without a search, else NULL: for fast paths, which call nothing but the slow path at their
 * end, so that they need not save a register. */
HKI_INLINE hki_heap *hki_thread_heap_at_hand(hki_arena *arena) {
    if (HKI_LIKELY(arena->one_thread))
        return &arena->heap;
    hki_heap *heap = hki_self.owned;
    return heap != NULL && atomic_load_explicit(&heap->arena, memory_order_relaxed) == arena ? heap : NULL;
}

/* The same, but takes a heap if there is none yet. NULL if the OS refuses. To be paired with hki_thread_leave. */
hki_heap *hki_thread_enter(hki_arena *arena);
void hki_thread_leave(const hki_arena *arena, hki_heap *heap);

#endif
