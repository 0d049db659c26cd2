/* measurement: what `compare`, `arenas` or `preload` has measured, a matrix of rows and allocators, and the figures drawn from it.
 *
 * A figure that cannot be had (no such row, allocator or run) is NaN, and so is whatever is computed from it. */
#ifndef HKBENCH_MEASUREMENT_H
#define HKBENCH_MEASUREMENT_H

#include "allocators.h"
#include "options.h"
#include "rows.h"

enum { ROWS_MAX = 32 };

typedef enum statistic { BEST, MEDIAN } statistic;

typedef struct measurement {
    unsigned count; /* runs that went well, at most ROUNDS_MAX */
    unsigned failures;
    double operations_per_second[ROUNDS_MAX];
    double peak_resident_bytes[ROUNDS_MAX];
    char output[512]; /* of a Lua program, in the first run */
    size_t figures;
    char figure_name[FIGURES_MAX][FIGURE_NAME_BYTES];
    double figure[FIGURES_MAX][ROUNDS_MAX];
    char skipped[512]; /* why the allocator cannot do it; empty if it can */
} measurement;

typedef struct comparison {
    const compare_options *options;
    const row_table *table;
    size_t rows; /* of the table, those that were asked for */
    const row *row[ROWS_MAX];
    int present[ALLOCATORS];
    char version[ALLOCATORS][64];
    measurement cell[ROWS_MAX][ALLOCATORS];
} comparison;

double rate_of(const comparison *c, size_t row_index, size_t allocator, statistic which);
/* The median over the rounds. */
double peak_of(const comparison *c, size_t row_index, size_t allocator);
/* hakmem's rate divided by that of `allocator`. */
double ratio_to(const comparison *c, size_t row_index, size_t allocator, statistic which);
/* hakmem's rate divided by the highest of all the others'. */
double ratio_to_best_rival(const comparison *c, size_t row_index, statistic which);
/* Geometric means over the single-thread rows; all of these must have been measured. */
double mean_ratio_to(const comparison *c, size_t allocator, statistic which);
double mean_ratio_to_best_rival(const comparison *c, statistic which);
double lowest_ratio_to_best_rival(const comparison *c, statistic which);
/* A figure of a workload; its best value is the lowest. */
double figure_of(const comparison *c, size_t row_index, size_t allocator, const char *name, statistic which);
/* The lowest of all others than hakmem, and in *rival whose it is; ALLOCATORS if it is NaN. */
double best_rivals_figure(const comparison *c, size_t row_index, const char *name, statistic which, size_t *rival);
/* The index of a row in this comparison; `rows` if it is not in it. */
size_t measured_row(const comparison *c, const char *name);

#endif
