/* Status codes, the last status of each thread, and the version. */
#include "api_test.h"

#include <ctype.h>
#include <stdio.h>

/* The values are part of the ABI. */
static const struct {
    hk_status status;
    int value;
    const char *name;
} codes[] = {
    {HK_OK, 0, "HK_OK"},
    {HK_ERR_NO_MEMORY, 1, "HK_ERR_NO_MEMORY"},
    {HK_ERR_LIMIT, 2, "HK_ERR_LIMIT"},
    {HK_ERR_INVALID_ARGUMENT, 3, "HK_ERR_INVALID_ARGUMENT"},
    {HK_ERR_BAD_ARENA, 4, "HK_ERR_BAD_ARENA"},
    {HK_ERR_FOREIGN_POINTER, 5, "HK_ERR_FOREIGN_POINTER"},
    {HK_ERR_INTERIOR_POINTER, 6, "HK_ERR_INTERIOR_POINTER"},
    {HK_ERR_DOUBLE_FREE, 7, "HK_ERR_DOUBLE_FREE"},
    {HK_ERR_WRONG_ARENA, 8, "HK_ERR_WRONG_ARENA"},
    {HK_ERR_SIZE_MISMATCH, 9, "HK_ERR_SIZE_MISMATCH"},
    {HK_ERR_BUSY, 10, "HK_ERR_BUSY"},
    {HK_ERR_UNSUPPORTED, 11, "HK_ERR_UNSUPPORTED"},
    {HK_ERR_CORRUPT, 12, "HK_ERR_CORRUPT"},
    {HK_ERR_OVERFLOW, 13, "HK_ERR_OVERFLOW"},
    {HK_ERR_WRITE_AFTER_FREE, 14, "HK_ERR_WRITE_AFTER_FREE"},
    {HK_ERR_CALLBACK, 15, "HK_ERR_CALLBACK"},
};

Test(status, names_and_values) {
    for (size_t i = 0; i < LENGTH_OF(codes); i++) {
        cr_assert_eq((int)codes[i].status, codes[i].value);
        cr_assert_str_eq(hk_status_name(codes[i].status), codes[i].name);
    }
}

Test(status, messages_are_sentences_of_their_own) {
    for (size_t i = 0; i < LENGTH_OF(codes); i++) {
        const char *message = hk_status_message(codes[i].status);
        cr_assert_gt(strlen(message), 0);
        for (const char *at = message; *at != '\0'; at++)
            cr_assert(isprint((unsigned char)*at));
        cr_assert_eq(hk_status_message(codes[i].status), message);
        for (size_t k = 0; k < i; k++)
            cr_assert_str_neq(hk_status_message(codes[k].status), message);
    }
}

Test(status, of_no_value) {
    static const int none[] = {-1, 16, 17, 255, 256, 65536, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < LENGTH_OF(none); i++) {
        cr_assert_str_eq(hk_status_name((hk_status)none[i]), "HK_ERR_?");
        cr_assert_gt(strlen(hk_status_message((hk_status)none[i])), 0);
    }
}

/* ---- the last status ---- */

Test(last_status, is_kept_by_calls_that_succeed) {
    hk_arena *arena = NULL;
    hk_statistics figures = {.struct_size = sizeof figures};
    hk_pointer_info info = {.struct_size = sizeof info};
    cr_assert_eq(hk_last_status(), HK_OK);
    cr_assert_null(hk_malloc(SIZE_MAX));
    cr_assert_eq(hk_arena_create(NULL, &arena), HK_OK);
    for (size_t size = 1; size < 10 * MIB; size *= 3) {
        void *block = hk_malloc(size);
        hk_free(hk_realloc(block, 2 * size));
        block = hk_arena_realloc(arena, hk_arena_calloc(arena, 1, size), size / 2 + 1);
        cr_assert_eq(hk_classify(block, &info), HK_OK);
        cr_assert_eq(hk_arena_free(arena, block), HK_OK);
        cr_assert_not(hk_arena_owns(arena, block));
        cr_assert_null(hk_arena_of(block));
    }
    hk_free(NULL);
    cr_assert_eq(hk_usable_size(NULL), 0);
    cr_assert_eq(hk_arena_statistics(arena, &figures), HK_OK);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
}

Test(last_status, is_the_newest_failure) {
    hk_arena *arena = make_arena(LINE);
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    cr_assert_null(hk_arena_alloc(arena, MIB));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    hk_free(arena);
    cr_assert_eq(hk_last_status(), HK_ERR_FOREIGN_POINTER);
    cr_assert_null(hk_malloc((size_t)1 << 40));
    cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
    cr_assert_null(hk_calloc(SIZE_MAX, 2));
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_destroy(NULL), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_last_status(), HK_ERR_BAD_ARENA);
}

static void *fail_in_thread(void *statuses) {
    hk_status *both = statuses;
    both[0] = hk_last_status();
    void *block = hk_malloc(SIZE_MAX);
    both[1] = hk_last_status();
    return block;
}

Test(last_status, is_each_threads_own) {
    hk_status both[2] = {HK_ERR_BUSY, HK_ERR_BUSY};
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    hk_free(&both);
    cr_assert_null(run_in_thread(fail_in_thread, both));
    cr_assert_eq(both[0], HK_OK);
    cr_assert_eq(both[1], HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_FOREIGN_POINTER);
}

Test(policy, of_no_value_is_invalid) {
    static const int none[] = {-1, 3, 4, 256, INT32_MAX, INT32_MIN};
    cr_assert_eq(hk_set_error_policy(HK_ON_ERROR_IGNORE), HK_OK);
    for (size_t i = 0; i < LENGTH_OF(none); i++) {
        cr_assert_eq(hk_set_error_policy((hk_error_policy)none[i]), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    }
    hk_free((void *)(uintptr_t)1); /* is still ignored */
    cr_assert_eq(hk_last_status(), HK_ERR_FOREIGN_POINTER);
}

/* ---- the version ---- */

Test(version, is_that_of_the_header) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", HK_VERSION_MAJOR, HK_VERSION_MINOR, HK_VERSION_PATCH);
    cr_assert_str_eq(HK_VERSION_STRING, version);
    cr_assert_str_eq(hk_version(), version);
    cr_assert_eq(hk_version(), hk_version());
}
