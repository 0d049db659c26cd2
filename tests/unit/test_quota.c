/* quota: exact to a line, whatever the order and however many threads. */
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
