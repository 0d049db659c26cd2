/* rewind_tracker: see rewind_tracker.h. State: the tracker, its number, and how many arenas use it. */
#include "rewind_tracker.h"

#include "lock.h"

static hki_os_tracker tracker = {-1, -1};
static bool is_open;
static unsigned number = 1; /* of the tracker that is open, or comes next */
static unsigned users;

static void untrack(const hki_rewind *rewind, int ranges) {
    for (int i = 0; i < ranges; i++)
        hki_os_untrack(&tracker, rewind->ranges[i].start, rewind->ranges[i].bytes);
}

/* Whether the kernel knows how to tell about written pages is seen by asking. */
static bool can_find_written(const hki_range *range) {
    hki_os_pages found[1];
    size_t count;
    const char *reached;
    return hki_os_find_written(&tracker, range->start, range->start + range->bytes, found, 1, &count, &reached);
}

static bool track(hki_rewind *rewind) {
    for (int i = 0; i < HKI_RANGES; i++)
        if (!hki_os_track(&tracker, rewind->ranges[i].start, rewind->ranges[i].bytes)) {
            untrack(rewind, i);
            return false;
        }
    if (can_find_written(&rewind->ranges[0])) {
        rewind->tracked_by = number;
        return true;
    }
    untrack(rewind, HKI_RANGES);
    return false;
}

static void end_tracker(void) {
    if (is_open)
        hki_os_tracker_close(&tracker);
    is_open = false;
    number++;
}

static bool open_and_track(hki_rewind *rewind) {
    if (!is_open)
        is_open = hki_os_tracker_open(&tracker);
    return is_open && track(rewind);
}

bool hki_tracker_join(hki_rewind *rewind) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    if (open_and_track(rewind)) {
        users++;
        return true;
    }
    if (users == 0)
        end_tracker();
    return false;
}

void hki_tracker_leave(void) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    if (--users == 0)
        end_tracker();
}

const hki_os_tracker *hki_tracker_of(hki_rewind *rewind) {
    hki_lock_acquire(&hki_pool_lock);
    bool done = (is_open && rewind->tracked_by == number) || open_and_track(rewind);
    hki_lock_release(&hki_pool_lock);
    return done ? &tracker : NULL;
}

void hki_tracker_after_fork(void) {
    HKI_ASSERT(hki_lock_is_held(&hki_pool_lock));
    end_tracker();
}
