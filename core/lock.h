/* lock: the locks of the slow paths, and the order in which they may be taken.
 *
 * Invariant, asserted in debug builds: a thread takes locks in the order of their ranks, each at most once. */
#ifndef HKI_LOCK_H
#define HKI_LOCK_H

#include "base.h"

#include <pthread.h>

typedef enum hki_rank {
    HKI_RANK_START,  /* the start of the process heap */
    HKI_RANK_ARENAS, /* arena and heap slots, which heaps an arena has, which of them are idle */
    HKI_RANK_POOL,   /* segments, free units, large and huge blocks, who owns which unit */
    HKI_RANK_REPORT, /* who sets the error handler */
} hki_rank;

typedef struct hki_lock {
    pthread_mutex_t mutex;
    hki_rank rank;
} hki_lock;

#define HKI_LOCK_INIT(rank)                                                                                            \
    { PTHREAD_MUTEX_INITIALIZER, rank }

HKI_DATA hki_lock hki_arenas_lock;
HKI_DATA hki_lock hki_pool_lock;
HKI_DATA hki_lock hki_report_lock;

void hki_lock_acquire(hki_lock *lock);
void hki_lock_release(hki_lock *lock);
/* Debug builds: whether this thread holds the lock. Release builds: true. */
bool hki_lock_is_held(const hki_lock *lock);

#endif
