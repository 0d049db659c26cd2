/* heap_remote: frees by threads that do not own the block: a bit is set, the line is marked, the owner is told. Any
 * thread is inside; what it may touch of the heap is `pending` alone. The owner's side, the collection, is in
 * heap.c. */
#include "heap_lines.h"
#include "lock.h"
#include "os.h"

/* False: nobody owns the unit. The owner is asked for twice, as its life may have ended before the first look at
 * `pending`; if it ends later, the push is refused. */
static bool notify_owner(hki_unit *unit) {
    for (;;) {
        uintptr_t owner = atomic_load_explicit(&unit->owner, memory_order_seq_cst);
        if (owner == 0 || (owner & HKI_OWNER_IS_ARENA) != 0)
            return false;
        hki_heap *heap = (hki_heap *)owner;
        uint64_t pending = atomic_load_explicit(&heap->pending, memory_order_acquire);
        if (atomic_load_explicit(&unit->owner, memory_order_seq_cst) == owner &&
            hki_heap_push_pending(heap, unit, pending))
            return true;
    }
}

/* Marks the line, for the owner's own frees there and for its collection, and tells the owner that there is something
 * to collect in the unit. Marks stay, so that a line where others free again and again is not written to. Whoever finds
 * remote_lines set leaves the rest to the one that set it: the owner sets it back before it looks. By now the block may
 * have been collected along with another one, and its unit may have gone back to the pool, or to another heap. As long
 * as remote_lines is not 0 a heap does not give its unit back, unless it ends; so the owner that we read after setting
 * it, if any, has to be told; and a unit without one has nothing to collect. */
static void notify(uintptr_t granule) {
    hki_unit *unit = hki_granule_unit(granule);
    uint32_t line = hki_granule_line(granule);
    _Atomic uint32_t *tag = &hki_registry.line_tags[line];
    if ((atomic_load_explicit(tag, memory_order_seq_cst) & HKI_TAG_REMOTE) == 0)
        atomic_fetch_or_explicit(tag, HKI_TAG_REMOTE, memory_order_seq_cst);
    uint64_t in_unit = UINT64_C(1) << line % HKI_LINES_PER_UNIT;
    if (atomic_load_explicit(&unit->remote_lines, memory_order_seq_cst) != 0 ||
        atomic_fetch_or_explicit(&unit->remote_lines, in_unit, memory_order_seq_cst) != 0)
        return;
    if (notify_owner(unit))
        return;
    hki_lock_acquire(&hki_pool_lock);
    if (!notify_owner(unit))
        atomic_store_explicit(&unit->remote_lines, 0, memory_order_seq_cst);
    hki_lock_release(&hki_pool_lock);
}

/* Whether a block was dead before our remote bit was set, for another free had been collected in the meantime.
 *
 * If it is not live, our bit may also have been collected just now, the block handed out again and freed by yet another
 * thread, whose bit we then see. But while nobody collects, a bit of a free that counts stands on a live block: the
 * owner clears both, live first, while the unit's `collections` is odd. So a bit without a live block, seen with
 * `collections` even and the same before and after, is ours and counts for nothing. */
static bool was_dead(uintptr_t granule) {
    uint64_t mask = hki_granule_mask(granule);
    const hki_unit *unit = hki_granule_unit(granule);
    uint64_t live = atomic_load_explicit(hki_live_word(granule), memory_order_seq_cst);
    while ((live & mask) == 0) {
        uint32_t before = atomic_load_explicit(&unit->collections, memory_order_seq_cst);
        uint64_t remote = atomic_load_explicit(hki_remote_word(granule), memory_order_seq_cst);
        live = atomic_load_explicit(hki_live_word(granule), memory_order_seq_cst);
        if (before % 2 == 0 && atomic_load_explicit(&unit->collections, memory_order_seq_cst) == before)
            return (remote & ~live & mask) != 0;
        hki_os_yield();
    }
    return false;
}

hk_status hki_heap_free_remote(uintptr_t granule) {
    _Atomic uint64_t *remote = hki_remote_word(granule);
    uint64_t mask = hki_granule_mask(granule);
    if ((atomic_fetch_or_explicit(remote, mask, memory_order_seq_cst) & mask) != 0)
        return HK_ERR_DOUBLE_FREE;
    if (was_dead(granule)) {
        atomic_fetch_and_explicit(remote, ~mask, memory_order_seq_cst);
        return HK_ERR_DOUBLE_FREE;
    }
    notify(granule);
    return HK_OK;
}
