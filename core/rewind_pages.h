/* rewind_pages: one range of an arena that can be rewound, page by page, against the image. For the arena's thread. */
#ifndef HKI_REWIND_PAGES_H
#define HKI_REWIND_PAGES_H

#include "os_rewind.h"
#include "rewind.h"

/* What a rollback met with, over all ranges. */
typedef struct hki_rewind_counts {
    size_t changed;   /* pages that were not as at the base */
    size_t unchanged; /* pages that were looked at for nothing */
    size_t kept;      /* pages that are no part of the base: zeroed, and kept for the next one that needs them */
} hki_rewind_counts;

bool hki_page_is_zero(const char *page);

HKI_INLINE bool hki_page_is_saved(const uint64_t *saved, size_t page) {
    return (saved[page / 64] >> page % 64 & 1) != 0;
}

HKI_INLINE void hki_page_set_saved(uint64_t *saved, size_t page, bool is_saved) {
    uint64_t mask = UINT64_C(1) << page % 64;
    saved[page / 64] = is_saved ? saved[page / 64] | mask : saved[page / 64] & ~mask;
}

/* How many bytes of a range are in use if the pool has reached so many segments. */
HKI_INLINE size_t hki_range_used(const hki_range *range, size_t reached) {
    return range->bytes_per_segment == 0 ? range->bytes : range->bytes_per_segment * reached;
}

/* TRACKING: brings the image of the first `used` bytes of a range up to date. `tracker` may be NULL. */
void hki_range_save(hki_rewind *rewind, const hki_range *range, const hki_os_tracker *tracker, size_t used);
/* Brings the range back, of which `used` bytes may have been used meanwhile. */
void hki_range_restore(hki_rewind *rewind, const hki_range *range, const hki_os_tracker *tracker, size_t used,
                       hki_rewind_counts *counts);

#endif
