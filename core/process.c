/* process: see process.h. */
#include "process.h"

#include "report.h"

#include <string.h>

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

/* From one class to another, within the calling thread's heap: which is most reallocation there is. The old block is
 * pushed before it is copied, as nobody else takes it. NULL, and nothing has changed, if it is not as simple as that. */
static void *move_small(void *pointer, size_t size) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    if (size - 1 >= HKI_SMALL_MAX || !hki_heap_find(heap, granule, &found) || found.size_class == HKI_CLASS_LARGE)
        return NULL;
    unsigned size_class = hki_class_of(hki_class_table_16, size);
    if (size_class == found.size_class || hki_heap_is_full(heap, found.size_class))
        return NULL;
    uintptr_t to = hki_heap_pop(heap, size_class);
    if (to == 0)
        return NULL;
    hki_heap_push(heap, granule, found); /* its word is another one than that of `to`, which is in a run of its own */
    return memcpy(hki_granule_address(to), pointer, hki_min(size, hki_classes[found.size_class].size));
}

void *hki_process_realloc(hki_target target, size_t size) {
    void *moved = target.sized ? NULL : move_small(target.pointer, size);
    if (moved != NULL)
        return moved;
    hki_arena *arena = hki_process_arena();
    return arena == NULL ? NULL : hki_realloc(arena, target, size);
}
