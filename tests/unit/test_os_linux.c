/* os_linux: what is asked of the system, and that each call can be refused. */
#include "unit_test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

enum { PAGES = 8 };

static size_t size_of_pages(void) {
    return PAGES * hki_os_page_size();
}

static char *reserve_pages(void) {
    char *start = hki_os_reserve(size_of_pages(), HKI_UNIT_SIZE);
    cr_assert_not_null(start);
    cr_assert_not(can_read(start));
    return start;
}

static char *commit_pages(void) {
    char *start = reserve_pages();
    cr_assert(hki_os_commit(start, size_of_pages()));
    return start;
}

Test(os_linux, page_size) {
    cr_assert(hki_is_power_of_two(hki_os_page_size()));
    cr_assert_eq(hki_os_page_size(), (size_t)sysconf(_SC_PAGESIZE));
}

Test(os_linux, reserve_is_aligned_and_cannot_be_touched) {
    for (size_t alignment = hki_os_page_size(); alignment <= (size_t)1 << 30; alignment *= 4) {
        char *start = hki_os_reserve(HKI_SEGMENT_SIZE, alignment);
        cr_assert_not_null(start);
        cr_assert_eq((uintptr_t)start % alignment, 0);
        cr_assert_not(can_read(start));
        cr_assert_not(can_read(start + HKI_SEGMENT_SIZE - 1));
        hki_os_unmap(start, HKI_SEGMENT_SIZE);
    }
}

Test(os_linux, reserve_does_not_overflow) {
    errno = 4711;
    cr_assert_null(hki_os_reserve(SIZE_MAX - 4096, HKI_SEGMENT_SIZE));
    cr_assert_null(hki_os_reserve((size_t)1 << 62, HKI_SEGMENT_SIZE));
    cr_assert_eq(errno, 4711);
}

Test(os_linux, reserve_gives_its_margins_back) {
    size_t size = HKI_SEGMENT_SIZE;
    char *start = hki_os_reserve(size, HKI_SEGMENT_SIZE);
    cr_assert(hki_os_reserve_at(start + size, hki_os_page_size()));
    cr_assert(hki_os_reserve_at(start - hki_os_page_size(), hki_os_page_size()));
}

Test(os_linux, readable_pages_are_zeros) {
    char *start = reserve_pages();
    cr_assert(hki_os_make_readable(start, size_of_pages()));
    cr_assert(is_zero(start, size_of_pages()));
}

Test(os_linux, commit_decommit_and_commit_again) {
    char *start = commit_pages();
    cr_assert(is_zero(start, size_of_pages()));
    fill(start, size_of_pages(), 1);
    cr_assert(hki_os_decommit(start, size_of_pages()));
    cr_assert_not(can_read(start));
    cr_assert(hki_os_commit(start, size_of_pages()));
    cr_assert(is_zero(start, size_of_pages()));
}

Test(os_linux, purge_leaves_zeros) {
    char *start = commit_pages();
    fill(start, size_of_pages(), 1);
    cr_assert(hki_os_purge(start, size_of_pages() / 2));
    cr_assert(is_zero(start, size_of_pages() / 2));
    cr_assert(is_filled(start + size_of_pages() / 2, size_of_pages() / 2, 1));
}

Test(os_linux, map_at_takes_only_what_is_free) {
    bool occupied;
    char *start = reserve_pages();
    errno = 4711;
    cr_assert_not(hki_os_map_at(start, size_of_pages(), &occupied));
    cr_assert(occupied);
    cr_assert_not(can_read(start));
    hki_os_unmap(start, size_of_pages());
    cr_assert(hki_os_map_at(start, size_of_pages(), &occupied));
    cr_assert_not(occupied);
    fill(start, size_of_pages(), 2);
    cr_assert_not(hki_os_map_at(start + hki_os_page_size(), hki_os_page_size(), &occupied));
    cr_assert(occupied);
    cr_assert(is_filled(start, size_of_pages(), 2));
    cr_assert_eq(errno, 4711);
}

Test(os_linux, reserve_at_takes_only_what_is_free) {
    char *start = commit_pages();
    fill(start, size_of_pages(), 3);
    errno = 4711;
    cr_assert_not(hki_os_reserve_at(start, hki_os_page_size()));
    cr_assert(is_filled(start, size_of_pages(), 3));
    hki_os_unmap(start, size_of_pages());
    cr_assert(hki_os_reserve_at(start, size_of_pages()));
    cr_assert_not(can_read(start));
    cr_assert_eq(errno, 4711);
}

