/* alloc_hardened: see alloc_hardened.h. */
#include "alloc_hardened.h"

#include "report.h"

#include <string.h>

/* ---- allocate ---- */

void *hki_written_after_free(const char *function, void *block) {
    hki_block found = hki_block_find(block);
    hki_misuse(hki_target_of(function, block), &found, HK_ERR_WRITE_AFTER_FREE);
    return block;
}

static HKI_SLOW void *alloc_slow(const char *function, hki_arena *arena, size_t size) {
    return hki_alloc(arena, (hki_request){.size = size, .alignment = 1, .function = function});
}

/* A small block that was written to after it was freed. */
static HKI_SLOW void *alloc_written(const char *function, void *block, size_t block_size, size_t size) {
    memset(block, 0, block_size);
    hki_canary_write(block, block_size, size);
    hki_live_set(hki_granule_of(block));
    return hki_written_after_free(function, block);
}

HKI_INLINE void *alloc_small(hki_arena *arena, size_t size, const char *function) {
    hki_heap *heap = hki_thread_heap(arena);
    if (HKI_UNLIKELY(size > HKI_SMALL_MAX - HKI_SLACK_MIN || heap->delays == NULL))
        return alloc_slow(function, arena, size);
    hki_delay *delay = &heap->delays[hki_class_of(heap->class_table, size + HKI_SLACK_MIN)];
    uintptr_t granule = atomic_load_explicit(&delay->next, memory_order_relaxed);
    if (HKI_UNLIKELY(granule == 0))
        return alloc_slow(function, arena, size);
    void *block = hki_granule_address(granule);
    uint64_t key = hki_canary_key(block);
    hki_delay_draw_next(heap, delay, key);
    if (HKI_UNLIKELY(!hki_is_zero(block, delay->size)))
        return alloc_written(function, block, delay->size, size);
    hki_canary_write_fresh(block, delay->size, size, key);
    hki_live_set(granule);
    return block;
}

static HKI_WIDE void *alloc_wide(hki_arena *arena, size_t size, const char *function) {
    return alloc_small(arena, size, function);
}

static __attribute__((noinline)) void *alloc_narrow(hki_arena *arena, size_t size, const char *function) {
    return alloc_small(arena, size, function);
}

void *hki_hardened_alloc(hki_arena *arena, size_t size, const char *function) {
    return HKI_LIKELY(hki_cpu_wide) ? alloc_wide(arena, size, function) : alloc_narrow(arena, size, function);
}

/* What a heap's small block reads as is known from its past; the others are zeroed here, as far as they are not. */
hk_status hki_hardened_finish(uintptr_t granule, size_t asked, bool *clean) {
    void *address = hki_granule_address(granule);
    hki_block block = hki_block_find(address);
    bool small = block.kind == HK_POINTER_SMALL;
    bool written = small && !hki_is_zero(address, block.size);
    if (small ? written : !*clean)
        memset(address, 0, block.size);
    *clean = true;
    hki_canary_write(address, block.size, asked);
    if (small)
        hki_live_set(granule);
    return written ? HK_ERR_WRITE_AFTER_FREE : HK_OK;
}

/* ---- free ---- */

static __attribute__((noinline)) bool is_whole(const void *block, size_t size) {
    return hki_canary_check(block, size) <= size;
}

/* A small block of the calling thread's heap, in a line where no other thread has freed any. False, and nothing has
 * changed, for all others and for what is to be reported. size_known: what was asked for, or SIZE_MAX. */
HKI_INLINE bool free_own_small(hki_arena *arena, void *pointer, size_t size_known) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_heap *heap = hki_thread_heap(arena);
    if (HKI_UNLIKELY(!hki_granule_exists(granule)))
        return false;
    _Atomic uint64_t *word = hki_live_word(granule);
    uint64_t live = atomic_load_explicit(word, memory_order_relaxed);
    unsigned size_class = hki_granule_tag(granule) ^ heap->line_tag;
    if (HKI_UNLIKELY((live >> (granule & 63) & 1) == 0 || size_class >= HKI_CLASS_LARGE))
        return false;
    size_t size = heap->delays[size_class].size;
    if (HKI_UNLIKELY(!hki_canary_is_whole(pointer, size)) && !is_whole(pointer, size))
        return false;
    if (size_known != SIZE_MAX && size_known != hki_canary_usable(pointer, size))
        return false;
    atomic_store_explicit(word, live ^ hki_granule_mask(granule), memory_order_release);
    hki_zero(pointer, size);
    hki_hardened_put(heap, size_class, granule);
    return true;
}

/* A block of whole units. It is claimed before it is looked at, and for as long: another thread may unmap it
 * afterwards. Of one that cannot be freed *usable tells what a report says. */
static hk_status free_large(hki_arena *arena, const hki_block *block, size_t size, size_t *usable) {
    void *address = hki_granule_address(block->granule);
    if (!hki_large_claim(&arena->large, block->granule))
        return HK_ERR_DOUBLE_FREE;
    hk_status status = hki_canary_verify(address, block->size, size);
    if (status != HK_OK) {
        *usable = hki_canary_usable(address, block->size);
        hki_large_unclaim(block->granule);
        return status;
    }
    hki_hardened_erase(address, block->size);
    hki_quota_give(&arena->quota, hki_large_give(&arena->large, block->granule));
    return HK_OK;
}

/* The block is zeroed before its owner can see that it is free, but for the seal, by which it is claimed. */
static hk_status free_remote(const hki_block *block, size_t size) {
    void *address = hki_granule_address(block->granule);
    hk_status status = hki_canary_claim(address, block->size, size);
    if (status == HK_ERR_OVERFLOW && hki_block_find(address).status != HK_OK)
        return HK_ERR_DOUBLE_FREE; /* another thread was faster, and the owner has broken the seal by now */
    if (status != HK_OK)
        return status;
    memset(address, 0, block->size - sizeof(uint64_t));
    return hki_heap_free_remote(block->granule);
}

