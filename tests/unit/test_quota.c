/* quota: exact to a line, whatever the order and however many threads; alone, and in chains. */
#include "unit_test.h"

#include <signal.h>

static hki_quota quota_of(size_t limit) {
    return (hki_quota){.limit_lines = limit};
}

static size_t held(hki_quota *quota) {
    return atomic_load(&quota->held_lines);
}

Test(quota, is_exact) {
    hki_quota quota = quota_of(10);
    cr_assert(hki_quota_take(&quota, 9));
    cr_assert_not(hki_quota_take(&quota, 2));
    cr_assert_eq(held(&quota), 9);
    cr_assert(hki_quota_take(&quota, 1));
    cr_assert_not(hki_quota_take(&quota, 1));
    cr_assert(hki_quota_take(&quota, 0));
    hki_quota_give(&quota, 10);
    cr_assert_eq(held(&quota), 0);
    cr_assert_eq(atomic_load(&quota.peak_lines), 10);
}

Test(quota, does_not_overflow) {
    hki_quota quota = quota_of(10);
    cr_assert(hki_quota_take(&quota, 5));
    cr_assert_not(hki_quota_take(&quota, SIZE_MAX));
    cr_assert_not(hki_quota_take(&quota, SIZE_MAX - 4));
    cr_assert_eq(held(&quota), 5);
    quota = quota_of(HKI_NO_LIMIT);
    cr_assert(hki_quota_take(&quota, 5));
    cr_assert_not(hki_quota_take(&quota, SIZE_MAX - 4));
    cr_assert(hki_quota_take(&quota, SIZE_MAX - 5));
}

Test(quota, limit_below_what_is_held_only_stops_growth) {
    hki_quota quota = quota_of(HKI_NO_LIMIT);
    cr_assert(hki_quota_take(&quota, 100));
    atomic_store(&quota.limit_lines, 50);
    cr_assert_not(hki_quota_take(&quota, 1));
    cr_assert_not(hki_quota_take(&quota, 0));
    hki_quota_give(&quota, 50);
    cr_assert(hki_quota_take(&quota, 0));
    cr_assert_not(hki_quota_take(&quota, 1));
    hki_quota_give(&quota, 1);
    cr_assert(hki_quota_take(&quota, 1));
    cr_assert_eq(atomic_load(&quota.peak_lines), 100);
}

Test(quota, limit_of_no_line) {
    hki_quota quota = quota_of(0);
    cr_assert_not(hki_quota_take(&quota, 1));
    cr_assert_eq(held(&quota), 0);
}

Test(quota, giving_more_than_is_held_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_quota quota = quota_of(1);
    hki_quota_give(&quota, HKI_IS_DEBUG ? 1 : 0);
}

enum { SHARED_LIMIT = 20, THREADS = 4, ROUNDS = 20000 };

typedef struct shared {
    hki_quota quota;
    _Atomic bool overstepped;
    _Atomic uint32_t seeds;
} shared;

static void *take_and_give(void *argument) {
    shared *common = argument;
    uint32_t seed = 77 + atomic_fetch_add(&common->seeds, 1);
    size_t mine = 0;
    for (int i = 0; i < ROUNDS; i++) {
        size_t lines = 1 + next_random(&seed) % 8;
        if (hki_quota_take(&common->quota, lines))
            mine += lines;
        if (held(&common->quota) > SHARED_LIMIT)
            atomic_store(&common->overstepped, true);
        if (mine > 0 && next_random(&seed) % 2 == 0) {
            hki_quota_give(&common->quota, mine);
            mine = 0;
        }
    }
    hki_quota_give(&common->quota, mine);
    return NULL;
}

Test(quota, threads_never_overstep_it) {
    static shared common;
    pthread_t threads[THREADS];
    common.quota = quota_of(SHARED_LIMIT);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, &common), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_not(atomic_load(&common.overstepped));
    cr_assert_eq(held(&common.quota), 0);
    cr_assert_leq(atomic_load(&common.quota.peak_lines), SHARED_LIMIT);
    cr_assert_gt(atomic_load(&common.quota.peak_lines), 0);
}

/* ---- chains ---- */

enum { LEVELS = 4 };

typedef struct chain {
    hki_quota levels[LEVELS]; /* the last one is the root */
} chain;

static void set_up(chain *of, const size_t limits[LEVELS]) {
    for (int i = 0; i < LEVELS; i++) {
        of->levels[i] = quota_of(limits[i]);
        of->levels[i].parent = i + 1 < LEVELS ? &of->levels[i + 1] : NULL;
    }
}

static void assert_held(chain *of, const size_t lines[LEVELS]) {
    for (int i = 0; i < LEVELS; i++)
        cr_assert_eq(held(&of->levels[i]), lines[i], "level %d", i);
}

