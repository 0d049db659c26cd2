/* rewind_pages: see rewind_pages.h. No state. */
#include "rewind_pages.h"

#include "os.h"

#include <string.h>

enum {
    ROWS_PER_SCAN = 256,
    PAGES_KEPT = 64, /* of those that are no part of the base: a quarter of a MiB that the next request needs again */
};

/* A row of pages of a range, and what is known of it. */
typedef struct row {
    char *start, *end;
    bool exists;  /* there are pages; else reads give zeros, and cost nothing but page tables */
    bool present; /* they are not swapped out */
} row;

bool hki_page_is_zero(const char *page) {
    const uint64_t *words = (const uint64_t *)(const void *)page;
    size_t count = hki_os_page_size() / sizeof *words;
    uint64_t all = 0;
    for (size_t i = 0; i < count && all == 0; i += 8)
        for (size_t j = 0; j < 8; j++)
            all |= words[i + j];
    return all == 0;
}

static size_t page_of(const hki_range *range, const char *address) {
    return (range->at + (size_t)(address - range->start)) / hki_os_page_size();
}

static char *image_of(const hki_rewind *rewind, const hki_range *range, const char *address) {
    return rewind->image + range->at + (address - range->start);
}

/* Calls visit(context, row) for the rows of pages in [from, end) that may differ from the base: those that the tracker
 * finds, and all that it cannot tell about. */
typedef void (*visitor)(void *context, row found);

static void visit_written(const hki_os_tracker *tracker, char *from, char *end, visitor visit, void *context) {
    hki_os_pages found[ROWS_PER_SCAN];
    while (from < end) {
        size_t count;
        const char *reached;
        if (tracker == NULL || !hki_os_find_written(tracker, from, end, found, ROWS_PER_SCAN, &count, &reached)) {
            visit(context, (row){from, end, true, true});
            return;
        }
        for (size_t i = 0; i < count; i++) {
            bool present = (found[i].states & HKI_OS_PAGE_PRESENT) != 0;
            bool exists = present || (found[i].states & HKI_OS_PAGE_SWAPPED) != 0;
            visit(context, (row){from + (found[i].start - (uintptr_t)from), from + (found[i].end - (uintptr_t)from),
                                 exists, present});
        }
        from += reached - from;
    }
}

/* ---- save ---- */

typedef struct saving {
    hki_rewind *rewind;
    const hki_range *range;
} saving;

static void save_row(void *context, row found) {
    const saving *to = context;
    size_t page_size = hki_os_page_size();
    for (char *page = found.start; page < found.end; page += page_size) {
        bool has_bytes = found.exists && !hki_page_is_zero(page);
        hki_page_set_saved(to->rewind->saved, page_of(to->range, page), has_bytes);
        if (has_bytes)
            memcpy(image_of(to->rewind, to->range, page), page, page_size);
    }
}

void hki_range_save(hki_rewind *rewind, const hki_range *range, const hki_os_tracker *tracker, size_t used) {
    saving to = {rewind, range};
    visit_written(tracker, range->start, range->start + used, save_row, &to);
}

/* ---- restore ---- */

typedef struct restoring {
    const hki_rewind *rewind;
    const hki_range *range;
    hki_rewind_counts *counts;
} restoring;

static void zero_pages(char *start, char *end, hki_rewind_counts *counts) {
    size_t page_size = hki_os_page_size();
    for (char *page = start; page < end; page += page_size) {
        bool is_zero = hki_page_is_zero(page);
        counts->changed += !is_zero;
        counts->unchanged += is_zero;
        if (!is_zero)
            memset(page, 0, page_size);
    }
}

/* Pages that were not there at the base. A few are kept, as a fault costs more than zeroing a page. What is locked in
 * memory cannot be dropped, and a page of an older base's file would come back with the bytes that it had there. */
static void drop(const restoring *from, row found) {
    size_t pages = (size_t)(found.end - found.start) / hki_os_page_size();
    hki_rewind_counts *counts = from->counts;
    if (!found.exists)
        return;
    if (found.present && counts->kept + pages <= PAGES_KEPT)
        counts->kept += pages;
    else if (from->rewind->way != HKI_REWIND_FILE && hki_os_purge(found.start, (size_t)(found.end - found.start)))
        return;
    zero_pages(found.start, found.end, counts);
}

static void copy_back(const restoring *from, row found) {
    size_t page_size = hki_os_page_size();
    for (char *page = found.start; page < found.end; page += page_size) {
        const char *image = image_of(from->rewind, from->range, page);
        bool is_same = memcmp(page, image, page_size) == 0;
        from->counts->changed += !is_same;
        from->counts->unchanged += is_same;
        if (!is_same)
            memcpy(page, image, page_size);
    }
}

/* Saved pages and others take turns in a row. */
static void restore_row(void *context, row found) {
    const restoring *from = context;
    const uint64_t *saved = from->rewind->saved;
    size_t page_size = hki_os_page_size();
    while (found.start < found.end) {
        row part = found;
        bool is_saved = hki_page_is_saved(saved, page_of(from->range, found.start));
        do
            found.start += page_size;
        while (found.start < found.end && hki_page_is_saved(saved, page_of(from->range, found.start)) == is_saved);
        part.end = found.start;
        if (is_saved)
            copy_back(from, part);
        else
            drop(from, part);
    }
}

void hki_range_restore(hki_rewind *rewind, const hki_range *range, const hki_os_tracker *tracker, size_t used,
                       hki_rewind_counts *counts) {
    restoring from = {rewind, range, counts};
    char *base_end = range->start + range->based;
    char *end = range->start + used;
    if (rewind->way == HKI_REWIND_FILE && !range->compares && hki_os_purge(range->start, used))
        return;
    if (end > base_end && !hki_os_purge(base_end, (size_t)(end - base_end)))
        zero_pages(base_end, end, counts);
    visit_written(tracker, range->start, base_end, restore_row, &from);
}
