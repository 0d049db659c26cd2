/* quota: how many lines an arena holds, and how many it may hold. Lock-free; any thread.
 *
 * Invariants: held_lines <= peak_lines; held_lines grows only to at most the limit_lines of that moment. */
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
} hki_quota;

/* False if the limit does not allow it. The counters carry no other data, so their order is relaxed. */
static inline bool hki_quota_take(hki_quota *quota, size_t lines) {
    size_t held = atomic_load_explicit(&quota->held_lines, memory_order_relaxed);
    do {
        size_t limit = atomic_load_explicit(&quota->limit_lines, memory_order_relaxed);
        if (held > limit || lines > limit - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->held_lines, &held, held + lines, memory_order_relaxed,
                                                    memory_order_relaxed));
    held += lines;
    size_t peak = atomic_load_explicit(&quota->peak_lines, memory_order_relaxed);
    while (held > peak && !atomic_compare_exchange_weak_explicit(&quota->peak_lines, &peak, held, memory_order_relaxed,
                                                                 memory_order_relaxed))
        continue;
    return true;
}

static inline void hki_quota_give(hki_quota *quota, size_t lines) {
    size_t before = atomic_fetch_sub_explicit(&quota->held_lines, lines, memory_order_relaxed);
    HKI_ASSERT(before >= lines);
    (void)before;
}

#endif
