/* api_arena: explicit arenas. Every function finds the arena of its handle first; what the fast paths miss goes to
 * alloc.h. */
#include "alloc_hardened.h"
#include "check.h"
#include "map.h"
#include "report.h"
#include "rewind.h"
#include "statistics.h"
#include "walk.h"

#include <string.h>

/* ---- life ---- */

static hk_status check_config(const hk_arena_config *config) {
    const uint32_t known = HK_ARENA_ONE_THREAD_AT_A_TIME | HK_ARENA_REWINDABLE | HK_ARENA_HARDENED;
    if ((config->flags & ~known) != 0)
        return HK_ERR_INVALID_ARGUMENT;
    if (config->min_alignment != 0 && config->min_alignment != 8 && config->min_alignment != 16)
        return HK_ERR_INVALID_ARGUMENT;
    if (config->limit_bytes != 0 && config->limit_bytes < HKI_LINE_SIZE)
        return HK_ERR_INVALID_ARGUMENT;
    if (config->name != NULL && strnlen(config->name, HK_ARENA_NAME_MAX + 1) > HK_ARENA_NAME_MAX)
        return HK_ERR_INVALID_ARGUMENT;
    if (config->reserve_bytes != 0 && (config->flags & HK_ARENA_REWINDABLE) == 0)
        return HK_ERR_INVALID_ARGUMENT;
    if (config->reserve_bytes > HKI_BLOCK_MAX)
        return HK_ERR_INVALID_ARGUMENT;
    if ((config->flags & HK_ARENA_REWINDABLE) == 0)
        return HK_OK;
    return (config->flags & HK_ARENA_HARDENED) != 0 || config->parent != NULL ? HK_ERR_UNSUPPORTED : HK_OK;
}

/* The configuration as this version knows it: what an older caller's does not have yet is 0. */
static hk_status read_config(const hk_arena_config *given, hk_arena_config *config) {
    *config = HK_ARENA_CONFIG_INIT;
    if (given == NULL)
        return HK_OK;
    if (given->struct_size != sizeof *config && given->struct_size != offsetof(hk_arena_config, parent))
        return HK_ERR_INVALID_ARGUMENT;
    memcpy(config, given, given->struct_size);
    config->struct_size = sizeof *config;
    return check_config(config);
}

hk_status hk_arena_create(const hk_arena_config *given, hk_arena **handle) {
    hk_arena_config config;
    hki_arena *arena;
    if (handle == NULL)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    *handle = NULL;
    hk_status status = read_config(given, &config);
    if (status == HK_OK)
        status = hki_start() ? hki_arena_create(&config, &arena) : HK_ERR_NO_MEMORY;
    if (status == HK_ERR_BAD_ARENA)
        return hki_bad_arena("hk_arena_create", config.parent);
    if (status != HK_OK)
        return hki_fail(status);
    if ((config.flags & HK_ARENA_REWINDABLE) != 0)
        status = hki_rewind_start(arena, config.reserve_bytes);
    if (status != HK_OK) {
        hki_arena_destroy(hki_arena_handle(arena));
        return hki_fail(status);
    }
    *handle = hki_arena_handle(arena);
    return HK_OK;
}

/* The process heap has users that do not know of each other. */
static bool is_default(const hk_arena *handle) {
    const hki_arena *arena = hki_arena_find(handle);
    return arena != NULL && arena == atomic_load_explicit(&hki_default_arena, memory_order_relaxed);
}

hk_status hk_arena_destroy(hk_arena *handle) {
    if (is_default(handle))
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    hk_status status = hki_arena_destroy(handle);
    if (status == HK_ERR_BAD_ARENA)
        return hki_bad_arena("hk_arena_destroy", handle);
    return status == HK_OK ? HK_OK : hki_fail(status);
}

hk_status hk_arena_reset(hk_arena *handle) {
    if (is_default(handle))
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    return hki_arena_reset(handle) ? HK_OK : hki_bad_arena("hk_arena_reset", handle);
}

hk_status hk_arena_retire(hk_arena *handle) {
    if (is_default(handle))
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    return hki_arena_retire(handle) ? HK_OK : hki_bad_arena("hk_arena_retire", handle);
}

hk_status hk_arena_trim(hk_arena *handle) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_trim", handle);
    if (!hki_rewind_enter(arena))
        return hki_fail(HK_ERR_BUSY);
    hki_arena_trim(arena, hki_thread_heap(arena));
    hki_rewind_leave(arena);
    return HK_OK;
}

hk_arena *hk_arena_default(void) {
    if (!hki_start()) {
        hki_fail(HK_ERR_NO_MEMORY);
        return NULL;
    }
    return hki_arena_handle(atomic_load_explicit(&hki_default_arena, memory_order_acquire));
}

hk_status hk_arena_checkpoint(hk_arena *handle) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_checkpoint", handle);
    hk_status status = hki_rewind_checkpoint(arena);
    return status == HK_OK ? HK_OK : hki_fail(status);
}

hk_status hk_arena_rollback(hk_arena *handle) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_rollback", handle);
    hk_status status = hki_rewind_rollback(arena);
    return status == HK_OK ? HK_OK : hki_fail(status);
}

