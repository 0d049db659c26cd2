/* process: see process.h. */
#include "process.h"

#include "report.h"

hki_arena *hki_process_arena(void) {
    if (hki_start())
        return atomic_load_explicit(&hki_default_arena, memory_order_acquire);
    hki_fail(HK_ERR_NO_MEMORY);
    return NULL;
}

void *hki_process_alloc(size_t size, size_t alignment, bool zero) {
    hki_arena *arena = hki_process_arena();
    return arena == NULL ? NULL : hki_alloc(arena, (hki_request){.size = size, .alignment = alignment, .zero = zero});
}

hk_status hki_process_free(hki_target target) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(target.pointer);
    hki_found found;
    if (target.pointer == NULL)
        return HK_OK;
    if (!target.sized && hki_heap_find(heap, granule, &found) && found.size_class != HKI_CLASS_LARGE) {
        hki_heap_free(heap, granule); /* its stack is full */
        return HK_OK;
    }
    hki_arena *arena = hki_process_arena();
    if (arena == NULL) /* so nothing was allocated yet */
        return hki_misuse(target, &(hki_block){0}, HK_ERR_FOREIGN_POINTER);
    return hki_free(arena, target);
}

void *hki_process_realloc(hki_target target, size_t size) {
    if (!target.sized && size - 1 < HKI_SMALL_MAX) {
        void *resized = hki_heap_resize_small(hki_self.heap, hki_class_table_16, target.pointer, size);
        if (resized != NULL)
            return resized;
    }
    hki_arena *arena = hki_process_arena();
    return arena == NULL ? NULL : hki_realloc(arena, target, size);
}
