/* workloads: what a run is asked for, what it gives, and the workloads there are. No state but the table in run.c.
 *
 * An operation is one call that allocates or frees in `fixed`, `mixed`, `larson`, `calloc`; one block that crossed over
 * in `remote`; one push of 32 bytes in `realloc`; one reallocation in `realloc-large`; one block that is replaced in
 * `churn`; one run of the program in `lua`, `lua-program` and, unless it tells a
 * rate, in `program`; the one allocation in `start`; a heap's
 * whole life in `create`; a heap in `arenas-alive`; a state in `states`, `states-closed`, `end-of-state`; a block of
 * the first burst in `burst`; a request in `rollback`. */
#ifndef HKBENCH_WORKLOADS_H
#define HKBENCH_WORKLOADS_H

#include "allocators.h"
#include "support.h"

#include <stddef.h>
#include <stdint.h>

enum { LUA_OUTPUT_BYTES = 512, FIGURES_MAX = 10, FIGURE_NAME_BYTES = 32 };

/* 0 in a number means: the workload's default. */
typedef struct run_options {
    const char *workload;
    const char *allocator;
    const char *library; /* NULL: the usual one */
    const char *script;  /* for lua and program */
    uint64_t blocks;
    uint64_t operations;
    uint64_t size_min_bytes;
    uint64_t size_max_bytes;
    uint64_t threads;
    uint64_t seed;
    int preload; /* take the allocator by LD_PRELOAD */
    int json;
} run_options;

/* Something measured besides throughput. The name ends with the unit, _bytes or _seconds, or the figure is a count or a
 * ratio. Of two figures the lower one is the better. */
typedef struct figure {
    char name[FIGURE_NAME_BYTES];
    double value;
} figure;

typedef struct run_result {
    double seconds;
    double operations;
    char note[64];                 /* how the allocator was reached, where that is not plain */
    char output[LUA_OUTPUT_BYTES]; /* what the program printed */
    double peak_resident_bytes;    /* of another process than this one; 0: of this one */
    size_t figures;
    figure figure[FIGURES_MAX];
} run_result;

typedef struct workload {
    const char *name;
    const char *description;
    run_options defaults;
    uint64_t threads_max;
    void (*run)(const allocator *allocator, const run_options *options, run_result *result);
} workload;

void run_slots(const allocator *allocator, const run_options *options, run_result *result);
void run_larson(const allocator *allocator, const run_options *options, run_result *result);
void run_remote(const allocator *allocator, const run_options *options, run_result *result);
void run_realloc(const allocator *allocator, const run_options *options, run_result *result);
void run_lua(const allocator *allocator, const run_options *options, run_result *result);
void run_lua_program(const allocator *allocator, const run_options *options, run_result *result);
void run_start(const allocator *allocator, const run_options *options, run_result *result);
void run_calloc(const allocator *allocator, const run_options *options, run_result *result);
void run_realloc_large(const allocator *allocator, const run_options *options, run_result *result);
void run_churn(const allocator *allocator, const run_options *options, run_result *result);
void run_program(const allocator *allocator, const run_options *options, run_result *result);
void run_create(const allocator *allocator, const run_options *options, run_result *result);
void run_arenas_alive(const allocator *allocator, const run_options *options, run_result *result);
void run_states(const allocator *allocator, const run_options *options, run_result *result);
void run_states_closed(const allocator *allocator, const run_options *options, run_result *result);
void run_end_of_state(const allocator *allocator, const run_options *options, run_result *result);
void run_burst(const allocator *allocator, const run_options *options, run_result *result);
void run_rollback(const allocator *allocator, const run_options *options, run_result *result);

/* Adds a figure to a result. */
void add_figure(run_result *result, const char *name, double value);

size_t workload_count(void);
const workload *workload_at(size_t index);

/* `hkbench run`: never returns if anything is wrong with the options. */
int run_command(const run_options *asked, char **argv);

/* A block's size from random bits: even over size_min..size_max. */
static inline size_t pick_size(const run_options *options, uint32_t random) {
    uint64_t span = options->size_max_bytes - options->size_min_bytes + 1;
    return options->size_min_bytes + (size_t)(random * span >> 32);
}

/* A block's size as programs ask for them: most are small, few are large. From size_min on, a size goes on to the next
 * doubling with a chance of 5 in 8, so that each doubling has 5/4 of the bytes of the one before. */
static inline size_t pick_skewed_size(const run_options *options, uint32_t *random) {
    size_t low = options->size_min_bytes;
    while (low <= options->size_max_bytes / 2 && (*random = xorshift32(*random)) >> 29 < 5)
        low *= 2;
    *random = xorshift32(*random);
    const size_t size = low + (size_t)((uint64_t)*random * low >> 32);
    return size < options->size_max_bytes ? size : options->size_max_bytes;
}

#endif
