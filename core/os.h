/* os: everything that is asked of the operating system. `errno` is left as it was by all of these.
 *
 * Each call that may fail can be made to fail by tests (hki_os_fail_calls). */
#ifndef HKI_OS_H
#define HKI_OS_H

#include "base.h"

size_t hki_os_page_size(void);
/* For tests: pages are of this size, a multiple of the system's, and calls that are not in whole pages are refused as
 * the system would. Before anything else is asked of os. */
void hki_os_set_page_size(size_t size);

/* Address space without memory, at a multiple of `alignment`; NULL if refused. Any access faults. Pages become memory
 * by hki_os_commit. */
void *hki_os_reserve(size_t size, size_t alignment);
/* Makes whole reserved pages readable, as zeros; they cost no memory. */
bool hki_os_make_readable(void *start, size_t size);
/* Makes whole reserved pages readable and writable. */
bool hki_os_commit(void *start, size_t size);
/* Maps readable and writable pages at this very address; false if refused or if anything is there already
 * (*occupied tells which). */
bool hki_os_map_at(void *start, size_t size, bool *occupied);
/* Turns pages back into a reserve; their contents are gone. */
bool hki_os_decommit(void *start, size_t size);
/* Reserves this very range; false if something is there already. */
bool hki_os_reserve_at(void *start, size_t size);
/* Gives pages back but keeps the mapping: they read as zeros. */
bool hki_os_purge(void *start, size_t size);
/* Moves pages, without copying, to `to`, over whatever reserve is there, and makes them `new_size` bytes long. What was
 * at `from` is unmapped afterwards. */
bool hki_os_move(void *from, size_t size, void *to, size_t new_size);
void hki_os_unmap(void *start, size_t size);

/* RLIMIT_AS in bytes; SIZE_MAX if there is none. */
size_t hki_os_address_space_limit(void);
/* Whether there is an environment yet: not before the C library has set itself up. */
bool hki_os_has_environment(void);
/* The value of an environment variable; NULL if it is not set or the process runs with raised privileges. */
const char *hki_os_environment(const char *name);
/* Fills `bytes` with random bytes of the kernel's, without waiting for them. */
bool hki_os_random(void *bytes, size_t size);
/* The 16 random bytes that the kernel gave the process at its start; zeros where there are none. Cannot be refused. */
void hki_os_random_of_start(uint64_t words[2]);
/* Writes to standard error by write(2) alone, so it may be called from anywhere. */
void hki_os_write_error(const char *text, size_t length);

/* Writes all of it to a file descriptor; false if that cannot be done, or only in part. */
bool hki_os_write(int file_descriptor, const char *text, size_t length);

/* A monotonic clock of some milliseconds' resolution. */
uint64_t hki_os_milliseconds(void);
/* For tests: the clock goes on by so much at once. */
void hki_os_advance_clock(uint64_t milliseconds);

/* Lets other threads run. */
void hki_os_yield(void);

/* Arranges that `at_exit` is called with the value set by hki_os_watch_thread when that thread ends. Once per
 * process. */
bool hki_os_set_thread_exit(void (*at_exit)(void *));
bool hki_os_watch_thread(void *value);
/* pthread_atfork. */
bool hki_os_set_fork_handlers(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/* For the os_* files: whether the call that is about to be made is to fail for a test. */
bool hki_os_refused(void);
/* For tests: of the calls from now on that may fail, the first `skip` are made, then `count` are refused. */
void hki_os_fail_calls(unsigned long skip, unsigned long count);
/* For tests: how many calls that may fail have been asked for so far. */
unsigned long hki_os_calls(void);

#endif