/* ---- blocks ---- */

static HKI_MISS void *alloc_slow(const char *function, hk_arena *handle, hki_request request) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL) {
        hki_bad_arena(function, handle);
        return NULL;
    }
    if (arena->hardened && request.alignment == 1)
        return hki_hardened_alloc(arena, request.size, function);
    request.function = function;
    return hki_alloc(arena, request);
}

static HKI_MISS hk_status free_slow(hk_arena *handle, hki_target target) {
    hki_arena *arena = hki_arena_find(handle);
    return arena == NULL ? hki_bad_arena(target.function, handle) : hki_free(arena, target);
}

/* What the fast paths and those of threads with several heaps have in common. `heap` may be NULL. */

/* A granule, or 0. */
HKI_INLINE uintptr_t pop_small(hki_heap *heap, size_t size) {
    if (HKI_UNLIKELY(heap == NULL) || HKI_UNLIKELY(size > HKI_SMALL_MAX))
        return 0;
    return hki_heap_pop(heap, hki_class_of(heap->class_table, size));
}

HKI_INLINE bool push_any(hki_heap *heap, void *pointer) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    return HKI_LIKELY(heap != NULL) && HKI_LIKELY(hki_heap_find(heap, granule, &found)) &&
           HKI_LIKELY(hki_heap_push(heap, granule, found));
}

HKI_INLINE bool push_sized(hki_heap *heap, void *pointer, size_t size) {
    if (HKI_UNLIKELY(heap == NULL) || HKI_UNLIKELY(size > HKI_SMALL_MAX))
        return false;
    unsigned size_class = hki_class_of(heap->class_table, size);
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    return HKI_LIKELY(hki_heap_find(heap, granule, &found)) && HKI_LIKELY(found.size_class == size_class) &&
           HKI_LIKELY(hki_heap_push(heap, granule, found));
}

/* Hardened arenas always come here: the fast paths do not find them. So do threads with heaps in several arenas. */
static HKI_MISS void *alloc_missed(hk_arena *handle, size_t size) {
    static const char function[] = "hk_arena_alloc";
    hki_arena *arena = hki_arena_find(handle);
    if (HKI_LIKELY(arena != NULL && arena->hardened))
        return hki_hardened_alloc(arena, size, function);
    uintptr_t granule = arena != NULL ? pop_small(hki_thread_heap(arena), size) : 0;
    if (granule != 0)
        return hki_granule_address(granule);
    return alloc_slow(function, handle, (hki_request){.size = size, .alignment = 1});
}

static HKI_MISS hk_status free_missed(hk_arena *handle, void *pointer) {
    static const char function[] = "hk_arena_free";
    hki_arena *arena = hki_arena_find(handle);
    if (HKI_LIKELY(arena != NULL && arena->hardened))
        return hki_hardened_free(arena, pointer, function);
    if (arena != NULL && push_any(hki_thread_heap(arena), pointer))
        return HK_OK;
    return free_slow(handle, hki_target_of(function, pointer));
}

static HKI_MISS hk_status free_sized_missed(hk_arena *handle, void *pointer, size_t size) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    if (arena != NULL && push_sized(hki_thread_heap(arena), pointer, size))
        return HK_OK;
    return free_slow(handle, hki_target_sized("hk_arena_free_sized", pointer, size));
}

static HKI_MISS void *realloc_slow(hk_arena *handle, hki_target target, size_t size) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL) {
        hki_bad_arena(target.function, handle);
        return NULL;
    }
    return hki_realloc(arena, target, size);
}

void *hk_arena_alloc(hk_arena *handle, size_t size) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    uintptr_t granule = HKI_LIKELY(arena != NULL) ? pop_small(hki_thread_heap_at_hand(arena), size) : 0;
    return HKI_LIKELY(granule != 0) ? hki_granule_address(granule) : alloc_missed(handle, size);
}

void *hk_arena_calloc(hk_arena *handle, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    return alloc_slow("hk_arena_calloc", handle, (hki_request){.size = bytes, .alignment = 1, .zero = true});
}

void *hk_arena_aligned_alloc(hk_arena *handle, size_t alignment, size_t size) {
    return alloc_slow("hk_arena_aligned_alloc", handle, (hki_request){.size = size, .alignment = alignment});
}

hk_status hk_arena_free(hk_arena *handle, void *pointer) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    bool is_done = HKI_LIKELY(arena != NULL) && push_any(hki_thread_heap_at_hand(arena), pointer);
    return HKI_LIKELY(is_done) ? HK_OK : free_missed(handle, pointer);
}

hk_status hk_arena_free_sized(hk_arena *handle, void *pointer, size_t size) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    bool is_done = HKI_LIKELY(arena != NULL) && push_sized(hki_thread_heap_at_hand(arena), pointer, size);
    return HKI_LIKELY(is_done) ? HK_OK : free_sized_missed(handle, pointer, size);
}