static hk_status free_own(hki_heap *heap, const hki_block *block, size_t size) {
    void *address = hki_granule_address(block->granule);
    hk_status status = hki_canary_verify(address, block->size, size);
    if (status != HK_OK)
        return status;
    if (block->kind == HK_POINTER_SMALL) {
        hki_live_clear(block->granule);
        memset(address, 0, block->size);
        if ((hki_granule_tag(block->granule) & HKI_TAG_REMOTE) != 0)
            hki_heap_unmark(hki_granule_line(block->granule));
        hki_hardened_put(heap, block->size_class, block->granule);
    } else {
        memset(address, 0, block->size);
        hki_heap_free(heap, block->granule);
    }
    return HK_OK;
}

static hk_status free_in_heap(hki_arena *arena, const hki_block *block, size_t size) {
    hki_heap *heap = hki_thread_heap(arena);
    return block->owner == (uintptr_t)heap ? free_own(heap, block, size) : free_remote(block, size);
}

static hk_status free_any(hki_arena *arena, hki_target target) {
    if (target.pointer == NULL)
        return HK_OK;
    hki_block block = hki_block_find(target.pointer);
    hk_status status = block.status;
    if (status == HK_OK && hki_arena_of_owner(block.owner) != arena)
        status = HK_ERR_WRONG_ARENA;
    if (status != HK_OK)
        return hki_misuse(target, &block, status);
    size_t usable = block.size - HKI_SLACK_MIN;
    if ((block.owner & HKI_OWNER_IS_ARENA) != 0) {
        status = free_large(arena, &block, hki_size_known(target), &usable);
        return status == HK_OK ? HK_OK : hki_misuse_of_size(target, &block, usable, status);
    }
    status = free_in_heap(arena, &block, hki_size_known(target));
    return status == HK_OK ? HK_OK : hki_misuse(target, &block, status);
}

static __attribute__((noinline)) hk_status free_otherwise(hki_arena *arena, void *pointer, const char *function) {
    return free_any(arena, hki_target_of(function, pointer));
}

static HKI_WIDE hk_status free_wide(hki_arena *arena, void *pointer, const char *function) {
    return HKI_LIKELY(free_own_small(arena, pointer, SIZE_MAX)) ? HK_OK : free_otherwise(arena, pointer, function);
}

static __attribute__((noinline)) hk_status free_narrow(hki_arena *arena, void *pointer, const char *function) {
    return HKI_LIKELY(free_own_small(arena, pointer, SIZE_MAX)) ? HK_OK : free_otherwise(arena, pointer, function);
}

hk_status hki_hardened_free(hki_arena *arena, void *pointer, const char *function) {
    return HKI_LIKELY(hki_cpu_wide) ? free_wide(arena, pointer, function) : free_narrow(arena, pointer, function);
}

hk_status hki_hardened_free_sized(hki_arena *arena, hki_target target) {
    return free_own_small(arena, target.pointer, hki_size_known(target)) ? HK_OK : free_any(arena, target);
}

/* ---- reallocate ---- */

typedef uintptr_t resize_function(hki_arena *arena, const hki_block *block, size_t size);

/* Keeps the first `keep` bytes of a block and resizes it if `resize` can, or else leaves it with just those in use.
 * Lines that it grows by are zeroed. NULL if it cannot be resized. */
static void *resize_with(resize_function *resize, hki_arena *arena, const hki_block *block, size_t keep, size_t size) {
    char *address = hki_granule_address(block->granule);
    hki_hardened_erase(address + keep, block->size - keep);
    uintptr_t granule = resize(arena, block, size + HKI_SLACK_MIN);
    if (granule == 0) {
        hki_canary_write(address, block->size, keep);
        return NULL;
    }
    char *resized = hki_granule_address(granule);
    size_t now = block->kind == HK_POINTER_SMALL ? block->size : hki_block_find(resized).size;
    if (now > block->size && (block->owner & HKI_OWNER_IS_ARENA) == 0)
        memset(resized + block->size, 0, now - block->size);
    hki_canary_write(resized, now, size);
    return resized;
}

/* A block for what a realloc moves; in the process heap if it was a retired arena's. */
static void *alloc_moved(hki_arena *arena, size_t asked, size_t size, const char *function) {
    if (arena->hardened && size > asked && size <= HKI_SMALL_MAX - HKI_SLACK_MIN)
        return hki_hardened_alloc(arena, size, function);
    hki_request request = {
        .size = size,
        .alignment = 1,
        .grows = size > asked,
        .optional = size <= asked,
        .function = function,
    };
    return hki_alloc(arena, request);
}

void *hki_hardened_realloc(hki_arena *arena, hki_target target, size_t size, const hki_block *block,
                           hk_status *status) {
    *status = hki_canary_verify(target.pointer, block->size, hki_size_known(target));
    if (*status != HK_OK)
        return NULL;
    size_t asked = hki_canary_usable(target.pointer, block->size);
    size_t keep = hki_min(asked, size);
    void *resized = resize_with(hki_resize_in_place, arena, block, keep, size);
    if (resized != NULL)
        return resized;
    hk_status before = hki_last_status;
    void *copy = alloc_moved(arena, asked, size, target.function);
    if (copy == NULL && size <= asked) {
        hki_last_status = before; /* a shrink does not fail */
        return resize_with(hki_shrink_in_place, arena, block, keep, size);
    }
    if (copy == NULL)
        return NULL;
    memcpy(copy, target.pointer, keep);
    hki_free(arena, hki_target_of(target.function, target.pointer));
    return copy;
}
