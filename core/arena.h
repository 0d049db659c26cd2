/* arena: handles, and what belongs to each: heaps, large blocks, quota. Slots of ended arenas are used again oldest
 * first, each time with another handle, so that a stale handle is told from a live one; most of them have no memory
 * until then.
 *
 * hki_arenas_lock guards the slots, every list of heaps and `idle`. Handle, quota and large are read by any thread.
 *
 * Invariants: an arena of one thread at a time has just the heap inside it; a thread-safe one leaves that empty, and
 * its heaps, each owned by a thread or idle, are on the list `heaps`. A retired arena has no handle, and retired_blocks
 * live blocks or `children`, not both 0; nobody allocates in it, and whoever frees holds hki_arenas_lock. An arena with
 * children does not end, so parents, whose quotas those of their children know, outlive them. */
#ifndef HKI_ARENA_H
#define HKI_ARENA_H

#include "heap.h"
#include "large.h"

typedef struct hki_arena {
    _Atomic uintptr_t handle; /* 0 while there is no arena in this slot */
    bool one_thread;
    _Atomic bool retired;
    uint8_t min_alignment;
    bool hardened;
    hki_heap heap;
    hki_quota quota;
    hki_pool *pool;            /* the shared one, or */
    hki_pool own_pool;         /* that of an arena that can be rewound; */
    struct hki_rewind *rewind; /* NULL for others */
    hki_large_list large;
    _Atomic(hki_heap *) heaps; /* new ones come in front, so it can be read without the lock while the arena lives */
    hki_heap *idle;
    _Atomic uint64_t idle_trim_due; /* hki_os_milliseconds; 0: there is no idle heap */
    size_t retired_blocks;
    _Atomic uint32_t children; /* arenas that have this one as their parent, retired ones too; changed under the lock */
    char name[HK_ARENA_NAME_MAX + 1];
} hki_arena;

/* The arena of the process heap; NULL before hki_arena_start. */
HKI_DATA _Atomic(hki_arena *) hki_default_arena;

/* Makes the default arena. False if the OS refuses. hki_registry_start comes first. */
bool hki_arena_start(void);

/* A bit of a hardened arena's handle that the arena does not store: so the fast paths, which hki_arena_find_ordinary
 * opens, do not find it, and it pays for nothing that it cannot use. */
enum { HKI_HANDLE_HARDENED = 4 };

/* The arena of a handle, unless it is a hardened one; NULL if the handle is null, stale or invented. */
HKI_INLINE hki_arena *hki_arena_find_ordinary(const hk_arena *handle) {
    hki_arena *arena = hki_slot_find(&hki_arena_slots, handle);
    if (HKI_UNLIKELY(arena == NULL))
        return NULL;
    return HKI_LIKELY(atomic_load_explicit(&arena->handle, memory_order_acquire) == (uintptr_t)handle) ? arena : NULL;
}

/* The arena of a handle; NULL if the handle is null, stale or invented. */
HKI_INLINE hki_arena *hki_arena_find(const hk_arena *handle) {
    hki_arena *arena = hki_slot_find(&hki_arena_slots, handle);
    if (arena == NULL)
        return NULL;
    uintptr_t differs = atomic_load_explicit(&arena->handle, memory_order_acquire) ^ (uintptr_t)handle;
    if (differs != 0 && differs != HKI_HANDLE_HARDENED)
        return NULL;
    return (differs != 0) == arena->hardened ? arena : NULL;
}

HKI_INLINE bool hki_arena_is_retired(const hki_arena *arena) {
    return atomic_load_explicit(&arena->retired, memory_order_acquire);
}

HKI_INLINE hk_arena *hki_arena_handle(const hki_arena *arena) {
    uintptr_t stored = atomic_load_explicit(&arena->handle, memory_order_relaxed);
    return stored == 0 ? NULL : (hk_arena *)(stored | (arena->hardened ? HKI_HANDLE_HARDENED : 0));
}

/* The arena above; NULL for none. */
HKI_INLINE hki_arena *hki_arena_parent(const hki_arena *arena) {
    char *quota = (char *)arena->quota.parent;
    return quota == NULL ? NULL : (hki_arena *)(void *)(quota - offsetof(hki_arena, quota));
}

HKI_INLINE uint32_t hki_arena_children(const hki_arena *arena) {
    return atomic_load_explicit(&arena->children, memory_order_relaxed);
}

/* The arena that the owner of a unit stands for; NULL for none. */
hki_arena *hki_arena_of_owner(uintptr_t owner);

/* The heap whose number is in a line's tag; NULL for 0. */
HKI_INLINE hki_heap *hki_heap_of_tag(uint32_t tag) {
    uint32_t number = (tag & ~HKI_TAG_REMOTE) >> HKI_TAG_SHIFT;
    if (number == 0)
        return NULL;
    size_t offset = (size_t)((number - 1) / 2) << HKI_SLOT_SHIFT;
    if (number % 2 == 0)
        return (hki_heap *)(void *)(hki_heap_slots.base + offset);
    return &((hki_arena *)(void *)(hki_arena_slots.base + offset))->heap;
}

/* Makes an arena of a valid configuration. HK_ERR_NO_MEMORY if the OS refuses or all slots are taken, HK_ERR_BAD_ARENA
 * or HK_ERR_UNSUPPORTED for the parent; then *arena is NULL. */
hk_status hki_arena_create(const hk_arena_config *config, hki_arena **arena);
/* Ends an arena. HK_ERR_BAD_ARENA if the handle is not that of a live arena, HK_ERR_BUSY if it has children. */
hk_status hki_arena_destroy(const hk_arena *handle);
/* Frees all blocks of an arena. */
bool hki_arena_reset(const hk_arena *handle);
/* Ends the handle; the arena ends with its last block and its last child. */
bool hki_arena_retire(const hk_arena *handle);
/* Frees a block of a retired arena. HK_ERR_DOUBLE_FREE if it is not live (any more); a hardened arena's is verified,
 * and `size` is for that. */
HKI_SLOW hk_status hki_arena_free_retired(hki_arena *arena, const void *pointer, size_t size);
/* Gives back all that no live block needs, pages included, now: of the caller's own heap, if any, and of idle ones.
 * Heaps that other threads own follow at their next refill. */
void hki_arena_trim(hki_arena *arena, hki_heap *own);
/* The same for all arenas, and for the pool that they share; but heaps inside of arenas follow at their next refill. */
void hki_arenas_purge(void);
/* The arena in the next slot behind that of `arena`, or in the first one behind NULL, that has not ended; NULL if there
 * is none. hki_arenas_lock held. */
hki_arena *hki_arena_next(const hki_arena *arena);

/* A heap of a thread-safe arena for the calling thread: an idle one if there is any. NULL if the OS refuses. */
hki_heap *hki_arena_take_heap(hki_arena *arena);
/* Gives it back: it becomes idle, or unused if its arena is gone. If `reclaim`, free memory goes back first. */
void hki_arena_give_heap(hki_heap *heap, bool reclaim);
/* Gives back all that the idle heaps do not need, nor the heap of the caller's own, if any; pages wait for their
 * time. */
void hki_arena_drain(hki_arena *arena, hki_heap *own);
HKI_MISS void hki_arena_trim_cold(hki_arena *arena);
/* Pages of heaps that have been idle for hki_purge_delay_ms go back. All slow ways ask. */
HKI_INLINE void hki_arena_trim_cold_if_any(hki_arena *arena) {
    if (HKI_UNLIKELY(atomic_load_explicit(&arena->idle_trim_due, memory_order_relaxed) != 0))
        hki_arena_trim_cold(arena);
}

#endif
