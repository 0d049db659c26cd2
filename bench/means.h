/* means: how hakmem stands beside the allocators that a process may be given by LD_PRELOAD, over many rows: geometric
 * means of hakmem's value divided by theirs; lower is better.
 *
 * Rows that hakmem skipped, because a program is not on this machine, do not count. A row in which either failed makes
 * NaN of the mean. The rivals are mimalloc, jemalloc and tcmalloc; the system's malloc is shown, but is none of them. */
#ifndef HKBENCH_MEANS_H
#define HKBENCH_MEANS_H

#include "measurement.h"

typedef enum quantity { TIME_OF_OPERATION, PEAK_RESIDENT } quantity;

/* Rows of these means (a sum of row_mean) and what of them. */
typedef struct mean_of {
    unsigned rows;
    quantity quantity;
} mean_of;

unsigned counted_rows(const comparison *c, mean_of what);
double value_of(const comparison *c, size_t row_index, size_t allocator, quantity of, statistic which);
double mean_to(const comparison *c, mean_of what, size_t allocator, statistic which);
/* To the rival with the lowest value in each row: to a rival that is the best of several everywhere. */
double mean_to_best_of_rows(const comparison *c, mean_of what, statistic which);
/* To the one rival that comes off best over all rows; *rival is ALLOCATORS if there is none. */
double mean_to_best_rival_overall(const comparison *c, mean_of what, statistic which, size_t *rival);

#endif
