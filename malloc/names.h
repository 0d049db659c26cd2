/* names: what the files of this folder share. They put hakmem behind the names of the C library's malloc and of C++'s
 * operators new and delete, all in the process heap. Semantics are those of C23, POSIX.1-2024 and the GNU C Library
 * Reference Manual ("Unconstrained Allocation", "Replacing malloc"); `errno` is set by what fails, and kept by all that
 * frees. Blocks are aligned to 16 bytes at least, whatever their size. */
#ifndef HAKMEM_MALLOC_NAMES_H
#define HAKMEM_MALLOC_NAMES_H

#include "process.h"

#define HKM_EXPORT __attribute__((visibility("default")))

/* No block is smaller: see hki_class_table_malloc. */
enum { HKM_SMALLEST = 16 };

/* A block, or NULL and ENOMEM. `alignment` is any power of two. */
HKI_MISS void *hkm_alloc(size_t size, size_t alignment);

/* What the fast paths of every free come to when they miss; `function` is for reports. A block of the C library's own
 * malloc goes back there; everything else that is no live block of hakmem's is misuse. */
HKI_MISS void hkm_free(const char *function, void *pointer);
HKI_MISS void hkm_free_sized(const char *function, void *pointer, size_t size);
/* The block has one of two sizes. */
HKI_MISS void hkm_free_either(const char *function, void *pointer, size_t size, size_t rounded);

HKI_INLINE void hkm_push(const char *function, void *pointer) {
    if (!hki_process_push(pointer))
        hkm_free(function, pointer);
}

HKI_INLINE void hkm_push_sized(const char *function, void *pointer, size_t size) {
    if (!hki_process_push_sized(hki_class_table_malloc, pointer, size))
        hkm_free_sized(function, pointer, size);
}

/* What was allocated with an alignment may have got a multiple of it, as C++'s libraries and many callers round sizes
 * up: both sizes are right. */
HKI_INLINE void hkm_push_sized_aligned(const char *function, void *pointer, size_t size, size_t alignment) {
    size_t rounded = hki_align_up(hki_max(size, 1), alignment);
    if (!hki_process_push_sized(hki_class_table_malloc, pointer, rounded))
        hkm_free_either(function, pointer, size, rounded);
}

/* ---- the C library's own malloc ---- */

/* Its own blocks: what a program gets that calls it by a way around the names that are replaced here. */
typedef struct hkm_libc_block {
    void *pointer; /* NULL: not a block of the C library's, as far as can be told without a fault */
    size_t usable;
} hkm_libc_block;
hkm_libc_block hkm_libc_find(void *pointer);
void hkm_libc_free(hkm_libc_block block);

#endif
