/* Double frees: of blocks of each kind, first freed by one thread and then by another, with nothing or thousands of other
 * frees between. It is HK_ERR_DOUBLE_FREE as long as hakmem manages the address and has not handed it out again. */
#include "misuse_test.h"

/* How many frees of others come between: enough to flush stacks, and to empty runs and units. */
static const struct {
    size_t size;
    size_t few, many;
    bool huge;
} kinds[] = {
    {8, 5, 5000, false},    {64, 5, 5000, false}, {1000, 5, 2000, false}, {SMALL_MAX, 3, 200, false},
    {20000, 3, 100, false}, {UNIT, 3, 50, false}, {200000, 3, 10, false}, {5 * MIB, 2, 3, true},
};

typedef struct history {
    bool remote_first;  /* another thread than the block's owner frees it first */
    bool remote_second; /* one more thread frees it again */
    size_t between;     /* how many blocks the owner frees meanwhile */
} history;

static void *free_it(void *argument) {
    const made_call *made = argument;
    const subject in = {.arena = made->with.arena, .process = made->call->process};
    if (in.process)
        hk_free(made->with.pointer);
    else if (hk_arena_free(in.arena, made->with.pointer) != HK_OK)
        abort();
    return NULL;
}

static void first_free(const misuse_call *call, arguments with, bool remote) {
    made_call made = {.call = call, .with = with};
    unsigned before = seen.count;
    if (remote)
        run_in_thread(free_it, &made);
    else
        free_it(&made);
    cr_assert_eq(seen.count, before);
}

/* A huge block's mapping goes some time after it, but in an arena that can be rewound, which keeps its segments. That of
 * a small one does not, if only because its heap keeps it at hand. */
static expectation expect_double(const subject *in, const void *pointer, size_t kind, size_t between) {
    bool managed = classify(pointer).kind != HK_POINTER_FOREIGN;
    cr_assert(kinds[kind].huge ? managed || !in->rewindable : managed || between > 0 || kinds[kind].size > SMALL_MAX);
    return expect_not_live(pointer);
}

/* Two new blocks are not the same one. */
static void assert_handed_out_once(const subject *in, size_t size) {
    enum { BLOCKS = 50 };
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = subject_alloc(in, size);
        cr_assert_not_null(blocks[i]);
        *(uint64_t *)blocks[i] = i;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        cr_assert_eq(*(uint64_t *)blocks[i], i);
    for (size_t i = 0; i < BLOCKS; i++)
        subject_free(in, blocks[i]);
}

static void one_double_free(const subject *in, size_t kind, history past, const misuse_call *call) {
    static void *others[5000];
    size_t size = kinds[kind].size;
    void *bystander = make_victim(in, size);
    size_t usable = hk_usable_size(bystander);
    arguments with = {.arena = in->arena, .size = size};
    for (size_t i = 0; i < past.between; i++) {
        if (i == past.between / 2)
            with.pointer = subject_alloc(in, size);
        others[i] = subject_alloc(in, size);
    }
    if (past.between == 0)
        with.pointer = subject_alloc(in, size);
    cr_assert_not_null(with.pointer);
    first_free(call, with, past.remote_first);
    for (size_t i = 0; i < past.between; i++)
        subject_free(in, others[i]);
    expectation expected = expect_double(in, with.pointer, kind, past.between);
    assert_misuse_by(past.remote_second, call, with, expected);
    cr_assert_not(hk_arena_owns(in->arena, with.pointer));
    cr_assert_eq(totals_of(in->arena).live_blocks, 1);
    end_victim(in, bystander, usable);
    assert_handed_out_once(in, size);
}

static void each_call(const subject *in, size_t kind, history past) {
    for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++)
        if (is_for(&misuse_calls[i], in))
            one_double_free(in, kind, past, &misuse_calls[i]);
}

