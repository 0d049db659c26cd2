/* Handlers: what they may do, whom they replace, and what they are given. */
#include "misuse_test.h"

#include <setjmp.h>
#include <signal.h>

/* ---- handlers that use hakmem ---- */

enum { KEPT = 64 };

static void *kept[KEPT];
static unsigned calls;

/* Takes and gives memory of all kinds, makes and ends arenas, and asks about the pointer: no lock is held. */
static void busy_handler(const hk_error_info *info, void *user_data) {
    hk_arena *arena = user_data;
    void *large = hk_malloc(5 * MIB), *other;
    hk_free(hk_realloc(hk_malloc(100), 30000));
    hk_free(large);
    hk_free(kept[calls % KEPT]);
    kept[calls % KEPT] = hk_malloc(16 + calls % 3000);
    other = hk_arena_alloc(arena, 64);
    hk_status freed = hk_arena_free(arena, other);
    hk_pointer_info known = {.struct_size = sizeof known};
    hk_status classified = hk_classify(info->pointer, &known);
    hk_statistics figures = {.struct_size = sizeof figures};
    hk_status counted = hk_arena_statistics(arena, &figures);
    hk_arena *fresh = NULL;
    if (hk_arena_create(NULL, &fresh) == HK_OK && hk_arena_alloc(fresh, 10) != NULL && hk_malloc(SIZE_MAX) == NULL &&
        hk_arena_check(arena) == HK_OK && hk_arena_destroy(fresh) == HK_OK && freed == HK_OK && classified == HK_OK &&
        counted == HK_OK)
        calls++;
    see(info, &seen);
}

Test(handler, may_allocate_and_free) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        hk_set_error_handler(busy_handler, in.arena);
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++) {
            char *victim = make_victim(&in, victim_sizes[k]);
            size_t usable = hk_usable_size(victim);
            unsigned before = calls;
            /* The last status is the handler's own while it runs. */
            seen.count = 0;
            made_call made = {.call = &misuse_calls[in.process ? 0 : 6], .with = {in.arena, victim + 1, 0, 0}};
            make_call(&made);
            cr_assert(calls == before + 1 && seen.count == 1);
            cr_assert(seen.status == HK_ERR_INTERIOR_POINTER && seen.block_size == usable);
            cr_assert_eq(made.last_status, HK_ERR_INTERIOR_POINTER);
            cr_assert(made.failed);
            assert_unharmed(&in, victim, usable);
            subject_free(&in, victim);
        }
        for (int i = 0; i < KEPT; i++) {
            hk_free(kept[i]);
            kept[i] = NULL;
        }
        end_subject(&in);
    }
}

/* ---- handlers that do not return ---- */

static jmp_buf way_out;

static void jump(const hk_error_info *info, void *user_data) {
    see(info, user_data);
    longjmp(way_out, (int)info->status);
}

static volatile size_t jumps; /* of a loop around setjmp */

static void jump_out_of_each_call(const subject *in, void *pointer, size_t size, hk_status status) {
    for (jumps = 0; jumps < LENGTH_OF(misuse_calls); jumps++) {
        const misuse_call *call = &misuse_calls[jumps];
        int thrown = setjmp(way_out);
        if (thrown == 0 && is_for(call, in)) {
            call->fails(&(arguments){in->arena, pointer, size, call->wanted});
            cr_assert_fail("%s returned", call->function);
        }
        cr_assert(thrown == 0 || (thrown == (int)status && hk_last_status() == status));
    }
}

Test(handler, may_jump_out) {
    hk_set_error_handler(jump, &seen);
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++) {
            char *victim = make_victim(&in, victim_sizes[k]), *freed = subject_alloc(&in, victim_sizes[k]);
            size_t usable = hk_usable_size(victim);
            subject_free(&in, freed);
            jump_out_of_each_call(&in, victim + 1, victim_sizes[k], HK_ERR_INTERIOR_POINTER);
            jump_out_of_each_call(&in, &way_out, victim_sizes[k], HK_ERR_FOREIGN_POINTER);
            jump_out_of_each_call(&in, freed, victim_sizes[k], expect_not_live(freed).status);
            end_victim(&in, victim, usable);
        }
        end_subject(&in);
    }
}

