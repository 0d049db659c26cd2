/* Wrong arena: every kind of block, owned by every kind of arena, through every function of every other one. */
#include "misuse_test.h"

typedef struct everyone {
    subject all[SUBJECTS];
} everyone;

static everyone make_everyone(void) {
    everyone made;
    for (int i = 0; i < SUBJECTS; i++)
        made.all[i] = make_subject(i);
    return made;
}

static void end_everyone(const everyone *of) {
    for (int i = 0; i < SUBJECTS; i++)
        end_subject(&of->all[i]);
}

static void assert_not_for(bool other_thread, const subject *owner, const subject *user, size_t size) {
    void *victim = make_victim(owner, size);
    size_t usable = hk_usable_size(victim);
    expectation expected = {HK_ERR_WRONG_ARENA, usable, 0, hk_arena_name(owner->arena)};
    cr_assert_not(hk_arena_owns(user->arena, victim));
    for (size_t i = 0; i < LENGTH_OF(misuse_calls); i++) {
        arguments with = {.arena = user->arena, .pointer = victim, .size = size};
        if (is_for(&misuse_calls[i], user) && !misuse_calls[i].any_arena)
            assert_misuse_by(other_thread, &misuse_calls[i], with, expected);
    }
    cr_assert_eq(hk_usable_size(victim), usable);
    cr_assert_eq(hk_arena_of(victim), owner->arena);
    end_victim(owner, victim, usable);
}

static void each_pair(bool other_thread) {
    everyone of = make_everyone();
    for (int i = 0; i < SUBJECTS * SUBJECTS; i++) {
        const subject *owner = &of.all[i / SUBJECTS], *user = &of.all[i % SUBJECTS];
        if (owner->arena == user->arena)
            continue;
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++)
            assert_not_for(other_thread, owner, user, victim_sizes[k]);
    }
    end_everyone(&of);
}

Test(wrong_arena, both_directions, .init = watch) {
    each_pair(false);
}

Test(wrong_arena, from_a_thread_that_is_new_to_both, .init = watch) {
    each_pair(true);
}

/* Many blocks of each, in lines and units beside each other. */
Test(wrong_arena, in_a_crowd, .init = watch) {
    enum { EACH = 200 };
    everyone of = make_everyone();
    static void *blocks[SUBJECTS][EACH];
    for (size_t k = 0; k < SUBJECTS * EACH; k++)
        blocks[k % SUBJECTS][k / SUBJECTS] = make_victim(&of.all[k % SUBJECTS], 1 + k * 37 % 30000);
    for (size_t k = 0; k < SUBJECTS * EACH; k++) {
        const subject *owner = &of.all[k % SUBJECTS];
        const subject *user = &of.all[(k + 2 + k / SUBJECTS % 3) % SUBJECTS];
        void *victim = blocks[k % SUBJECTS][k / SUBJECTS];
        if (owner->arena != user->arena)
            assert_misuse(&misuse_calls[user->process ? 0 : 6], (arguments){.arena = user->arena, .pointer = victim},
                          expect_at(victim, HK_ERR_WRONG_ARENA));
    }
    for (size_t k = 0; k < SUBJECTS * EACH; k++) {
        void *victim = blocks[k % SUBJECTS][k / SUBJECTS];
        cr_assert(holds(victim, hk_usable_size(victim), VICTIM_SEED));
        subject_free(&of.all[k % SUBJECTS], victim);
    }
    end_everyone(&of);
}

/* What was freed or was never a block is told so by any arena. */
Test(wrong_arena, of_what_is_not_live_is_another_misuse, .init = watch) {
    everyone of = make_everyone();
    for (int i = 0; i < SUBJECTS * SUBJECTS; i++) {
        const subject *owner = &of.all[i / SUBJECTS], *user = &of.all[i % SUBJECTS];
        char *block = subject_alloc(owner, 100);
        for (size_t at = 1; at < 100; at += 7)
            assert_each_call(user, block + at, 100, expect_at(block, HK_ERR_INTERIOR_POINTER));
        subject_free(owner, block);
        assert_each_call(user, block, 100, expect_at(block, HK_ERR_DOUBLE_FREE));
    }
    end_everyone(&of);
}

/* No arena's blocks any more. */
Test(wrong_arena, blocks_of_an_ended_arena, .init = watch) {
    for (int which = 2; which < SUBJECTS; which++)
        for (size_t k = 0; k < LENGTH_OF(victim_sizes); k++) {
            subject owner = make_subject(which), user = make_subject(which);
            void *block = make_victim(&owner, victim_sizes[k]);
            cr_assert_eq(hk_arena_destroy(owner.arena), HK_OK);
            expectation expected = expect_not_live(block);
            cr_assert(expected.block_size == 0 && expected.arena_name == NULL);
            assert_each_call(&user, block, victim_sizes[k], expected);
            end_subject(&user);
        }
}
