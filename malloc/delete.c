/* delete: C++'s operators delete, by their names in the Itanium C++ ABI ("Mangling"). They cannot throw, so they need
 * nothing of the C++ library's.
 *
 * A program may replace some and not others. By the C++ standard ([new.delete.single], [new.delete.array]) the default
 * of a sized or nothrow one is the plain one of its kind, and that of an array is the one of a single object: so each
 * of those asks whether the operator that it ends in is still the one of this file. Definitions are weak, so that the
 * operators of a program that is linked with hakmem-malloc.o win. */
#include "names.h"

#define NAME "operator delete"
#define OPERATOR(symbol, function) __asm__(symbol) __attribute__((weak, alias(#function), visibility("default"), used))

static void delete_one(void *pointer) {
    hkm_push(NAME, pointer);
}
void plain(void *pointer) OPERATOR("_ZdlPv", delete_one);

static void delete_array(void *pointer) {
    if (HKI_UNLIKELY(!HKI_IS_SAME(plain, delete_one)))
        plain(pointer);
    else
        hkm_push(NAME, pointer);
}
void plain_array(void *pointer) OPERATOR("_ZdaPv", delete_array);

static void delete_one_sized(void *pointer, size_t size) {
    if (HKI_UNLIKELY(!HKI_IS_SAME(plain, delete_one)))
        plain(pointer);
    else
        hkm_push_sized(NAME, pointer, size);
}
void sized(void *pointer, size_t size) OPERATOR("_ZdlPvm", delete_one_sized);

static void delete_array_sized(void *pointer, size_t size) {
    if (HKI_UNLIKELY(!HKI_IS_SAME(plain_array, delete_array) || !HKI_IS_SAME(plain, delete_one)))
        plain_array(pointer);
    else
        hkm_push_sized(NAME, pointer, size);
}
void sized_array(void *pointer, size_t size) OPERATOR("_ZdaPvm", delete_array_sized);

static void delete_one_nothrow(void *pointer, const void *nothrow) {
    (void)nothrow;
    plain(pointer);
}
void nothrow(void *pointer, const void *nothrow) OPERATOR("_ZdlPvRKSt9nothrow_t", delete_one_nothrow);

static void delete_array_nothrow(void *pointer, const void *nothrow) {
    (void)nothrow;
    plain_array(pointer);
}
void nothrow_array(void *pointer, const void *nothrow) OPERATOR("_ZdaPvRKSt9nothrow_t", delete_array_nothrow);

/* ---- with an alignment, which the block has anyway ---- */

static void delete_one_aligned(void *pointer, size_t alignment) {
    (void)alignment;
    hkm_push(NAME, pointer);
}
void aligned(void *pointer, size_t alignment) OPERATOR("_ZdlPvSt11align_val_t", delete_one_aligned);

static void delete_array_aligned(void *pointer, size_t alignment) {
    aligned(pointer, alignment);
}
void aligned_array(void *pointer, size_t alignment) OPERATOR("_ZdaPvSt11align_val_t", delete_array_aligned);

static void delete_one_sized_aligned(void *pointer, size_t size, size_t alignment) {
    if (HKI_UNLIKELY(!HKI_IS_SAME(aligned, delete_one_aligned)))
        aligned(pointer, alignment);
    else
        hkm_push_sized_aligned(NAME, pointer, size, alignment);
}
void sized_aligned(void *pointer, size_t size, size_t alignment)
    OPERATOR("_ZdlPvmSt11align_val_t", delete_one_sized_aligned);

static void delete_array_sized_aligned(void *pointer, size_t size, size_t alignment) {
    if (HKI_UNLIKELY(!HKI_IS_SAME(aligned_array, delete_array_aligned) || !HKI_IS_SAME(aligned, delete_one_aligned)))
        aligned_array(pointer, alignment);
    else
        hkm_push_sized_aligned(NAME, pointer, size, alignment);
}
void sized_aligned_array(void *pointer, size_t size, size_t alignment)
    OPERATOR("_ZdaPvmSt11align_val_t", delete_array_sized_aligned);

static void delete_one_aligned_nothrow(void *pointer, size_t alignment, const void *nothrow) {
    (void)nothrow;
    aligned(pointer, alignment);
}
void aligned_nothrow(void *pointer, size_t alignment, const void *nothrow)
    OPERATOR("_ZdlPvSt11align_val_tRKSt9nothrow_t", delete_one_aligned_nothrow);

static void delete_array_aligned_nothrow(void *pointer, size_t alignment, const void *nothrow) {
    (void)nothrow;
    aligned_array(pointer, alignment);
}
void aligned_nothrow_array(void *pointer, size_t alignment, const void *nothrow)
    OPERATOR("_ZdaPvSt11align_val_tRKSt9nothrow_t", delete_array_aligned_nothrow);
