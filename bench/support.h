/* support: what every part of hkbench uses: errors, clock, random numbers, memory of the harness' own. No state. */
#ifndef HKBENCH_SUPPORT_H
#define HKBENCH_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

/* EXIT_UNABLE: the allocator does not offer what the workload is about. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNABLE = 3 };

/* Ends the process after one line on standard error: "hkbench: ...". */
_Noreturn void die(int exit_status, const char *format, ...) __attribute__((format(printf, 2, 3)));

double seconds_now(void);

/* Zeroed pages straight from the operating system, so that the harness leaves no trace in the allocator under test. */
void *map_memory(size_t bytes);
void unmap_memory(void *memory, size_t bytes);

/* Peak resident memory of this process since exec (VmHWM). */
size_t peak_resident_bytes(void);
/* Resident memory of this process now (Rss of smaps_rollup, which is exact). */
size_t resident_bytes(void);
/* How many mappings this process has now, and how many it may have (vm.max_map_count). */
size_t count_mappings(void);
size_t allowed_mappings(void);

/* The folder of the running program, without a slash at its end. */
void program_directory(char *path, size_t size);

/* Copies a path; '@' at its beginning stands for the folder of the running program. */
void expand_path(const char *from, char *path, size_t size);
/* Starts this program again with these arguments, in the environment as it is now; returns if that fails. */
void restart_program(char **argv);

/* Marsaglia's xorshift32; `x` is never 0. */
static inline uint32_t xorshift32(uint32_t x) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

/* A seed of its own for each thread. */
static inline uint32_t thread_seed(uint32_t seed, uint32_t thread) {
    uint32_t x = seed + thread * UINT32_C(0x9e3779b9);
    return x == 0 ? 1 : x;
}

#endif