void *hk_arena_realloc(hk_arena *handle, void *pointer, size_t size) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    if (HKI_LIKELY(arena != NULL) && HKI_LIKELY(size - 1 < HKI_SMALL_MAX)) {
        void *resized = hki_heap_resize_small(hki_thread_heap(arena), arena->heap.class_table, pointer, size);
        if (HKI_LIKELY(resized != NULL))
            return resized;
    }
    return realloc_slow(handle, hki_target_of("hk_arena_realloc", pointer), size);
}

/* From one stack to another, if both sizes are small and both stacks allow it; NULL if not. */
HKI_INLINE void *move_small(hki_arena *arena, void *pointer, size_t old_size, size_t size) {
    hki_heap *heap = hki_thread_heap(arena);
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (HKI_UNLIKELY(!hki_heap_find(heap, granule, &found)))
        return NULL;
    unsigned from = hki_class_of(arena->heap.class_table, old_size);
    unsigned to = hki_class_of(arena->heap.class_table, size);
    if (HKI_UNLIKELY(found.size_class != from))
        return NULL;
    if (from == to)
        return pointer;
    return hki_heap_move(heap, granule, found, to, hki_min(old_size, size));
}

void *hk_arena_realloc_sized(hk_arena *handle, void *pointer, size_t old_size, size_t size) {
    hki_arena *arena = hki_arena_find_ordinary(handle);
    if (HKI_LIKELY(arena != NULL) && HKI_LIKELY(old_size <= HKI_SMALL_MAX) && HKI_LIKELY(size - 1 < HKI_SMALL_MAX)) {
        void *moved = move_small(arena, pointer, old_size, size);
        if (HKI_LIKELY(moved != NULL))
            return moved;
    }
    return realloc_slow(handle, hki_target_sized("hk_arena_realloc_sized", pointer, old_size), size);
}

/* ---- what is known of an arena ---- */

hk_arena *hk_arena_of(const void *pointer) {
    hki_block block = hki_block_find(pointer);
    const hki_arena *arena = block.state == HK_BLOCK_LIVE ? hki_arena_of_owner(block.owner) : NULL;
    return arena != NULL ? hki_arena_handle(arena) : NULL;
}

bool hk_arena_owns(const hk_arena *handle, const void *pointer) {
    const hki_arena *arena = hki_arena_find(handle);
    hki_block block = hki_block_find(pointer);
    return arena != NULL && block.status == HK_OK && hki_arena_of_owner(block.owner) == arena;
}

hk_status hk_arena_set_limit(hk_arena *handle, size_t limit_bytes) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_set_limit", handle);
    if (limit_bytes != 0 && limit_bytes < HKI_LINE_SIZE)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    size_t lines = limit_bytes == 0 ? HKI_NO_LIMIT : limit_bytes >> HKI_LINE_SHIFT;
    atomic_store_explicit(&arena->quota.limit_lines, lines, memory_order_relaxed);
    return HK_OK;
}

size_t hk_arena_limit(const hk_arena *handle) {
    const hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL) {
        hki_bad_arena("hk_arena_limit", handle);
        return 0;
    }
    size_t lines = atomic_load_explicit(&arena->quota.limit_lines, memory_order_relaxed);
    return lines == HKI_NO_LIMIT ? 0 : lines << HKI_LINE_SHIFT;
}

const char *hk_arena_name(const hk_arena *handle) {
    const hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL) {
        hki_bad_arena("hk_arena_name", handle);
        return NULL;
    }
    return arena->name;
}

hk_status hk_arena_statistics(hk_arena *handle, hk_statistics *statistics) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_statistics", handle);
    if (statistics == NULL || statistics->struct_size < sizeof statistics->struct_size)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    hk_statistics all;
    size_t size = statistics->struct_size;
    hki_statistics_get(arena, hki_thread_heap(arena), &all);
    all.struct_size = size;
    memcpy(statistics, &all, hki_min(size, sizeof all));
    return HK_OK;
}

hk_status hk_arena_check(hk_arena *handle) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_check", handle);
    const void *where;
    const char *wrong = hki_arena_check(arena, &where);
    if (wrong == NULL)
        return HK_OK;
    hki_text text = {0};
    hki_text_add(&text, "HK_ERR_CORRUPT in hk_arena_check: arena \"");
    hki_text_add(&text, arena->name);
    hki_text_add(&text, "\": ");
    hki_text_add(&text, wrong);
    hki_text_add(&text, ", at ");
    hki_text_add_address(&text, where);
    hki_text_write(&text);
    return hki_fail(HK_ERR_CORRUPT);
}

hk_status hk_arena_walk(hk_arena *handle, hk_block_visitor visitor, void *user_data) {
    const hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_walk", handle);
    if (visitor == NULL)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    hki_walk(arena, visitor, user_data);
    return HK_OK;
}

hk_status hk_arena_dump_map(hk_arena *handle, int file_descriptor) {
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        return hki_bad_arena("hk_arena_dump_map", handle);
    bool is_written = hki_map_write(arena, hki_thread_heap(arena), file_descriptor);
    return is_written ? HK_OK : hki_fail(HK_ERR_INVALID_ARGUMENT);
}
