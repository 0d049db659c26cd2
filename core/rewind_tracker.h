/* rewind_tracker: the kernel's write tracking, shared by all arenas of the process that are rewound in this way. It is
 * open while there is such an arena. A child of fork has to begin anew: so trackers are numbered.
 * Guarded by hki_pool_lock, but that an arena's thread may ask about the arena's own pages without it. */
#ifndef HKI_REWIND_TRACKER_H
#define HKI_REWIND_TRACKER_H

#include "os_rewind.h"
#include "rewind.h"

/* Puts an arena's ranges under the tracker. False if it cannot be done: then nothing has changed. */
bool hki_tracker_join(hki_rewind *rewind);
/* Forgets an arena that has joined and whose ranges are gone, or ordinary memory again. */
void hki_tracker_leave(void);
/* For an arena that has joined: the tracker, after the ranges have been put under a new one if it is not the one that
 * they joined; NULL if that cannot be done. Takes the lock. */
const hki_os_tracker *hki_tracker_of(hki_rewind *rewind);
/* In a child of fork. */
void hki_tracker_after_fork(void);

#endif
