/* process: the process heap under any set of names: hk_malloc and its kin, and those of the C library. The fast paths
 * are here in full; each caller decides what happens when they miss, most often one of the slow ways below. No state.
 *
 * Which sizes share a class is the caller's choice of a table; blocks of one set of names may be freed by the other. */
#ifndef HKI_PROCESS_H
#define HKI_PROCESS_H

#include "alloc.h"

/* A block of a heap, or NULL: then the slow way. */
HKI_INLINE void *hki_process_pop_from(hki_heap *heap, const uint8_t *class_table, size_t size) {
    if (HKI_UNLIKELY(size > HKI_SMALL_MAX))
        return NULL;
    uintptr_t granule = hki_heap_pop(heap, hki_class_of(class_table, size));
    if (HKI_UNLIKELY(granule == 0))
        return NULL;
    void *block = hki_granule_address(granule);
    if (block == NULL)
        __builtin_unreachable(); /* so that the caller's look at the result is none */
    return block;
}

HKI_INLINE void *hki_process_pop(const uint8_t *class_table, size_t size) {
    return hki_process_pop_from(hki_self.heap, class_table, size);
}

/* Whether the block, if it is the heap's, has been freed; if not, nothing has changed. */
HKI_INLINE bool hki_process_push_to(hki_heap *heap, const void *pointer) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    return HKI_LIKELY(hki_heap_find(heap, granule, &found)) && HKI_LIKELY(hki_heap_push(heap, granule, found));
}

HKI_INLINE bool hki_process_push(void *pointer) {
    return hki_process_push_to(hki_self.heap, pointer);
}

HKI_INLINE bool hki_process_push_sized(const uint8_t *class_table, void *pointer, size_t size) {
    hki_heap *heap = hki_self.heap;
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    return HKI_LIKELY(size <= HKI_SMALL_MAX) && HKI_LIKELY(hki_heap_find(heap, granule, &found)) &&
           HKI_LIKELY(found.size_class == hki_class_of(class_table, size)) &&
           HKI_LIKELY(hki_heap_push(heap, granule, found));
}

/* Whether a block of the heap's that is reallocated to `size` bytes may stay as it is. */
HKI_INLINE bool hki_process_keeps_in(const hki_heap *heap, const uint8_t *class_table, const void *pointer,
                                     size_t size) {
    uintptr_t granule = hki_granule_of(pointer);
    hki_found found;
    return HKI_LIKELY(size - 1 < HKI_SMALL_MAX) && HKI_LIKELY(hki_heap_find(heap, granule, &found)) &&
           found.size_class == hki_class_of(class_table, size);
}

HKI_INLINE bool hki_process_keeps(const uint8_t *class_table, const void *pointer, size_t size) {
    return hki_process_keeps_in(hki_self.heap, class_table, pointer, size);
}

/* The process heap's arena; NULL, and the status is set, if hakmem cannot start. */
hki_arena *hki_process_arena(void);
/* Fast paths call the last two by way of functions that take only words: a target is handed over in memory, for which
 * they would make room even where they do not miss. */
HKI_MISS void *hki_process_alloc(size_t size, size_t alignment, bool zero);
HKI_MISS hk_status hki_process_free(hki_target target);
HKI_MISS void *hki_process_realloc(hki_target target, size_t size);

#endif
