/* os_rewind: written pages and files in memory, as the system has them; each call can be refused. */
#include "unit_test.h"

#include "os_rewind.h"

#include <sys/mman.h>

enum { PAGES = 64, ROWS = 16 };

static size_t page_size;
static char *memory;
static hki_os_tracker tracker;

static void start(void) {
    page_size = hki_os_page_size();
    memory = hki_os_reserve(PAGES * page_size, HKI_UNIT_SIZE);
    cr_assert_not_null(memory);
    cr_assert(hki_os_commit(memory, PAGES * page_size));
}

/* False where the kernel is too old: then there is nothing to test. */
static bool start_tracking(void) {
    start();
    if (!hki_os_tracker_open(&tracker))
        return false;
    cr_assert(hki_os_track(&tracker, memory, PAGES * page_size));
    return true;
}

static void protect_all(void) {
    cr_assert(hki_os_protect(&tracker, memory, PAGES * page_size));
}

static void touch(size_t page) {
    memory[page * page_size + page % page_size] = (char)(page + 1);
}

/* Rows of written pages that exist, as pairs of first and end, in one word each. */
static size_t find(size_t rows[ROWS]) {
    hki_os_pages found[ROWS];
    const char *at = memory, *end = memory + PAGES * page_size;
    size_t count, total = 0;
    while (at < end) {
        cr_assert(hki_os_find_written(&tracker, at, end, found, 2, &count, &at)); /* a few at a time */
        cr_assert_leq(count, 2);
        for (size_t i = 0; i < count; i++)
            if ((found[i].states & (HKI_OS_PAGE_PRESENT | HKI_OS_PAGE_SWAPPED)) != 0)
                rows[total++] = (found[i].start - (uintptr_t)memory) / page_size * 100 +
                                (found[i].end - (uintptr_t)memory) / page_size;
    }
    return total;
}

Test(tracking, finds_what_was_written_since_protection) {
    size_t rows[ROWS];
    if (!start_tracking())
        return;
    touch(3);
    touch(4);
    touch(9);
    cr_assert_eq(find(rows), 2);
    cr_assert_eq(rows[0], 305);
    cr_assert_eq(rows[1], 910);
    protect_all();
    cr_assert_eq(find(rows), 0);
    touch(4);
    touch(20);
    cr_assert_eq(find(rows), 2);
    cr_assert_eq(rows[0], 405);
    cr_assert_eq(rows[1], 2021);
    cr_assert_eq(memory[3 * page_size + 3], 4);
    cr_assert_eq(memory[4 * page_size + 4], 5);
}

Test(tracking, reads_are_no_writes) {
    size_t rows[ROWS];
    if (!start_tracking())
        return;
    touch(5);
    protect_all();
    volatile char *bytes = memory;
    for (size_t i = 0; i < PAGES; i++)
        (void)bytes[i * page_size];
    cr_assert_leq(find(rows), ROWS);
    for (size_t i = 0; i < find(rows); i++)
        cr_assert(rows[i] / 100 > 5 || rows[i] % 100 <= 5); /* pages of zeros may count as written */
}

Test(tracking, writes_by_the_kernel_count) {
    size_t rows[ROWS];
    int ends[2];
    if (!start_tracking())
        return;
    touch(7);
    touch(8);
    protect_all();
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "0123", 4), 4);
    cr_assert_eq(read(ends[0], memory + 8 * page_size - 2, 4), 4);
    cr_assert_eq(find(rows), 1);
    cr_assert_eq(rows[0], 709);
    cr_assert_arr_eq(memory + 8 * page_size - 2, "0123", 4);
}

/* Without swap the pages stay; with it they are swapped out. Either way they are found. */
Test(tracking, finds_pages_that_were_swapped_out) {
    size_t rows[ROWS];
    if (!start_tracking())
        return;
    touch(1);
    touch(2);
    protect_all();
    touch(2);
    (void)madvise(memory, PAGES * page_size, 21 /* MADV_PAGEOUT */);
    cr_assert_eq(find(rows), 1);
    cr_assert_eq(rows[0], 203);
    cr_assert_eq(memory[page_size + 1], 2);
    cr_assert_eq(memory[2 * page_size + 2], 3);
}

