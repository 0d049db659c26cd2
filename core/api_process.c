/* api_process: the process heap, sizes, misuse policy, and what a pointer is. The fast paths are here in full; what
 * they miss goes to alloc.h. */
#include "alloc.h"
#include "report.h"

#include <string.h>

const char *hk_version(void) {
    return HK_VERSION_STRING;
}

void hk_set_error_handler(hk_error_handler handler, void *user_data) {
    hki_report_set_handler(handler, user_data);
}

hk_status hk_set_error_policy(hk_error_policy policy) {
    if ((unsigned)policy > HK_ON_ERROR_IGNORE)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    hki_start(); /* or else the environment would have its say later */
    hki_report_set_policy(policy);
    return HK_OK;
}

size_t hk_good_size(size_t size) {
    if (size > HKI_BLOCK_MAX)
        return 0;
    if (size <= HKI_SMALL_MAX)
        return hki_classes[hki_class_of(hki_class_table_16, size)].size;
    return hki_lines_of(size) << HKI_LINE_SHIFT;
}

/* The process heap's arena; NULL, and the status is set, if hakmem cannot start. */
static hki_arena *process_arena(void) {
    if (hki_start())
        return atomic_load_explicit(&hki_default_arena, memory_order_acquire);
    hki_fail(HK_ERR_NO_MEMORY);
    return NULL;
}

static HKI_MISS void *alloc_slow(size_t size, size_t alignment, bool zero) {
    hki_arena *arena = process_arena();
    return arena == NULL ? NULL : hki_alloc(arena, (hki_request){.size = size, .alignment = alignment, .zero = zero});
}

static HKI_MISS hk_status free_slow(hki_target target) {
    if (target.pointer == NULL)
        return HK_OK;
    hki_arena *arena = process_arena();
    if (arena == NULL) /* so nothing was allocated yet */
        return hki_misuse(target, &(hki_block){0}, HK_ERR_FOREIGN_POINTER);
    return hki_free(arena, target);
}

void *hk_malloc(size_t size) {
    if (HKI_LIKELY(size <= HKI_SMALL_MAX)) {
        uintptr_t granule = hki_heap_pop(hki_self.heap, hki_class_of(hki_class_table_16, size));
        if (HKI_LIKELY(granule != 0))
            return hki_granule_address(granule);
    }
    return alloc_slow(size, 1, false);
}

void *hk_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    if (HKI_UNLIKELY(bytes > HKI_SMALL_MAX))
        return alloc_slow(bytes, 1, true);
    void *block = hk_malloc(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes);
}

void *hk_aligned_alloc(size_t alignment, size_t size) {
    if (alignment == 0) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    return alloc_slow(size, alignment, false);
}

void hk_free(void *pointer) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (HKI_LIKELY(hki_heap_find(heap, granule, &found)) && HKI_LIKELY(hki_heap_push(heap, granule, found)))
        return;
    free_slow(hki_target_of("hk_free", pointer));
}

void hk_free_sized(void *pointer, size_t size) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (HKI_LIKELY(size <= HKI_SMALL_MAX) && HKI_LIKELY(hki_heap_find(heap, granule, &found)) &&
        HKI_LIKELY(found.size_class == hki_class_of(hki_class_table_16, size)) &&
        HKI_LIKELY(hki_heap_push(heap, granule, found)))
        return;
    free_slow(hki_target_sized("hk_free_sized", pointer, size));
}

void *hk_realloc(void *pointer, size_t size) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (HKI_LIKELY(size - 1 < HKI_SMALL_MAX) && HKI_LIKELY(hki_heap_find(heap, granule, &found)) &&
        found.size_class == hki_class_of(hki_class_table_16, size))
        return pointer;
    hki_arena *arena = process_arena();
    return arena == NULL ? NULL : hki_realloc(arena, hki_target_of("hk_realloc", pointer), size);
}

size_t hk_usable_size(const void *pointer) {
    if (pointer == NULL)
        return 0;
    hki_block block = hki_block_find(pointer);
    if (block.status == HK_OK)
        return hki_usable_size(&block);
    hki_misuse(hki_target_of("hk_usable_size", pointer), &block, block.status);
    return 0;
}

void hk_purge(void) {
    if (!hki_start())
        return;
    hki_thread_trim();
    hki_arenas_purge();
}

hk_status hk_classify(const void *pointer, hk_pointer_info *info) {
    hk_pointer_info known = {.struct_size = sizeof known};
    if (info == NULL || info->struct_size < sizeof info->struct_size)
        return hki_fail(HK_ERR_INVALID_ARGUMENT);
    hki_block block = hki_block_find(pointer);
    const hki_arena *arena = hki_arena_of_owner(block.owner);
    known.kind = block.kind;
    known.state = block.state;
    known.arena = arena != NULL ? hki_arena_handle(arena) : NULL;
    known.block_start = block.granule != 0 ? hki_granule_address(block.granule) : NULL;
    known.block_size = hki_usable_size(&block);
    size_t size = info->struct_size;
    memcpy(info, &known, hki_min(size, sizeof known));
    info->struct_size = size;
    return HK_OK;
}
