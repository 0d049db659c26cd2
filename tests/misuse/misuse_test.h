/* misuse_test: a table of all calls that take a pointer, and the proof that one of them has reported a misuse in full and
 * has done nothing else. A header, as each test program is one file.
 *
 * State: `seen`, what the error handler was told last. One thread at a time misuses, or they take turns. */
#ifndef HAKMEM_MISUSE_TEST_H
#define HAKMEM_MISUSE_TEST_H

#include "../api/api_test.h"

/* ---- what the handler saw ---- */

typedef struct report {
    unsigned count;
    size_t struct_size;
    hk_status status;
    hk_status last_status; /* of the thread, while the handler ran */
    const void *pointer;
    size_t block_size;
    size_t given_size;
    bool is_in_arena;
    char function[40];
    char arena_name[HK_ARENA_NAME_MAX + 1];
    pthread_t thread;
} report;

static report seen;

static inline void see(const hk_error_info *info, void *user_data) {
    report *now = user_data;
    unsigned count = now->count + 1;
    *now = (report){
        .count = count,
        .struct_size = info->struct_size,
        .status = info->status,
        .last_status = hk_last_status(),
        .pointer = info->pointer,
        .block_size = info->block_size,
        .given_size = info->given_size,
        .is_in_arena = info->arena_name != NULL,
        .thread = pthread_self(),
    };
    strncpy(now->function, info->function, sizeof now->function - 1);
    if (info->arena_name != NULL)
        strncpy(now->arena_name, info->arena_name, sizeof now->arena_name - 1);
}

/* For .init */
static inline void watch(void) {
    hk_set_error_handler(see, &seen);
}

/* ---- calls ---- */

/* What a call is given: with a handle (for those that take one), a pointer, the size that is said to be the block's (for
 * those that are told), and the size that is wanted (by those that resize). */
typedef struct arguments {
    hk_arena *arena;
    void *pointer;
    size_t size;
    size_t wanted;
} arguments;

/* A call of a public function. Its value tells whether the result is that of a call that failed with the status that the
 * handler saw. */
typedef struct misuse_call {
    const char *function;
    bool (*fails)(const arguments *with);
    bool process;   /* for the process heap only */
    bool is_told;   /* which size the block has */
    bool any_arena; /* the block may lie in any */
    size_t wanted;
} misuse_call;

static inline bool free_fails(const arguments *with) {
    hk_free(with->pointer);
    return true;
}

static inline bool free_sized_fails(const arguments *with) {
    hk_free_sized(with->pointer, with->size);
    return true;
}

static inline bool realloc_fails(const arguments *with) {
    return hk_realloc(with->pointer, with->wanted) == NULL;
}

static inline bool usable_size_fails(const arguments *with) {
    return hk_usable_size(with->pointer) == 0;
}

static inline bool arena_free_fails(const arguments *with) {
    return hk_arena_free(with->arena, with->pointer) == seen.status;
}

static inline bool arena_free_sized_fails(const arguments *with) {
    return hk_arena_free_sized(with->arena, with->pointer, with->size) == seen.status;
}

static inline bool arena_realloc_fails(const arguments *with) {
    return hk_arena_realloc(with->arena, with->pointer, with->wanted) == NULL;
}

static inline bool arena_realloc_sized_fails(const arguments *with) {
    return hk_arena_realloc_sized(with->arena, with->pointer, with->size, with->wanted) == NULL;
}

static const misuse_call misuse_calls[] = {
    {"hk_free", free_fails, .process = true},
    {"hk_free_sized", free_sized_fails, .process = true, .is_told = true},
    {"hk_realloc", realloc_fails, .process = true, .wanted = 100},
    {"hk_realloc", realloc_fails, .process = true, .wanted = 7 * MIB},
    {"hk_realloc", realloc_fails, .process = true, .wanted = 0},
    {"hk_usable_size", usable_size_fails, .process = true, .any_arena = true},
    {"hk_arena_free", arena_free_fails, .wanted = 0},
    {"hk_arena_free_sized", arena_free_sized_fails, .is_told = true},
    {"hk_arena_realloc", arena_realloc_fails, .wanted = 100},
    {"hk_arena_realloc", arena_realloc_fails, .wanted = 30000},
    {"hk_arena_realloc", arena_realloc_fails, .wanted = 0},
    {"hk_arena_realloc_sized", arena_realloc_sized_fails, .is_told = true, .wanted = 100},
    {"hk_arena_realloc_sized", arena_realloc_sized_fails, .is_told = true, .wanted = 90000},
    {"hk_arena_realloc_sized", arena_realloc_sized_fails, .is_told = true, .wanted = 0},
};

/* Whether a call can be made for blocks of this subject: subject 0 stands for the functions of the process heap, the
 * others for those that take a handle. */
static inline bool is_for(const misuse_call *call, const subject *in) {
    return call->process == in->process;
}

/* ---- the proof ---- */

