/* `errno` is never changed: not by what succeeds, not by what fails, not when a report cannot be written. */
#include "api_test.h"

#include <errno.h>
#include <unistd.h>

enum { SENTINEL = 4711 };

static volatile uintptr_t sink;

#define KEEPS(call)                                                                                                    \
    do {                                                                                                               \
        errno = SENTINEL;                                                                                              \
        call;                                                                                                          \
        cr_assert_eq(errno, SENTINEL, "%s", #call);                                                                    \
    } while (0)
#define VALUE_KEEPS(call) KEEPS(sink = (uintptr_t)(call))

static const size_t sizes[] = {0, 8, 100, SMALL_MAX, 20000, 70000, 3 * MIB, 9 * MIB};

Test(keeps_errno, the_process_heap) {
    for (size_t round = 0; round < 40; round++) {
        size_t size = sizes[round % LENGTH_OF(sizes)], other = sizes[round * 3 % LENGTH_OF(sizes)] + 1;
        void *block, *zeroed, *aligned;
        KEEPS(block = hk_malloc(size));
        KEEPS(zeroed = hk_calloc(size, 1));
        KEEPS(aligned = hk_aligned_alloc((size_t)1 << round % 29, size));
        KEEPS(block = hk_realloc(block, other));
        VALUE_KEEPS(hk_usable_size(block));
        VALUE_KEEPS(hk_good_size(size));
        KEEPS(hk_free_sized(block, other));
        KEEPS(hk_free(zeroed));
        VALUE_KEEPS(hk_realloc(aligned, 0));
        KEEPS(hk_free(NULL));
    }
}

Test(keeps_errno, arenas) {
    hk_arena *arena;
    hk_statistics figures = {.struct_size = sizeof figures};
    for (size_t round = 0; round < 40; round++) {
        hk_arena_config config = HK_ARENA_CONFIG_INIT;
        size_t size = sizes[round % LENGTH_OF(sizes)], other = sizes[round * 3 % LENGTH_OF(sizes)] + 1;
        void *block, *zeroed, *aligned;
        config.flags = round % 2;
        KEEPS(cr_assert_eq(hk_arena_create(&config, &arena), HK_OK));
        KEEPS(block = hk_arena_alloc(arena, size));
        KEEPS(zeroed = hk_arena_calloc(arena, size, 1));
        KEEPS(aligned = hk_arena_aligned_alloc(arena, (size_t)1 << round % 29, size));
        KEEPS(block = hk_arena_realloc_sized(arena, block, size, other));
        KEEPS(block = hk_arena_realloc(arena, block, size + 1));
        VALUE_KEEPS(hk_arena_free(arena, zeroed));
        VALUE_KEEPS(hk_arena_free_sized(arena, aligned, size));
        VALUE_KEEPS(hk_arena_of(block));
        VALUE_KEEPS(hk_arena_owns(arena, block));
        VALUE_KEEPS(hk_arena_name(arena));
        VALUE_KEEPS(hk_arena_set_limit(arena, 100 * LINE));
        VALUE_KEEPS(hk_arena_limit(arena));
        VALUE_KEEPS(hk_arena_statistics(arena, &figures));
        VALUE_KEEPS(hk_arena_check(arena));
        VALUE_KEEPS(hk_arena_trim(arena));
        VALUE_KEEPS(hk_arena_reset(arena));
        KEEPS(hk_purge());
        VALUE_KEEPS(round % 4 < 2 ? hk_arena_destroy(arena) : hk_arena_retire(arena));
    }
}

Test(keeps_errno, the_rest) {
    hk_pointer_info info = {.struct_size = sizeof info};
    VALUE_KEEPS(hk_version());
    VALUE_KEEPS(hk_status_name(HK_ERR_LIMIT));
    VALUE_KEEPS(hk_status_message((hk_status)99));
    VALUE_KEEPS(hk_last_status());
    VALUE_KEEPS(hk_arena_default());
    VALUE_KEEPS(hk_set_error_policy(HK_ON_ERROR_REPORT));
    KEEPS(hk_set_error_handler(NULL, NULL));
    VALUE_KEEPS(hk_classify(&info, &info));
}

Test(keeps_errno, failures) {
    hk_arena *arena, *limited = make_arena(LINE);
    hk_arena_config wrong = {.struct_size = 1};
    void *block = hk_arena_alloc(limited, 16);
    VALUE_KEEPS(hk_malloc(SIZE_MAX));
    for (unsigned bits = 36; bits <= 40; bits++) { /* the system may refuse them */
        void *vast;
        KEEPS(vast = hk_malloc((size_t)1 << bits));
        KEEPS(hk_free(vast));
    }
    VALUE_KEEPS(hk_calloc(SIZE_MAX, 2));
    VALUE_KEEPS(hk_realloc(NULL, SIZE_MAX));
    VALUE_KEEPS(hk_aligned_alloc(3, 1));
    VALUE_KEEPS(hk_aligned_alloc(256 * MIB, (size_t)1 << 40));
    VALUE_KEEPS(hk_arena_alloc(limited, MIB));
    VALUE_KEEPS(hk_arena_calloc(limited, MIB, 16));
    VALUE_KEEPS(hk_arena_aligned_alloc(limited, MIB, MIB));
    VALUE_KEEPS(hk_arena_realloc(limited, block, MIB));
    VALUE_KEEPS(hk_arena_realloc_sized(limited, block, 16, MIB));
    VALUE_KEEPS(hk_arena_create(&wrong, &arena));
    VALUE_KEEPS(hk_arena_set_limit(limited, 1));
    VALUE_KEEPS(hk_arena_statistics(limited, NULL));
    VALUE_KEEPS(hk_classify(NULL, NULL));
    VALUE_KEEPS(hk_set_error_policy((hk_error_policy)7));
    VALUE_KEEPS(hk_arena_destroy(hk_arena_default()));
    VALUE_KEEPS(hk_arena_reset(hk_arena_default()));
    VALUE_KEEPS(hk_arena_retire(hk_arena_default()));
}

static void misuse_process_heap(void *block) {
    char *pointers[] = {(char *)(uintptr_t)1, (char *)block + 1, (char *)&block, block};
    for (size_t i = 0; i < LENGTH_OF(pointers); i++) {
        if (pointers[i] == block)
            KEEPS(hk_free(block));
        KEEPS(hk_free(pointers[i]));
        KEEPS(hk_free_sized(pointers[i], 50000));
        VALUE_KEEPS(hk_realloc(pointers[i], 50000));
        VALUE_KEEPS(hk_usable_size(pointers[i]));
    }
}

static void misuse_arena(hk_arena *arena, void *block) {
    hk_statistics figures = {.struct_size = sizeof figures};
    VALUE_KEEPS(hk_arena_free(arena, block));
    VALUE_KEEPS(hk_arena_free_sized(arena, block, 50000));
    VALUE_KEEPS(hk_arena_realloc(arena, block, 50000));
    VALUE_KEEPS(hk_arena_realloc_sized(arena, block, 50000, 1));
    VALUE_KEEPS(hk_arena_alloc(NULL, 1));
    VALUE_KEEPS(hk_arena_calloc(NULL, 1, 1));
    VALUE_KEEPS(hk_arena_aligned_alloc(NULL, 16, 1));
    VALUE_KEEPS(hk_arena_destroy(NULL));
    VALUE_KEEPS(hk_arena_reset(NULL));
    VALUE_KEEPS(hk_arena_retire(NULL));
    VALUE_KEEPS(hk_arena_trim(NULL));
    VALUE_KEEPS(hk_arena_set_limit(NULL, MIB));
    VALUE_KEEPS(hk_arena_limit(NULL));
    VALUE_KEEPS(hk_arena_name(NULL));
    VALUE_KEEPS(hk_arena_statistics(NULL, &figures));
    VALUE_KEEPS(hk_arena_check(NULL));
    VALUE_KEEPS(hk_arena_owns(NULL, block));
}

Test(keeps_errno, misuse_whether_or_not_its_report_can_be_written) {
    hk_arena *arena = make_arena(0);
    void *foreign = hk_malloc(100);
    int saved = dup(STDERR_FILENO);
    cr_assert_geq(saved, 0);
    cr_assert_eq(hk_set_error_policy(HK_ON_ERROR_IGNORE), HK_OK);
    misuse_process_heap(hk_malloc(100));
    misuse_arena(arena, foreign);
    close(STDERR_FILENO);
    cr_assert_eq(hk_set_error_policy(HK_ON_ERROR_REPORT), HK_OK);
    misuse_process_heap(hk_malloc(100));
    misuse_arena(arena, foreign);
    dup2(saved, STDERR_FILENO);
    close(saved);
}
