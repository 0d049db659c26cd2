/* measurement: see measurement.h. */
#include "measurement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, unsigned count) {
    double sorted[ROUNDS_MAX];
    if (count == 0)
        return NAN;
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static double highest(const double *values, unsigned count) {
    double value = NAN;
    for (unsigned i = 0; i < count; i++)
        value = fmax(value, values[i]); /* fmax passes over NaN */
    return value;
}

static double lowest(const double *values, unsigned count) {
    double value = NAN;
    for (unsigned i = 0; i < count; i++)
        value = fmin(value, values[i]);
    return value;
}

double rate_of(const comparison *c, size_t row_index, size_t allocator, statistic which) {
    if (row_index >= c->rows)
        return NAN;
    const measurement *m = &c->cell[row_index][allocator];
    return which == BEST ? highest(m->operations_per_second, m->count) : median(m->operations_per_second, m->count);
}

double peak_of(const comparison *c, size_t row_index, size_t allocator) {
    if (row_index >= c->rows)
        return NAN;
    const measurement *m = &c->cell[row_index][allocator];
    return median(m->peak_resident_bytes, m->count);
}

double ratio_to(const comparison *c, size_t row_index, size_t allocator, statistic which) {
    return rate_of(c, row_index, ALLOCATOR_HAKMEM, which) / rate_of(c, row_index, allocator, which);
}

double ratio_to_best_rival(const comparison *c, size_t row_index, statistic which) {
    double best = NAN;
    for (size_t a = 0; a < ALLOCATORS; a++)
        if (a != ALLOCATOR_HAKMEM && allocator_is_default(a))
            best = fmax(best, rate_of(c, row_index, a, which));
    return rate_of(c, row_index, ALLOCATOR_HAKMEM, which) / best;
}

/* Calls `use` with the ratio of each row of the targets; a row left out of the comparison counts as NaN. */
static void for_target_rows(const comparison *c, int to_best_rival, size_t allocator, statistic which,
                            void (*use)(double ratio, void *state), void *state) {
    for (size_t i = 0; i < c->table->count; i++) {
        if (c->table->rows[i].mean != SINGLE_THREAD)
            continue;
        size_t index = measured_row(c, c->table->rows[i].name);
        use(to_best_rival ? ratio_to_best_rival(c, index, which) : ratio_to(c, index, allocator, which), state);
    }
}

typedef struct mean {
    double log_sum;
    double lowest;
    unsigned count;
} mean;

static void add_to_mean(double ratio, void *state) {
    mean *m = state;
    m->log_sum += log(ratio);
    m->lowest = m->count == 0 || !(ratio >= m->lowest) ? ratio : m->lowest;
    m->count++;
}

double mean_ratio_to(const comparison *c, size_t allocator, statistic which) {
    mean m = {0};
    for_target_rows(c, 0, allocator, which, add_to_mean, &m);
    return exp(m.log_sum / m.count);
}

double mean_ratio_to_best_rival(const comparison *c, statistic which) {
    mean m = {0};
    for_target_rows(c, 1, 0, which, add_to_mean, &m);
    return exp(m.log_sum / m.count);
}

double lowest_ratio_to_best_rival(const comparison *c, statistic which) {
    mean m = {0};
    for_target_rows(c, 1, 0, which, add_to_mean, &m);
    return isnan(m.log_sum) ? NAN : m.lowest;
}

double figure_of(const comparison *c, size_t row_index, size_t allocator, const char *name, statistic which) {
    if (row_index >= c->rows)
        return NAN;
    const measurement *m = &c->cell[row_index][allocator];
    for (size_t i = 0; i < m->figures; i++)
        if (strcmp(m->figure_name[i], name) == 0)
            return which == BEST ? lowest(m->figure[i], m->count) : median(m->figure[i], m->count);
    return NAN;
}

double best_rivals_figure(const comparison *c, size_t row_index, const char *name, statistic which, size_t *rival) {
    double best = NAN;
    *rival = ALLOCATORS;
    for (size_t a = 0; a < ALLOCATORS; a++) {
        double value = a == ALLOCATOR_HAKMEM ? NAN : figure_of(c, row_index, a, name, which);
        if (isnan(value) || value >= best)
            continue;
        best = value;
        *rival = a;
    }
    return best;
}

size_t measured_row(const comparison *c, const char *name) {
    for (size_t i = 0; i < c->rows; i++)
        if (strcmp(c->row[i]->name, name) == 0)
            return i;
    return c->rows;
}
