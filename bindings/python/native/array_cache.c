/* array_cache: large blocks of freed arrays, for the next arrays of the same sizes; huge pages for them. See native.h.
 *
 * Temporaries of an expression come and go in the same few sizes. From the cache they are had without the library's
 * pool, and with the pages and the huge pages that they had. Only blocks that the library says are live, the arena's
 * and large come in; small ones do not, as the library's own stacks are as quick, and check every free.
 *
 * Used by whoever is inside of the arena. To the library, cached blocks are live: so they go back to it before anybody
 * else than arrays comes in (native_enter), and nobody ever sees them.
 *
 * Invariants: blocks[0 .. count) are live blocks of the arena that no array has, the oldest first; bytes is their sum,
 * NATIVE_CACHE_BYTES at most. */
#include "native.h"

#include <string.h>
#include <sys/mman.h>

enum {
    PAGE_BYTES = 4096,
    SEGMENT_BYTES = 4 << 20, /* the address space of a block of NATIVE_HUGE_BYTES or more is whole segments */
};

/* ---- huge pages ---- */

void native_advise_huge_pages(native_arena *arena, void *block, size_t size) {
    uintptr_t start = ((uintptr_t)block + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)block + size) & ~(uintptr_t)(PAGE_BYTES - 1);
    arena->has_advised = true;
    (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
}

/* There is no call that takes an advice back, but this is the same where huge pages are for those that ask. It covers
 * the address space behind the block as well, so that the kernel can move the block as one piece. */
void native_unadvise_huge_pages(const native_arena *arena, void *block, size_t size) {
    uintptr_t end = ((uintptr_t)block + size + SEGMENT_BYTES - 1) & ~(uintptr_t)(SEGMENT_BYTES - 1);
    if (arena->has_advised && size >= NATIVE_HUGE_BYTES)
        (void)madvise(block, end - (uintptr_t)block, MADV_NOHUGEPAGE);
}

/* ---- the cache ---- */

static void remove_at(native_array_cache *cache, unsigned place) {
    cache->bytes -= cache->blocks[place].size_bytes;
    cache->count--;
    memmove(&cache->blocks[place], &cache->blocks[place + 1], (cache->count - place) * sizeof *cache->blocks);
}

static void give_back(native_arena *arena, unsigned place) {
    native_cached_block block = arena->cache.blocks[place];
    remove_at(&arena->cache, place);
    native_unadvise_huge_pages(arena, block.start, block.size_bytes);
    (void)hk_arena_free(arena->handle, block.start);
}

void native_cache_empty_slowly(native_arena *arena) {
    while (arena->cache.count != 0)
        give_back(arena, 0);
}

void *native_cache_take(native_arena *arena, size_t size, size_t alignment) {
    native_array_cache *cache = &arena->cache;
    size_t size_bytes = hk_good_size(size);
    for (unsigned i = cache->count; i-- > 0;) {
        void *block = cache->blocks[i].start;
        if (cache->blocks[i].size_bytes != size_bytes || ((uintptr_t)block & (alignment - 1)) != 0)
            continue;
        remove_at(cache, i);
        return block;
    }
    return NULL;
}

/* The second free of a block that is cached: it leaves, and so the library is given it twice. */
static bool is_cached(native_arena *arena, const void *block) {
    for (unsigned i = 0; i < arena->cache.count; i++) {
        if (arena->cache.blocks[i].start != block)
            continue;
        give_back(arena, i);
        return true;
    }
    return false;
}

bool native_cache_put(native_arena *arena, void *block) {
    native_array_cache *cache = &arena->cache;
    hk_pointer_info info = {.struct_size = sizeof info};
    if ((arena->flags & HK_ARENA_HARDENED) != 0 || hk_classify(block, &info) != HK_OK)
        return false;
    bool is_ours = info.state == HK_BLOCK_LIVE && info.block_start == block && info.arena == arena->handle;
    if (!is_ours || info.kind == HK_POINTER_SMALL || info.block_size > NATIVE_CACHE_BYTES || is_cached(arena, block))
        return false;
    while (cache->count == NATIVE_CACHE_BLOCKS || cache->bytes + info.block_size > NATIVE_CACHE_BYTES)
        give_back(arena, 0);
    cache->blocks[cache->count++] = (native_cached_block){block, info.block_size};
    cache->bytes += info.block_size;
    return true;
}
