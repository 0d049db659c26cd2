/* lock: exclusion, and the order of ranks in debug builds. */
#include "unit_test.h"

#include <signal.h>

static hki_lock report_rank = HKI_LOCK_INIT(HKI_RANK_REPORT);

Test(lock, ranks_may_be_taken_in_order) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&hki_pool_lock);
    hki_lock_acquire(&report_rank);
    hki_lock_release(&hki_arenas_lock);
    hki_lock_release(&report_rank);
    hki_lock_release(&hki_pool_lock);
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_release(&hki_arenas_lock);
}

Test(lock, ranks_may_be_left_out) {
    hki_lock_acquire(&hki_pool_lock);
    hki_lock_release(&hki_pool_lock);
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&report_rank);
    hki_lock_release(&report_rank);
    hki_lock_acquire(&hki_pool_lock);
    hki_lock_release(&hki_pool_lock);
    hki_lock_release(&hki_arenas_lock);
}

static void *ask(void *argument) {
    return hki_lock_is_held(argument) ? argument : NULL;
}

Test(lock, is_held_by_one_thread) {
    cr_assert_eq(hki_lock_is_held(&hki_pool_lock), !HKI_IS_DEBUG);
    hki_lock_acquire(&hki_pool_lock);
    cr_assert(hki_lock_is_held(&hki_pool_lock));
    cr_assert_eq(hki_lock_is_held(&hki_arenas_lock), !HKI_IS_DEBUG);
    cr_assert_eq(run_in_thread(ask, &hki_pool_lock) != NULL, !HKI_IS_DEBUG);
    hki_lock_release(&hki_pool_lock);
    cr_assert_eq(hki_lock_is_held(&hki_pool_lock), !HKI_IS_DEBUG);
}

Test(lock, wrong_order_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_lock_acquire(&hki_pool_lock);
    if (HKI_IS_DEBUG)
        hki_lock_acquire(&hki_arenas_lock);
}

Test(lock, wrong_order_past_a_released_lock_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&hki_pool_lock);
    hki_lock_release(&hki_arenas_lock);
    if (HKI_IS_DEBUG)
        hki_lock_acquire(&hki_arenas_lock);
}

Test(lock, taking_twice_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    hki_lock_acquire(&hki_pool_lock);
    if (HKI_IS_DEBUG)
        hki_lock_acquire(&hki_pool_lock);
}

Test(lock, taking_two_of_one_rank_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    static hki_lock other = HKI_LOCK_INIT(HKI_RANK_POOL);
    hki_lock_acquire(&hki_pool_lock);
    if (HKI_IS_DEBUG)
        hki_lock_acquire(&other);
}

Test(lock, releasing_what_is_not_held_asserts, .signal = HKI_IS_DEBUG ? SIGABRT : 0) {
    if (HKI_IS_DEBUG)
        hki_lock_release(&hki_pool_lock);
}

enum { THREADS = 4, ROUNDS = 10000 };

static unsigned long counter; /* guarded by hki_pool_lock */

static void *count(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        hki_lock_acquire(&hki_pool_lock);
        counter++;
        hki_lock_release(&hki_pool_lock);
    }
    return NULL;
}

Test(lock, excludes) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(counter, (unsigned long)THREADS * ROUNDS);
}