Test(os_linux, move_takes_the_contents_along) {
    size_t size = size_of_pages();
    char *from = commit_pages();
    char *to = hki_os_reserve(2 * size, HKI_UNIT_SIZE);
    fill(from, size, 4);
    cr_assert(hki_os_move(from, size, to, 2 * size));
    cr_assert(is_filled(to, size, 4));
    cr_assert(is_zero(to + size, size));
    cr_assert_not(can_read(from));
    cr_assert(hki_os_reserve_at(from, size));
}

Test(os_linux, move_of_what_is_not_mapped_is_refused) {
    char *from = reserve_pages(), *to = reserve_pages();
    hki_os_unmap(from, size_of_pages());
    errno = 4711;
    cr_assert_not(hki_os_move(from, size_of_pages(), to, size_of_pages()));
    cr_assert_eq(errno, 4711);
}

Test(os_linux, address_space_limit) {
    struct rlimit limit, before;
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(hki_os_address_space_limit(), before.rlim_cur == RLIM_INFINITY ? SIZE_MAX : before.rlim_cur);
    limit = before;
    limit.rlim_cur = (rlim_t)1 << 35;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    size_t said = hki_os_address_space_limit();
    cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(said, (size_t)1 << 35);
}

Test(os_linux, random_bytes_differ) {
    uint64_t words[2][4] = {{0}, {0}}, again[2], first[2];
    cr_assert(hki_os_random(words[0], sizeof words[0]) && hki_os_random(words[1], sizeof words[1]));
    for (size_t i = 0; i < LENGTH_OF(words[0]); i++)
        cr_assert_neq(words[0][i], words[1][i]);
    hki_os_random_of_start(first);
    hki_os_random_of_start(again);
    cr_assert(first[0] != 0 && first[0] == again[0] && first[1] == again[1]);
    fail_from(0);
    cr_assert_not(hki_os_random(words[0], sizeof words[0]));
}

Test(os_linux, environment) {
    unsetenv("HAKMEM_TEST");
    cr_assert_null(hki_os_environment("HAKMEM_TEST"));
    setenv("HAKMEM_TEST", "value", 1);
    cr_assert_str_eq(hki_os_environment("HAKMEM_TEST"), "value");
}

Test(os_linux, write_error_writes_all_of_it) {
    static capture errors;
    capture_begin(&errors);
    errno = 4711;
    hki_os_write_error("one", 3);
    hki_os_write_error("", 0);
    hki_os_write_error("two!", 3);
    cr_assert_eq(errno, 4711);
    cr_assert_str_eq(capture_end(&errors), "onetwo");
}

Test(os_linux, write_error_gives_up_quietly) {
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = 4711;
    hki_os_write_error("lost", 4);
    int error = errno;
    dup2(saved, STDERR_FILENO);
    cr_assert_eq(error, 4711);
}

Test(os_linux, write_writes_all_of_it) {
    FILE *file = tmpfile();
    char text[8] = {0};
    errno = 4711;
    cr_assert(hki_os_write(fileno(file), "one", 3));
    cr_assert(hki_os_write(fileno(file), "", 0));
    cr_assert(hki_os_write(fileno(file), "two!", 3));
    cr_assert_eq(errno, 4711);
    cr_assert_eq(pread(fileno(file), text, sizeof text, 0), 6);
    cr_assert_str_eq(text, "onetwo");
}

Test(os_linux, write_tells_what_cannot_be_written) {
    FILE *file = tmpfile();
    int ends[2], full = open("/dev/full", O_WRONLY);
    cr_assert_eq(pipe(ends), 0);
    errno = 4711;
    cr_assert_not(hki_os_write(-1, "lost", 4));
    cr_assert_not(hki_os_write(ends[0], "lost", 4));
    cr_assert(full < 0 || !hki_os_write(full, "lost", 4));
    fail_from(0);
    cr_assert_not(hki_os_write(fileno(file), "lost", 4));
    hki_os_fail_calls(0, 0);
    cr_assert_eq(errno, 4711);
    cr_assert_eq(lseek(fileno(file), 0, SEEK_END), 0);
}

/* A pipe that has room for a part only, and does not wait. */
Test(os_linux, write_in_part_is_none) {
    static char bytes[1 << 20];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    cr_assert_not(hki_os_write(ends[1], bytes, sizeof bytes));
    cr_assert_gt(read(ends[0], bytes, sizeof bytes), 0);
}

static _Atomic int alarms;
static unsigned char sent[1 << 20], received[sizeof sent + 1];

static void on_alarm(int number) {
    (void)number;
    alarms++;
}

