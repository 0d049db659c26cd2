/* malloc: the names of C: C23's, POSIX's, glibc's, and those by which glibc's own malloc is called inside of it. */
#include "names.h"

#include "exit.h"
#include "os.h"
#include "report.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *fail(int error) {
    errno = error;
    return NULL;
}

/* ---- the slow ways ---- */

void *hkm_alloc(size_t size, size_t alignment) {
    void *block = hki_process_alloc(hki_max(size, HKM_SMALLEST), alignment, false);
    return block != NULL ? block : fail(ENOMEM);
}

static HKI_MISS void *calloc_slow(size_t bytes) {
    void *block = hki_process_alloc(hki_max(bytes, HKM_SMALLEST), 1, true);
    return block != NULL ? block : fail(ENOMEM);
}

/* Whether a live block of hakmem's begins there: then there is no need to ask what else it might be. */
static bool is_ours(const void *pointer) {
    uintptr_t granule = hki_granule_of(pointer);
    return hki_granule_exists(granule) &&
           (atomic_load_explicit(hki_live_word(granule), memory_order_relaxed) & hki_granule_mask(granule)) != 0;
}

static hkm_libc_block find_foreign(void *pointer) {
    if (is_ours(pointer) || hki_block_find(pointer).kind != HK_POINTER_FOREIGN)
        return (hkm_libc_block){0};
    return hkm_libc_find(pointer);
}

static void free_target(hki_target target) {
    if (target.pointer == NULL)
        return;
    hkm_libc_block foreign = find_foreign(target.pointer);
    if (foreign.pointer != NULL)
        hkm_libc_free(foreign);
    else
        hki_process_free(target);
}

void hkm_free(const char *function, void *pointer) {
    free_target(hki_target_of(function, pointer));
}

void hkm_free_sized(const char *function, void *pointer, size_t size) {
    free_target(hki_target_sized(function, pointer, hki_max(size, HKM_SMALLEST)));
}

void hkm_free_either(const char *function, void *pointer, size_t size, size_t rounded) {
    bool is_rounded = rounded >= size && hki_block_find(pointer).size == hk_good_size(rounded);
    hkm_free_sized(function, pointer, is_rounded ? rounded : size);
}

/* Moves a block of the C library's here. */
static void *adopt(hkm_libc_block foreign, size_t size) {
    void *block = size == 0 ? NULL : malloc(size);
    if (block == NULL && size != 0)
        return NULL;
    if (block != NULL)
        memcpy(block, foreign.pointer, hki_min(size, foreign.usable));
    hkm_libc_free(foreign);
    return block;
}

/* As glibc has it, a size of 0 frees. */
static HKI_MISS void *realloc_slow(void *pointer, size_t size) {
    if (pointer == NULL)
        return malloc(size);
    hkm_libc_block foreign = find_foreign(pointer);
    if (foreign.pointer != NULL)
        return adopt(foreign, size);
    size_t wanted = size == 0 ? 0 : hki_max(size, HKM_SMALLEST);
    hk_status before = hki_last_status;
    hki_last_status = HK_OK;
    void *block = hki_process_realloc(hki_target_of("realloc", pointer), wanted);
    hk_status status = hki_last_status;
    hki_last_status = status == HK_OK ? before : status;
    if (block != NULL || status == HK_OK)
        return block;
    bool refused = status == HK_ERR_NO_MEMORY || status == HK_ERR_LIMIT || status == HK_ERR_INVALID_ARGUMENT;
    return fail(refused ? ENOMEM : EINVAL); /* else misuse, and the policy is not to abort */
}

/* ---- C ---- */

HKM_EXPORT void *malloc(size_t size) {
    void *block = hki_process_pop(hki_class_table_malloc, size);
    return HKI_LIKELY(block != NULL) ? block : hkm_alloc(size, 1);
}

HKM_EXPORT void *calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return fail(ENOMEM);
    void *block = hki_process_pop(hki_class_table_malloc, bytes);
    return HKI_LIKELY(block != NULL) ? memset(block, 0, bytes) : calloc_slow(bytes);
}

HKM_EXPORT void *realloc(void *pointer, size_t size) {
    return hki_process_keeps(hki_class_table_malloc, pointer, size) ? pointer : realloc_slow(pointer, size);
}

HKM_EXPORT void free(void *pointer) {
    hkm_push("free", pointer);
}

/* C23, 7.24.3.4 and 7.24.3.5: the size, and the alignment, that the block was allocated with. */
HKM_EXPORT void free_sized(void *pointer, size_t size) {
    hkm_push_sized("free_sized", pointer, size);
}

HKM_EXPORT void free_aligned_sized(void *pointer, size_t alignment, size_t size) {
    hkm_push_sized_aligned("free_aligned_sized", pointer, size, alignment);
}

HKM_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return hki_is_power_of_two(alignment) ? hkm_alloc(size, alignment) : fail(EINVAL);
}

/* ---- POSIX ---- */

HKM_EXPORT void *reallocarray(void *pointer, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? fail(ENOMEM) : realloc(pointer, bytes);
}

/* It returns its error, and leaves `errno` and, when it fails, *block as they were. */
HKM_EXPORT int posix_memalign(void **block, size_t alignment, size_t size) {
    if (!hki_is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    void *got = hki_process_alloc(hki_max(size, HKM_SMALLEST), alignment, false);
    if (got == NULL)
        return ENOMEM;
    *block = got;
    return 0;
}

/* ---- glibc ---- */

/* Any alignment: the next power of two counts. */
HKM_EXPORT void *memalign(size_t alignment, size_t size) {
    if (alignment > SIZE_MAX / 2 + 1)
        return fail(EINVAL);
    size_t power = 1;
    while (power < alignment)
        power *= 2;
    return hkm_alloc(size, power);
}

HKM_EXPORT void *valloc(size_t size) {
    return hkm_alloc(size, hki_os_page_size());
}

HKM_EXPORT void *pvalloc(size_t size) {
    size_t page = hki_os_page_size();
    return size > SIZE_MAX - page ? fail(ENOMEM) : hkm_alloc(hki_align_up(size, page), page);
}

HKM_EXPORT size_t malloc_usable_size(void *pointer) {
    hkm_libc_block foreign = pointer != NULL ? find_foreign(pointer) : (hkm_libc_block){0};
    return foreign.pointer != NULL ? foreign.usable : hk_usable_size(pointer);
}

/* ---- glibc's inner names, by which old programs and some libraries call it ---- */

/* In assembler, as the aliases would have to repeat the attributes that glibc's headers give these functions. */
#define INNER(symbol, name) __asm__(".globl " #symbol "\n\t.type " #symbol ", @function\n\t.set " #symbol ", " #name);
INNER(__libc_malloc, malloc)
INNER(__libc_calloc, calloc)
INNER(__libc_realloc, realloc)
INNER(__libc_free, free)
INNER(__libc_memalign, memalign)
INNER(__libc_valloc, valloc)
INNER(__libc_pvalloc, pvalloc)
INNER(__posix_memalign, posix_memalign)

/* ---- the process ---- */

__attribute__((constructor)) static void begin(void) {
    hkm_exit_begin();
}

/* Not by atexit, which allocates. */
__attribute__((destructor)) static void end(void) {
    hkm_exit_end();
}