typedef struct expectation {
    hk_status status;
    size_t block_size;
    size_t given_size;
    const char *arena_name; /* NULL: none */
} expectation;

static const expectation foreign_pointer = {.status = HK_ERR_FOREIGN_POINTER};

static inline hk_pointer_info classify(const void *pointer) {
    hk_pointer_info info = {.struct_size = sizeof info};
    cr_assert_eq(hk_classify(pointer, &info), HK_OK);
    return info;
}

/* With block and arena as hk_classify knows them now. */
static inline expectation expect_at(const void *pointer, hk_status status) {
    hk_pointer_info info = classify(pointer);
    return (expectation){
        .status = status,
        .block_size = info.block_size,
        .arena_name = info.arena != NULL ? hk_arena_name(info.arena) : NULL,
    };
}

/* For an address at which no live block is. When hakmem gives memory back to the system, it need not say. */
static inline expectation expect_not_live(const void *pointer) {
    if (classify(pointer).kind == HK_POINTER_FOREIGN)
        return foreign_pointer;
    return expect_at(pointer, (uintptr_t)pointer % 8 == 0 ? HK_ERR_DOUBLE_FREE : HK_ERR_INTERIOR_POINTER);
}

typedef struct made_call {
    const misuse_call *call;
    arguments with;
    bool failed;
    hk_status last_status;
    pthread_t thread;
} made_call;

static inline void *make_call(void *argument) {
    made_call *made = argument;
    made->failed = made->call->fails(&made->with);
    made->last_status = hk_last_status();
    made->thread = pthread_self();
    return NULL;
}

static inline bool is_report(const report *of, const made_call *made, const expectation *expected) {
    if (strcmp(of->function, made->call->function) != 0 || of->status != expected->status)
        return false;
    if (of->pointer != made->with.pointer || of->block_size != expected->block_size)
        return false;
    if (of->given_size != expected->given_size || of->is_in_arena != (expected->arena_name != NULL))
        return false;
    return !of->is_in_arena || strcmp(of->arena_name, expected->arena_name) == 0;
}

/* Makes a call, in a thread of its own or in this one, that must be reported once, as expected. */
static inline void assert_misuse_by(bool other_thread, const misuse_call *call, arguments with, expectation expected) {
    made_call made = {.call = call, .with = with};
    unsigned before = seen.count;
    made.with.wanted = call->wanted;
    if (other_thread)
        run_in_thread(make_call, &made);
    else
        make_call(&made);
    cr_assert_eq(seen.count, before + 1, "%s(%p): %u reports", call->function, with.pointer, seen.count - before);
    cr_assert(is_report(&seen, &made, &expected),
              "%s(%p): %s, block of %zu, given %zu, arena \"%s\"; expected: %s, %zu", seen.function, seen.pointer,
              hk_status_name(seen.status), seen.block_size, seen.given_size, seen.arena_name,
              hk_status_name(expected.status), expected.block_size);
    cr_assert_eq(seen.struct_size, sizeof(hk_error_info));
    cr_assert(made.failed, "%s(%p, wanted %zu) did not fail", call->function, with.pointer, made.with.wanted);
    cr_assert(made.last_status == expected.status && seen.last_status == expected.status);
    cr_assert(pthread_equal(seen.thread, made.thread));
}

static inline void assert_misuse(const misuse_call *call, arguments with, expectation expected) {
    assert_misuse_by(false, call, with, expected);
}

/* The same for each call that the subject has. */
static inline void assert_each_call(const subject *in, void *pointer, size_t size, expectation expected) {
    for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++)
        if (is_for(&misuse_calls[i], in))
            assert_misuse(&misuse_calls[i], (arguments){.arena = in->arena, .pointer = pointer, .size = size},
                          expected);
}

/* ---- blocks that must not suffer ---- */

enum { VICTIM_SEED = 77 };

static inline void *make_victim(const subject *in, size_t size) {
    void *block = subject_alloc(in, size);
    cr_assert_not_null(block);
    fill(block, hk_usable_size(block), VICTIM_SEED);
    return block;
}

/* It is live, where it was, as large as it was, and holds what it held; the books agree. */
static inline void assert_unharmed(const subject *in, const void *block, size_t usable) {
    hk_pointer_info info = classify(block);
    cr_assert_eq(info.state, HK_BLOCK_LIVE);
    cr_assert(hk_arena_owns(in->arena, block) && info.block_size == usable);
    cr_assert(holds(block, usable, VICTIM_SEED));
    assert_sound(in->arena);
}

/* And it is freed in peace. */
static inline void end_victim(const subject *in, void *block, size_t usable) {
    unsigned before = seen.count;
    assert_unharmed(in, block, usable);
    subject_free(in, block);
    cr_assert_eq(seen.count, before);
}

/* Of each kind of block. */
static const size_t victim_sizes[] = {0, 8, 64, 1000, SMALL_MAX, 20000, UNIT, 200000, 4 * MIB, 5 * MIB};

#endif
