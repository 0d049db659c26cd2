/* quota: see quota.h. State: where each thread was last refused. */
#include "quota.h"

_Thread_local uint32_t hki_quota_refused_at;

static bool allows(const hki_quota *quota, size_t lines) {
    size_t held = atomic_load_explicit(&quota->held_lines, memory_order_relaxed);
    size_t limit = atomic_load_explicit(&quota->limit_lines, memory_order_relaxed);
    return held <= limit && lines <= limit - held;
}

static bool all_allow(const hki_quota *quota, size_t lines) {
    for (uint32_t level = 0; quota != NULL; quota = quota->parent, level++)
        if (!allows(quota, lines)) {
            hki_quota_refused_at = level;
            return false;
        }
    return true;
}

static bool charge_all(hki_quota *first, size_t lines) {
    size_t held;
    uint32_t level = 0;
    for (hki_quota *quota = first; quota != NULL; quota = quota->parent, level++) {
        if (hki_quota_charge(quota, lines, &held))
            continue;
        hki_quota_refused_at = level;
        for (; first != quota; first = first->parent)
            atomic_fetch_sub_explicit(&first->held_lines, lines, memory_order_relaxed);
        return false;
    }
    return true;
}

/* Peaks are noted when all have agreed, so what was refused above is no peak below. */
bool hki_quota_take_chain(hki_quota *quota, size_t lines) {
    if (!all_allow(quota, lines) || !charge_all(quota, lines))
        return false;
    for (; quota != NULL; quota = quota->parent)
        hki_quota_note_peak(quota, atomic_load_explicit(&quota->held_lines, memory_order_relaxed));
    return true;
}

hki_quota *hki_quota_that_refused(hki_quota *quota) {
    for (uint32_t level = hki_quota_refused_at; level > 0 && quota->parent != NULL; level--)
        quota = quota->parent;
    return quota;
}
