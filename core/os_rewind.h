/* os_rewind: what rewinding asks of the operating system beyond os.h: which pages were written to, and files in memory.
 * `errno` is left as it was by all of these; each call that may fail can be made to fail (hki_os_fail_calls). */
#ifndef HKI_OS_REWIND_H
#define HKI_OS_REWIND_H

#include "base.h"

/* ---- write tracking: Linux 6.7 and later ---- */

/* The kernel's books about the memory of one process; a child of fork has to open its own. */
typedef struct hki_os_tracker {
    int faults; /* a userfaultfd, which write-protects pages and lets the kernel itself resolve the faults */
    int pages;  /* /proc/self/pagemap */
} hki_os_tracker;

/* A row of pages, in the kernel's own form. */
typedef struct hki_os_pages {
    uint64_t start, end; /* addresses */
    uint64_t states;     /* HKI_OS_PAGE_... */
} hki_os_pages;

enum {
    HKI_OS_PAGE_WRITTEN = 1 << 1, /* not protected any more, or never was */
    HKI_OS_PAGE_PRESENT = 1 << 3,
    HKI_OS_PAGE_SWAPPED = 1 << 4, /* neither this nor PRESENT: there is no page, and reads give zeros */
};

/* False if this system cannot do it. */
bool hki_os_tracker_open(hki_os_tracker *tracker);
void hki_os_tracker_close(hki_os_tracker *tracker);
/* Puts whole pages of private anonymous memory under the tracker, in small pages from now on. They all count as written
 * to until they are protected. */
bool hki_os_track(const hki_os_tracker *tracker, void *start, size_t size);
/* Undoes that. If refused, the pages stay tracked, which is no more than slower. */
void hki_os_untrack(const hki_os_tracker *tracker, void *start, size_t size);
/* From now on, writes to these pages are noticed. */
bool hki_os_protect(const hki_os_tracker *tracker, void *start, size_t size);
/* Finds up to `max` rows of pages in [start, end) that were written to since they were protected, swapped out or not.
 * *reached tells how far it came: to `end`, or else there may be more behind. */
bool hki_os_find_written(const hki_os_tracker *tracker, const char *start, const char *end, hki_os_pages *found,
                         size_t max, size_t *count, const char **reached);

/* ---- files in memory ---- */

/* A file of `size` zeros; -1 if refused. */
int hki_os_file_create(size_t size);
bool hki_os_file_write(int file, const void *from, size_t size, size_t offset);
/* Nobody can write to the file any more. */
bool hki_os_file_seal(int file);
/* Maps pages of the file, privately: at `start` in place of what is there, writable; or, for NULL, wherever there is
 * room, to be read. NULL if refused: then nothing has changed. */
void *hki_os_file_map(int file, size_t offset, void *start, size_t size);
void hki_os_file_close(int file);

/* Puts fresh anonymous pages, which read as zeros, in place of whatever is mapped there. */
bool hki_os_renew(void *start, size_t size);

#endif
