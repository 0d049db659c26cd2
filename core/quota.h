/* quota: how many lines an arena holds, and how many it may hold. Lines count in the arena and in all above it: a
 * request is charged to the whole chain of parents, or to none of it. Lock-free; any thread.
 *
 * Owns, for each thread, which quota of a chain was the last to refuse it.
 *
 * Invariants: held_lines <= peak_lines; held_lines grows only to at most the limit_lines of that moment; while nobody
 * is inside, held_lines = lines in use by the arena itself + held_lines of its children. A parent is set before the
 * quota is used and outlives it.
 *
 * A chain is charged from below, one quota after the other, and what has been charged goes back when one refuses. All
 * are asked first, so this comes about only when others take the last lines in between; until it is undone, requests
 * that would fit in the quotas below may be refused as well. Lines go back from below, too, so that a peak may include
 * some that were on their way. */
#ifndef HKI_QUOTA_H
#define HKI_QUOTA_H

#include "base.h"

#define HKI_NO_LIMIT SIZE_MAX

typedef struct hki_quota {
    _Atomic size_t held_lines;
    _Atomic size_t peak_lines;
    _Atomic size_t limit_lines; /* HKI_NO_LIMIT: none */
    _Atomic size_t limit_failures;
    _Atomic size_t system_failures;
    struct hki_quota *parent; /* NULL: none */
} hki_quota;

/* How many parents up from where this thread's last refused take began. */
HKI_DATA _Thread_local uint32_t hki_quota_refused_at;

/* Charges one quota alone; false if its limit does not allow it. The counters carry no other data, so their order is
 * relaxed. */
HKI_INLINE bool hki_quota_charge(hki_quota *quota, size_t lines, size_t *held_now) {
    size_t held = atomic_load_explicit(&quota->held_lines, memory_order_relaxed);
    do {
        size_t limit = atomic_load_explicit(&quota->limit_lines, memory_order_relaxed);
        if (held > limit || lines > limit - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->held_lines, &held, held + lines, memory_order_relaxed,
                                                    memory_order_relaxed));
    *held_now = held + lines;
    return true;
}

HKI_INLINE void hki_quota_note_peak(hki_quota *quota, size_t held) {
    size_t peak = atomic_load_explicit(&quota->peak_lines, memory_order_relaxed);
    while (held > peak && !atomic_compare_exchange_weak_explicit(&quota->peak_lines, &peak, held, memory_order_relaxed,
                                                                 memory_order_relaxed))
        continue;
}

/* hki_quota_take for a quota that has a parent. */
HKI_MISS bool hki_quota_take_chain(hki_quota *quota, size_t lines);

/* False if a limit does not allow it. */
static inline bool hki_quota_take(hki_quota *quota, size_t lines) {
    size_t held;
    if (HKI_UNLIKELY(quota->parent != NULL))
        return hki_quota_take_chain(quota, lines);
    if (!hki_quota_charge(quota, lines, &held)) {
        hki_quota_refused_at = 0;
        return false;
    }
    hki_quota_note_peak(quota, held);
    return true;
}

static inline void hki_quota_give(hki_quota *quota, size_t lines) {
    do {
        size_t before = atomic_fetch_sub_explicit(&quota->held_lines, lines, memory_order_relaxed);
        HKI_ASSERT(before >= lines);
        (void)before;
        quota = quota->parent;
    } while (HKI_UNLIKELY(quota != NULL));
}

/* Whose limit has refused this thread's last take from `quota`: its own, or that of one above. */
hki_quota *hki_quota_that_refused(hki_quota *quota);

#endif