Test(tracking, ends_with_untrack_and_with_renew) {
    size_t rows[ROWS];
    hki_os_pages found[1];
    size_t count;
    const char *reached;
    if (!start_tracking())
        return;
    hki_os_untrack(&tracker, memory, PAGES * page_size);
    cr_assert_not(hki_os_find_written(&tracker, memory, memory + page_size, found, 1, &count, &reached));
    cr_assert(hki_os_track(&tracker, memory, PAGES * page_size));
    touch(1);
    cr_assert_eq(find(rows), 1);
    cr_assert(hki_os_renew(memory, PAGES * page_size));
    cr_assert(is_zero(memory, PAGES * page_size));
    cr_assert_not(hki_os_find_written(&tracker, memory, memory + page_size, found, 1, &count, &reached));
}

Test(tracking, a_closed_tracker_refuses) {
    hki_os_pages found[1];
    size_t count;
    const char *reached;
    if (!start_tracking())
        return;
    errno = 4711;
    hki_os_tracker_close(&tracker);
    cr_assert_not(hki_os_track(&tracker, memory, page_size));
    cr_assert_not(hki_os_protect(&tracker, memory, page_size));
    cr_assert_not(hki_os_find_written(&tracker, memory, memory + page_size, found, 1, &count, &reached));
    cr_assert_eq(errno, 4711);
}

Test(tracking, can_be_refused) {
    hki_os_pages found[1];
    size_t count;
    const char *reached;
    if (!start_tracking())
        return;
    fail_from(0);
    cr_assert_not(hki_os_protect(&tracker, memory, page_size));
    cr_assert_not(hki_os_find_written(&tracker, memory, memory + page_size, found, 1, &count, &reached));
    cr_assert_not(hki_os_track(&tracker, memory, page_size));
    let_start();
    hki_os_tracker_close(&tracker);
    unsigned long calls = 0;
    for (; calls < 10; calls++) {
        hki_os_fail_calls(calls, 1);
        bool done = hki_os_tracker_open(&tracker);
        let_start();
        if (done)
            break;
        cr_assert_eq(tracker.faults, -1);
        cr_assert_eq(tracker.pages, -1);
    }
    cr_assert_eq(calls, 3);
    hki_os_tracker_close(&tracker);
}

/* ---- files in memory ---- */

Test(file, is_mapped_privately) {
    start();
    fill(memory, 2 * page_size, 1);
    int file = hki_os_file_create(PAGES * page_size);
    cr_assert_geq(file, 0);
    cr_assert(hki_os_file_write(file, memory, 2 * page_size, page_size));
    cr_assert(hki_os_file_seal(file));
    cr_assert_not(hki_os_file_write(file, memory, 1, 0));
    char *image = hki_os_file_map(file, 0, NULL, PAGES * page_size);
    cr_assert_not_null(image);
    cr_assert_eq(hki_os_file_map(file, page_size, memory, 4 * page_size), memory);
    hki_os_file_close(file);
    cr_assert(is_zero(image, page_size));
    cr_assert(is_filled(image + page_size, 2 * page_size, 1));
    cr_assert(is_filled(memory, 2 * page_size, 1));
    cr_assert(is_zero(memory + 2 * page_size, 2 * page_size));

    fill(memory, 4 * page_size, 2);
    cr_assert(is_filled(image + page_size, 2 * page_size, 1));
    cr_assert(hki_os_purge(memory, 4 * page_size));
    cr_assert(is_filled(memory, 2 * page_size, 1));
    cr_assert(is_zero(memory + 2 * page_size, 2 * page_size));
}

Test(file, can_be_refused) {
    start();
    errno = 4711;
    int file = hki_os_file_create(page_size);
    fail_from(0);
    cr_assert_not(hki_os_file_write(file, memory, 1, 0));
    cr_assert_not(hki_os_file_seal(file));
    cr_assert_null(hki_os_file_map(file, 0, NULL, page_size));
    cr_assert_null(hki_os_file_map(file, 0, memory, page_size));
    cr_assert_not(hki_os_renew(memory, page_size));
    for (unsigned long i = 0; i < 2; i++) {
        hki_os_fail_calls(i, 1);
        cr_assert_eq(hki_os_file_create(page_size), -1);
    }
    let_start();
    hki_os_file_close(file);
    hki_os_file_close(-1);
    cr_assert_not(hki_os_file_seal(file));
    cr_assert_eq(errno, 4711);
}