Test(handler, may_jump_out_of_a_bad_arena) {
    hk_set_error_handler(jump, &seen);
    int thrown = setjmp(way_out);
    if (thrown == 0) {
        hk_arena_destroy(NULL);
        cr_assert_fail("it returned");
    }
    cr_assert_eq(thrown, HK_ERR_BAD_ARENA);
    assert_empty(hk_arena_default());
}

/* ---- misuse inside a handler ---- */

static unsigned depth, deepest;

static void careless_handler(const hk_error_info *info, void *user_data) {
    see(info, user_data);
    if (++depth > deepest)
        deepest = depth;
    if (depth < 5)
        hk_free((char *)&depth + depth);
    depth--;
}

Test(handler, may_misuse_hakmem_itself) {
    hk_set_error_handler(careless_handler, &seen);
    char *block = hk_malloc(64);
    hk_free(block + 8);
    cr_assert(deepest == 5 && depth == 0 && seen.count == 5);
    cr_assert_eq(seen.status, HK_ERR_FOREIGN_POINTER);
    cr_assert_eq(hk_last_status(), HK_ERR_INTERIOR_POINTER);
    hk_free(block);
    cr_assert_eq(seen.count, 5);
}

/* ---- which handler, with what ---- */

static void count_first(const hk_error_info *info, void *user_data) {
    *(unsigned *)user_data += info->status == HK_ERR_FOREIGN_POINTER;
}

static void replace_itself(const hk_error_info *info, void *user_data) {
    count_first(info, user_data);
    hk_set_error_handler(see, &seen);
}

Test(handler, gets_its_own_data_and_can_be_replaced) {
    unsigned first = 0, second = 0;
    hk_set_error_handler(count_first, &first);
    hk_free(&first);
    hk_set_error_handler(count_first, &second);
    hk_free(&first);
    hk_free(&first);
    cr_assert(first == 1 && second == 2);
    hk_set_error_handler(replace_itself, &first);
    hk_free(&first);
    hk_free(&first);
    cr_assert(first == 2 && seen.count == 1);
}

/* Without a handler the policy holds again; with one, no policy does. */
Test(handler, replaces_every_policy_until_it_is_taken_away) {
    for (int policy = HK_ON_ERROR_ABORT; policy <= (int)HK_ON_ERROR_IGNORE; policy++) {
        cr_assert_eq(hk_set_error_policy((hk_error_policy)policy), HK_OK);
        hk_set_error_handler(see, &seen);
        hk_free(&seen);
        cr_assert_eq(seen.count, (unsigned)policy + 1);
    }
    hk_set_error_handler(NULL, NULL);
    hk_free(&seen);
    cr_assert_eq(seen.count, 3);
    cr_assert_eq(hk_last_status(), HK_ERR_FOREIGN_POINTER);
}

Test(handler, taken_away_leaves_the_default_policy, .signal = SIGABRT) {
    hk_set_error_handler(see, &seen);
    hk_free(&seen);
    hk_set_error_handler(NULL, NULL);
    hk_free(&seen);
}

/* ---- threads ---- */

static void *misuse_often(void *unused) {
    (void)unused;
    for (uintptr_t i = 0; i < 1000; i++) {
        hk_free((void *)(i * 8 + 8));
        if (hk_last_status() != HK_ERR_FOREIGN_POINTER)
            abort();
    }
    return NULL;
}

static _Atomic unsigned total;

static void count_total(const hk_error_info *info, void *user_data) {
    (void)user_data;
    total += info->status == HK_ERR_FOREIGN_POINTER && info->block_size == 0;
}

Test(threads, each_misuse_is_reported_once) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    hk_set_error_handler(count_total, NULL);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, misuse_often, NULL), 0);
    for (int i = 0; i < 1000; i++) /* setting it meanwhile disturbs nobody */
        hk_set_error_handler(count_total, NULL);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(total, THREADS * 1000);
}