/* Reads a little at a time, and waits for a signal now and then. */
static void *read_slowly(void *argument) {
    size_t length = 0;
    ssize_t got;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while ((got = read(*(int *)argument, received + length, hki_min(30000, sizeof received - length))) > 0) {
        int before = alarms;
        length += (size_t)got;
        while (length < sizeof sent / 2 && alarms == before)
            sched_yield();
    }
    return (void *)length;
}

/* A signal ends a write in part, and one that has written nothing with EINTR. */
Test(os_linux, write_goes_on_after_signals) {
    int ends[2];
    uint32_t seed = 1;
    pthread_t reader;
    void *length;
    struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)next_random(&seed);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(pthread_create(&reader, NULL, read_slowly, &ends[0]), 0);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    bool is_done = hki_os_write(ends[1], (const char *)sent, sizeof sent);
    close(ends[1]);
    cr_assert_eq(pthread_join(reader, &length), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    cr_assert(is_done);
    cr_assert_gt(alarms, 10);
    cr_assert_eq((size_t)length, sizeof sent);
    cr_assert_eq(memcmp(sent, received, sizeof sent), 0);
}

static int exits;
static void *exit_value;

static void at_thread_exit(void *value) {
    exits++;
    exit_value = value;
}

static void *watch(void *value) {
    return hki_os_watch_thread(value) ? value : NULL;
}

Test(os_linux, watched_threads_call_back_when_they_end) {
    int value;
    cr_assert_null(run_in_thread(watch, &value));
    cr_assert(hki_os_set_thread_exit(at_thread_exit));
    cr_assert(hki_os_set_thread_exit(at_thread_exit));
    cr_assert_eq(run_in_thread(watch, &value), &value);
    cr_assert_eq(exits, 1);
    cr_assert_eq(exit_value, &value);
}

static void nothing(void) {
}

/* Makes each call that may fail once; the bit of each is set if it succeeded. */
static unsigned make_all_calls(char *mapped, char *unmapped, char *target) {
    size_t page = hki_os_page_size();
    bool occupied = true;
    unsigned done = 0;
    done |= (unsigned)(hki_os_reserve(page, page) != NULL) << 0;
    done |= (unsigned)hki_os_make_readable(mapped, page) << 1;
    done |= (unsigned)hki_os_commit(mapped, page) << 2;
    done |= (unsigned)hki_os_map_at(unmapped, page, &occupied) << 3;
    done |= (unsigned)occupied << 4;
    done |= (unsigned)hki_os_reserve_at(unmapped + page, page) << 5;
    done |= (unsigned)hki_os_purge(mapped, page) << 6;
    done |= (unsigned)hki_os_decommit(mapped + page, page) << 7;
    done |= (unsigned)hki_os_move(mapped + 2 * page, page, target, page) << 8;
    done |= (unsigned)hki_os_set_thread_exit(at_thread_exit) << 9;
    done |= (unsigned)hki_os_watch_thread(&exits) << 10;
    done |= (unsigned)hki_os_set_fork_handlers(nothing, nothing, nothing) << 11;
    return done;
}

Test(os_linux, every_call_can_be_refused) {
    char *mapped = commit_pages(), *unmapped = reserve_pages(), *target = reserve_pages();
    const unsigned all = 0xfff & ~(1U << 4); /* but `occupied` */
    hki_os_unmap(unmapped, size_of_pages());
    fail_from(0);
    cr_assert_eq(make_all_calls(mapped, unmapped, target), 0);
    hki_os_fail_calls(0, 0);
    cr_assert_eq(make_all_calls(mapped, unmapped, target), all);
    cr_assert(hki_os_set_thread_exit(at_thread_exit));
}

static bool call(void) {
    return hki_os_watch_thread(&exits);
}

Test(os_linux, calls_are_counted_and_refused_by_number) {
    cr_assert(hki_os_set_thread_exit(at_thread_exit));
    unsigned long before = hki_os_calls();
    hki_os_fail_calls(2, 3);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(call(), i < 2 || i >= 5, "%d", i);
    cr_assert_eq(hki_os_calls(), before + 8);
    hki_os_fail_calls(1, 1);
    hki_os_fail_calls(0, 0);
    for (int i = 0; i < 8; i++)
        cr_assert(call());
}

Test(os_linux, all_calls_from_a_number_on_can_be_refused) {
    cr_assert(hki_os_set_thread_exit(at_thread_exit));
    for (unsigned long skip = 0; skip < 4; skip++) {
        hki_os_fail_calls(skip, ULONG_MAX);
        for (unsigned long i = 0; i < 8; i++)
            cr_assert_eq(call(), i < skip, "%lu of %lu", i, skip);
    }
}
