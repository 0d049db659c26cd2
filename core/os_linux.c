/* os_linux: the os layer on Linux and POSIX threads. State: the page size, the thread-exit key, the injected faults. */
#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { RESERVE_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/* Injected faults. `calls` counts every call that may fail; those in [fail_from, fail_until) are refused. */
static _Atomic unsigned long calls;
static _Atomic unsigned long fail_from;
static _Atomic unsigned long fail_until;

static _Atomic uint64_t clock_advance; /* milliseconds; for tests */

static pthread_key_t thread_exit_key;
static _Atomic bool has_thread_exit_key;

void hki_os_fail_calls(unsigned long skip, unsigned long count) {
    unsigned long from = atomic_load(&calls) + skip;
    atomic_store(&fail_from, from);
    atomic_store(&fail_until, count > ULONG_MAX - from ? ULONG_MAX : from + count);
}

unsigned long hki_os_calls(void) {
    return atomic_load(&calls);
}

bool hki_os_refused(void) {
    unsigned long call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    return call >= atomic_load_explicit(&fail_from, memory_order_relaxed) &&
           call < atomic_load_explicit(&fail_until, memory_order_relaxed);
}

static _Atomic size_t page_size; /* 0: not asked for yet */

void hki_os_set_page_size(size_t size) {
    atomic_store_explicit(&page_size, size, memory_order_relaxed);
}

size_t hki_os_page_size(void) {
    size_t size = atomic_load_explicit(&page_size, memory_order_relaxed);
    if (size == 0) {
        size = (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&page_size, size, memory_order_relaxed);
    }
    return size;
}

/* What is not in whole pages is a mistake of ours, which would be noticed only where pages are large: it is refused. */
static bool is_in_pages(const void *start, size_t size) {
    bool in_pages = (((uintptr_t)start | size) & (hki_os_page_size() - 1)) == 0;
    HKI_ASSERT(in_pages);
    return in_pages;
}

static bool refused(const void *start, size_t size) {
    return hki_os_refused() || !is_in_pages(start, size);
}

static void *map(void *hint, size_t size, int protection, int flags) {
    int saved = errno;
    void *start = mmap(hint, size, protection, flags, -1, 0);
    errno = saved;
    return start == MAP_FAILED ? NULL : start;
}

void *hki_os_reserve(size_t size, size_t alignment) {
    if (hki_os_refused() || size > SIZE_MAX - alignment)
        return NULL;
    char *start = map(NULL, size + alignment, PROT_NONE, RESERVE_FLAGS);
    if (start == NULL)
        return NULL;
    char *aligned = (char *)hki_align_up((uintptr_t)start, alignment);
    size_t before = (size_t)(aligned - start);
    if (before > 0)
        hki_os_unmap(start, before);
    if (alignment > before)
        hki_os_unmap(aligned + size, alignment - before);
    return aligned;
}

static bool protect(void *start, size_t size, int protection) {
    if (refused(start, size))
        return false;
    int saved = errno;
    bool done = mprotect(start, size, protection) == 0;
    errno = saved;
    return done;
}

bool hki_os_make_readable(void *start, size_t size) {
    return protect(start, size, PROT_READ);
}

bool hki_os_commit(void *start, size_t size) {
    return protect(start, size, PROT_READ | PROT_WRITE);
}

bool hki_os_map_at(void *start, size_t size, bool *occupied) {
    *occupied = false;
    if (refused(start, size))
        return false;
    int saved = errno;
    void *got = mmap(start, size, PROT_READ | PROT_WRITE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE, -1, 0);
    *occupied = got == MAP_FAILED ? errno == EEXIST : got != start; /* old kernels take the address for a hint */
    errno = saved;
    if (got != MAP_FAILED && got != start)
        hki_os_unmap(got, size);
    return got == start;
}

bool hki_os_decommit(void *start, size_t size) {
    return !refused(start, size) && map(start, size, PROT_NONE, RESERVE_FLAGS | MAP_FIXED) != NULL;
}

bool hki_os_reserve_at(void *start, size_t size) {
    if (refused(start, size))
        return false;
    void *got = map(start, size, PROT_NONE, RESERVE_FLAGS | MAP_FIXED_NOREPLACE);
    if (got != NULL && got != start)
        hki_os_unmap(got, size);
    return got == start;
}

bool hki_os_purge(void *start, size_t size) {
    if (refused(start, size))
        return false;
    int saved = errno;
    bool done = madvise(start, size, MADV_DONTNEED) == 0;
    errno = saved;
    return done;
}

bool hki_os_move(void *from, size_t size, void *to, size_t new_size) {
    if (refused(from, size) || !is_in_pages(to, new_size))
        return false;
    int saved = errno;
    bool done = mremap(from, size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED;
    errno = saved;
    return done;
}

void hki_os_unmap(void *start, size_t size) {
    int saved = errno;
    munmap(start, size);
    errno = saved;
}

size_t hki_os_address_space_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

bool hki_os_has_environment(void) {
    return environ != NULL;
}

const char *hki_os_environment(const char *name) {
    return secure_getenv(name);
}

bool hki_os_random(void *bytes, size_t size) {
    if (hki_os_refused())
        return false;
    int saved = errno;
    bool done = getrandom(bytes, size, GRND_NONBLOCK) == (ssize_t)size;
    errno = saved;
    return done;
}

void hki_os_random_of_start(uint64_t words[2]) {
    int saved = errno;
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    errno = saved;
    words[0] = words[1] = 0;
    if (bytes != NULL)
        memcpy(words, bytes, 2 * sizeof *words);
}

static bool write_all(int file_descriptor, const char *text, size_t length) {
    int saved = errno;
    while (length > 0) {
        ssize_t written = write(file_descriptor, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        text += written;
        length -= (size_t)written;
    }
    errno = saved;
    return length == 0;
}

void hki_os_write_error(const char *text, size_t length) {
    write_all(STDERR_FILENO, text, length);
}

bool hki_os_write(int file_descriptor, const char *text, size_t length) {
    return !hki_os_refused() && write_all(file_descriptor, text, length);
}

uint64_t hki_os_milliseconds(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 +
           atomic_load_explicit(&clock_advance, memory_order_relaxed);
}

void hki_os_advance_clock(uint64_t milliseconds) {
    atomic_fetch_add_explicit(&clock_advance, milliseconds, memory_order_relaxed);
}

void hki_os_yield(void) {
    sched_yield();
}

bool hki_os_set_thread_exit(void (*at_exit)(void *)) {
    if (atomic_load(&has_thread_exit_key))
        return true;
    if (hki_os_refused() || pthread_key_create(&thread_exit_key, at_exit) != 0)
        return false;
    atomic_store(&has_thread_exit_key, true);
    return true;
}

bool hki_os_watch_thread(void *value) {
    return atomic_load(&has_thread_exit_key) && !hki_os_refused() && pthread_setspecific(thread_exit_key, value) == 0;
}

bool hki_os_set_fork_handlers(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    return !hki_os_refused() && pthread_atfork(prepare, parent, child) == 0;
}
