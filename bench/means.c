/* means: see means.h. */
#include "means.h"

#include <math.h>

static const size_t rivals[] = {ALLOCATOR_MIMALLOC, ALLOCATOR_JEMALLOC, ALLOCATOR_TCMALLOC};
enum { RIVALS = sizeof rivals / sizeof rivals[0] };

double value_of(const comparison *c, size_t row_index, size_t allocator, quantity of, statistic which) {
    return of == PEAK_RESIDENT ? peak_of(c, row_index, allocator) : 1 / rate_of(c, row_index, allocator, which);
}

static double best_of_rivals(const comparison *c, size_t row_index, quantity of, statistic which) {
    double best = NAN;
    for (size_t i = 0; i < RIVALS; i++)
        best = fmin(best, value_of(c, row_index, rivals[i], of, which)); /* fmin passes over NaN */
    return best;
}

static int counts(const comparison *c, size_t row_index, mean_of what) {
    return (c->row[row_index]->mean & what.rows) != 0 && c->cell[row_index][ALLOCATOR_HAKMEM].skipped[0] == '\0';
}

unsigned counted_rows(const comparison *c, mean_of what) {
    unsigned count = 0;
    for (size_t r = 0; r < c->rows; r++)
        count += counts(c, r, what) != 0;
    return count;
}

/* ALLOCATORS stands for the best rival of each row. */
static double mean_ratio(const comparison *c, mean_of what, size_t allocator, statistic which) {
    double log_sum = 0;
    for (size_t r = 0; r < c->rows; r++) {
        if (!counts(c, r, what))
            continue;
        const double ours = value_of(c, r, ALLOCATOR_HAKMEM, what.quantity, which);
        const double theirs = allocator == ALLOCATORS ? best_of_rivals(c, r, what.quantity, which)
                                                      : value_of(c, r, allocator, what.quantity, which);
        log_sum += log(ours / theirs);
    }
    const unsigned count = counted_rows(c, what);
    return count == 0 ? NAN : exp(log_sum / count);
}

double mean_to(const comparison *c, mean_of what, size_t allocator, statistic which) {
    return mean_ratio(c, what, allocator, which);
}

double mean_to_best_of_rows(const comparison *c, mean_of what, statistic which) {
    return mean_ratio(c, what, ALLOCATORS, which);
}

double mean_to_best_rival_overall(const comparison *c, mean_of what, statistic which, size_t *rival) {
    double highest = NAN;
    *rival = ALLOCATORS;
    for (size_t i = 0; i < RIVALS; i++) {
        const double mean = mean_ratio(c, what, rivals[i], which);
        if (isnan(mean) || mean <= highest)
            continue;
        highest = mean;
        *rival = rivals[i];
    }
    return highest;
}
