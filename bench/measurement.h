/* measurement: what `compare` has measured, as a matrix of rows and allocators, and the figures drawn from it.
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
} measurement;

typedef struct comparison {
    const compare_options *options;
    size_t rows;
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
/* Geometric means over the rows with is_single_thread_target; all of these must have been measured. */
double mean_ratio_to(const comparison *c, size_t allocator, statistic which);
double mean_ratio_to_best_rival(const comparison *c, statistic which);
double lowest_ratio_to_best_rival(const comparison *c, statistic which);
/* The index of a row in this comparison; `rows` if it is not in it. */
size_t measured_row(const comparison *c, const char *name);

#endif