Test(quota_chain, is_charged_and_given_back_as_one) {
    chain of;
    set_up(&of, (size_t[]){HKI_NO_LIMIT, 100, HKI_NO_LIMIT, 200});
    cr_assert(hki_quota_take(&of.levels[0], 10));
    cr_assert(hki_quota_take(&of.levels[2], 5));
    cr_assert(hki_quota_take(&of.levels[1], 2));
    assert_held(&of, (size_t[]){10, 12, 17, 17});
    hki_quota_give(&of.levels[0], 4);
    hki_quota_give(&of.levels[3], 1);
    assert_held(&of, (size_t[]){6, 8, 13, 12});
    for (int i = 0; i < LEVELS; i++)
        cr_assert_eq(atomic_load(&of.levels[i].peak_lines), ((size_t[]){10, 12, 17, 17})[i]);
}

/* Whichever refuses, nothing is held for it, no peak has seen it, and it is known which it was. */
Test(quota_chain, is_charged_in_full_or_not_at_all) {
    for (int strict = 0; strict < LEVELS; strict++) {
        chain of;
        set_up(&of, (size_t[]){100, 100, 100, 100});
        atomic_store(&of.levels[strict].limit_lines, 20);
        cr_assert(hki_quota_take(&of.levels[0], 15));
        cr_assert_not(hki_quota_take(&of.levels[0], 6));
        cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[strict]);
        cr_assert_not(hki_quota_take(&of.levels[0], SIZE_MAX - 10));
        cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[0]);
        assert_held(&of, (size_t[]){15, 15, 15, 15});
        cr_assert(hki_quota_take(&of.levels[0], 5));
        hki_quota_give(&of.levels[0], 20);
        for (int i = 0; i < LEVELS; i++)
            cr_assert_eq(atomic_load(&of.levels[i].peak_lines), 20);
        assert_held(&of, (size_t[]){0, 0, 0, 0});
    }
}

Test(quota_chain, names_the_nearest_that_refuses) {
    chain of;
    hki_quota alone = quota_of(1);
    set_up(&of, (size_t[]){50, 40, 30, 20});
    cr_assert_not(hki_quota_take(&of.levels[0], 51));
    cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[0]);
    cr_assert_not(hki_quota_take(&of.levels[0], 41));
    cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[1]);
    cr_assert_not(hki_quota_take(&of.levels[0], 21));
    cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[3]);
    cr_assert_not(hki_quota_take(&of.levels[2], 21));
    cr_assert_eq(hki_quota_that_refused(&of.levels[2]), &of.levels[3]);
    cr_assert_eq(hki_quota_that_refused(&alone), &alone);
    cr_assert_not(hki_quota_take(&alone, 2));
    cr_assert_eq(hki_quota_that_refused(&of.levels[0]), &of.levels[0]);
}

typedef struct siblings {
    hki_quota root, above, children[THREADS];
    _Atomic size_t taken; /* after a take, and no more before a give */
    _Atomic bool overstepped;
    _Atomic uint32_t threads;
} siblings;

static void *take_and_give_below(void *argument) {
    siblings *common = argument;
    uint32_t number = atomic_fetch_add(&common->threads, 1), seed = 55 + number;
    hki_quota *own = &common->children[number / 2]; /* two threads in each */
    size_t mine = 0;
    for (int i = 0; i < ROUNDS; i++) {
        size_t lines = 1 + next_random(&seed) % 8;
        if (hki_quota_take(own, lines)) {
            atomic_fetch_add(&common->taken, lines);
            mine += lines;
        } else if (hki_quota_that_refused(own) == &common->root) {
            atomic_store(&common->overstepped, true); /* which it never does */
        }
        if (held(&common->above) > SHARED_LIMIT || atomic_load(&common->taken) > SHARED_LIMIT)
            atomic_store(&common->overstepped, true);
        if (mine > 0 && next_random(&seed) % 2 == 0) {
            atomic_fetch_sub(&common->taken, mine);
            hki_quota_give(own, mine);
            mine = 0;
        }
    }
    atomic_fetch_sub(&common->taken, mine);
    hki_quota_give(own, mine);
    return NULL;
}

Test(quota_chain, threads_below_never_overstep_it) {
    static siblings common;
    pthread_t threads[THREADS];
    common.root = quota_of(HKI_NO_LIMIT);
    common.above = quota_of(SHARED_LIMIT);
    common.above.parent = &common.root;
    for (int i = 0; i < THREADS; i++) {
        common.children[i] = quota_of(i == 0 ? SHARED_LIMIT / 2 : HKI_NO_LIMIT);
        common.children[i].parent = &common.above;
    }
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give_below, &common), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_not(atomic_load(&common.overstepped));
    cr_assert_leq(atomic_load(&common.children[0].peak_lines), SHARED_LIMIT / 2);
    cr_assert_leq(atomic_load(&common.above.peak_lines), SHARED_LIMIT);
    cr_assert_gt(atomic_load(&common.above.peak_lines), 0);
    cr_assert(held(&common.root) == 0 && held(&common.above) == 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(held(&common.children[i]), 0);
}
