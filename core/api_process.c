/* api_process: the process heap, sizes, misuse policy, and what a pointer is. */
#include "process.h"
#include "report.h"

#include <string.h>

const char *hk_version(void) {
    return HK_VERSION_STRING;
}

/* Which is not hk_version where another copy of hakmem is before this one: it has all the calls then, and this one is
 * spared its start. */
__attribute__((alias("hk_version"), visibility("hidden"))) const char *hki_own_version(void);

__attribute__((constructor)) static void start_early(void) {
    if (HKI_IS_SAME(hk_version, hki_own_version))
        hki_start_at_load(); /* a failure shows at the first allocation, which tries again */
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

void *hk_malloc(size_t size) {
    void *block = hki_process_pop(hki_class_table_16, size);
    return HKI_LIKELY(block != NULL) ? block : hki_process_alloc(size, 1, false);
}

void *hk_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    void *block = hki_process_pop(hki_class_table_16, bytes);
    return HKI_LIKELY(block != NULL) ? memset(block, 0, bytes) : hki_process_alloc(bytes, 1, true);
}

void *hk_aligned_alloc(size_t alignment, size_t size) {
    if (alignment == 0) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    return hki_process_alloc(size, alignment, false);
}

static HKI_MISS void free_slow(void *pointer) {
    hki_process_free(hki_target_of("hk_free", pointer));
}

void hk_free(void *pointer) {
    if (!hki_process_push(pointer))
        free_slow(pointer);
}

static HKI_MISS void free_sized_slow(void *pointer, size_t size) {
    hki_process_free(hki_target_sized("hk_free_sized", pointer, size));
}

void hk_free_sized(void *pointer, size_t size) {
    if (!hki_process_push_sized(hki_class_table_16, pointer, size))
        free_sized_slow(pointer, size);
}

static HKI_MISS void *realloc_slow(void *pointer, size_t size) {
    return hki_process_realloc(hki_target_of("hk_realloc", pointer), size);
}

void *hk_realloc(void *pointer, size_t size) {
    return hki_process_keeps(hki_class_table_16, pointer, size) ? pointer : realloc_slow(pointer, size);
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