static void each_history(const subject *in, size_t kind) {
    for (int i = 0; i < 4; i++) {
        history past = {.remote_first = i % 2 == 1, .remote_second = i / 2 == 1};
        const size_t between[] = {0, kinds[kind].few, kinds[kind].many};
        for (size_t k = 0; k < LENGTH_OF(between); k++) {
            past.between = between[k];
            each_call(in, kind, past);
        }
    }
}

static void each_kind(int which) {
    for (size_t kind = 0; kind < LENGTH_OF(kinds); kind++) {
        subject in = make_subject(which);
        each_history(&in, kind);
        end_subject(&in);
    }
}

Test(double_free, in_the_process_heap, .init = watch) {
    each_kind(0);
}

Test(double_free, in_the_process_heap_by_handle, .init = watch) {
    each_kind(1);
}

Test(double_free, in_a_shared_arena, .init = watch) {
    each_kind(2);
}

Test(double_free, in_a_shared_arena_of_alignment_8, .init = watch) {
    each_kind(3);
}

Test(double_free, in_a_one_thread_arena, .init = watch) {
    each_kind(4);
}

Test(double_free, in_a_one_thread_arena_of_alignment_8, .init = watch) {
    each_kind(5);
}

/* ---- more than twice ---- */

Test(again_and_again, every_free_after_the_first_is_reported, .init = watch) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t kind = 0; kind < LENGTH_OF(kinds); kind++) {
            void *block = subject_alloc(&in, kinds[kind].size);
            subject_free(&in, block);
            for (int round = 0; round < 3; round++)
                assert_each_call(&in, block, kinds[kind].size, expect_double(&in, block, kind, 0));
        }
        end_subject(&in);
    }
}

/* Freed remotely, then by its owner, by the same thread again, and by a third one; after each the state is the same. */
Test(again_and_again, before_the_owner_has_collected, .init = watch) {
    for (int which = 0; which < 4; which++) {
        subject in = make_subject(which);
        for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++) {
            const misuse_call *call = &misuse_calls[i];
            arguments with = {.arena = in.arena, .pointer = subject_alloc(&in, 64), .size = 64};
            if (!is_for(call, &in)) {
                subject_free(&in, with.pointer);
                continue;
            }
            first_free(call, with, true);
            for (int round = 0; round < 6; round++) {
                cr_assert_eq(classify(with.pointer).state, HK_BLOCK_FREED_REMOTELY);
                assert_misuse_by(round % 2 == 1, call, with, expect_at(with.pointer, HK_ERR_DOUBLE_FREE));
            }
            cr_assert_eq(totals_of(in.arena).live_blocks, 0);
            assert_misuse(call, with, expect_at(with.pointer, HK_ERR_DOUBLE_FREE));
        }
        end_subject(&in);
    }
}

/* ---- all blocks of a crowd, in another order ---- */

Test(crowd, each_block_is_known_to_be_free, .init = watch) {
    enum { BLOCKS = 3000 };
    static void *blocks[BLOCKS];
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        size_t call = which == 0 ? 0 : 6; /* hk_free, hk_arena_free */
        for (size_t i = 0; i < BLOCKS; i++)
            blocks[i] = subject_alloc(&in, 16 + i % 700);
        for (size_t i = 0; i < BLOCKS; i++)
            subject_free(&in, blocks[i]);
        for (size_t i = 0; i < BLOCKS; i++) {
            void *block = blocks[i * 7 % BLOCKS];
            assert_misuse(&misuse_calls[call], (arguments){.arena = in.arena, .pointer = block},
                          expect_at(block, HK_ERR_DOUBLE_FREE));
        }
        end_subject(&in);
    }
}

/* A stale address that is handed out again is the new block's. */
Test(crowd, handed_out_again_is_live, .init = watch) {
    subject in = make_subject(4);
    void *block = subject_alloc(&in, 64);
    subject_free(&in, block);
    void *next = subject_alloc(&in, 64);
    if (next == block)
        cr_assert_eq(hk_arena_free(in.arena, block), HK_OK);
    else
        subject_free(&in, next);
    cr_assert_eq(seen.count, 0);
    end_subject(&in);
}
