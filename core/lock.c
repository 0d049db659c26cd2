/* lock: see lock.h. `held` has the bit of each rank that this thread holds; only debug builds keep it. */
#include "lock.h"

hki_lock hki_arenas_lock = HKI_LOCK_INIT(HKI_RANK_ARENAS);
hki_lock hki_pool_lock = HKI_LOCK_INIT(HKI_RANK_POOL);
hki_lock hki_report_lock = HKI_LOCK_INIT(HKI_RANK_REPORT);

static _Thread_local unsigned held;

void hki_lock_acquire(hki_lock *lock) {
    if (HKI_IS_DEBUG) {
        HKI_ASSERT(held >> lock->rank == 0);
        held |= 1U << lock->rank;
    }
    pthread_mutex_lock(&lock->mutex);
}

void hki_lock_release(hki_lock *lock) {
    if (HKI_IS_DEBUG) {
        HKI_ASSERT(hki_lock_is_held(lock));
        held &= ~(1U << lock->rank);
    }
    pthread_mutex_unlock(&lock->mutex);
}

bool hki_lock_is_held(const hki_lock *lock) {
    return !HKI_IS_DEBUG || (held >> lock->rank & 1) != 0;
}
