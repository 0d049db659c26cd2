/* rewind_file: see rewind_file.h. No state. */
#include "rewind_file.h"

#include "os.h"
#include "rewind_pages.h"

#include <string.h>

bool hki_file_way_works(void) {
    int file = hki_os_file_create(hki_os_page_size());
    bool done = file >= 0 && hki_os_file_seal(file);
    hki_os_file_close(file);
    return done;
}

/* Writes the pages of a range that are not all zeros, row by row, and notes them. *end is how far they go. */
static bool write_range(hki_rewind *rewind, const hki_range *range, size_t used, int file, size_t *end) {
    size_t page_size = hki_os_page_size();
    size_t row = 0; /* where it begins */
    *end = 0;
    for (size_t at = 0; at < used; at += page_size) {
        bool has_bytes = !hki_page_is_zero(range->start + at);
        hki_page_set_saved(rewind->next_saved, (range->at + at) / page_size, has_bytes);
        if (has_bytes) {
            *end = at + page_size;
            continue;
        }
        if (*end > row && !hki_os_file_write(file, range->start + row, *end - row, range->at + row))
            return false;
        row = at + page_size;
    }
    return *end <= row || hki_os_file_write(file, range->start + row, *end - row, range->at + row);
}

/* Maps the file over the first `bytes` of a range, and fresh pages over what an older file leaves behind them: all of
 * that is zeros. If this is refused, the memory stays as it is, and its pages will be compared. */
static void map_range(hki_range *range, int file, size_t bytes) {
    size_t before = range->file_bytes;
    range->compares = bytes > 0 && hki_os_file_map(file, range->at, range->start, bytes) == NULL;
    if (before > bytes && !hki_os_renew(range->start + bytes, before - bytes))
        range->compares = true;
    range->file_bytes = range->compares ? hki_max(before, bytes) : bytes;
}

static bool write_all(hki_rewind *rewind, size_t reached, int file, size_t ends[HKI_RANGES]) {
    for (int i = 0; i < HKI_RANGES; i++) {
        const hki_range *range = &rewind->ranges[i];
        if (!write_range(rewind, range, hki_range_used(range, reached), file, &ends[i]))
            return false;
    }
    return hki_os_file_seal(file);
}

static void begin_base(hki_rewind *rewind, size_t reached, int file, char *image, const size_t ends[HKI_RANGES]) {
    uint64_t *saved = rewind->saved;
    if (rewind->image != NULL)
        hki_os_unmap(rewind->image, rewind->image_bytes);
    rewind->image = image;
    rewind->saved = rewind->next_saved;
    rewind->next_saved = saved;
    for (int i = 0; i < HKI_RANGES; i++) {
        rewind->ranges[i].based = hki_range_used(&rewind->ranges[i], reached);
        map_range(&rewind->ranges[i], file, ends[i]);
    }
}

bool hki_file_checkpoint(hki_rewind *rewind, size_t reached) {
    size_t ends[HKI_RANGES];
    int file = hki_os_file_create(rewind->image_bytes);
    char *image = NULL;
    if (file >= 0 && write_all(rewind, reached, file, ends))
        image = hki_os_file_map(file, 0, NULL, rewind->image_bytes);
    if (image != NULL)
        begin_base(rewind, reached, file, image, ends);
    hki_os_file_close(file);
    return image != NULL;
}
