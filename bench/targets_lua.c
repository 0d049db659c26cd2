/* targets_lua: see targets.h. Times and peaks are hakmem's divided by a rival's, so less is better. */
#include "targets.h"

#include <math.h>

static double time_ratio(const comparison *c, size_t r, size_t a, statistic which) {
    return 1 / ratio_to(c, r, a, which);
}

static double peak_ratio(const comparison *c, size_t r, size_t a) {
    return peak_of(c, r, ALLOCATOR_HAKMEM) / peak_of(c, r, a);
}

double mean_time_ratio(const comparison *c, size_t allocator, statistic which) {
    return 1 / mean_ratio_to(c, allocator, which);
}

double mean_peak_ratio(const comparison *c, size_t allocator) {
    double logs = 0;
    unsigned count = 0;
    for (size_t i = 0; i < c->table->count; i++)
        if (c->table->rows[i].mean == SINGLE_THREAD) {
            logs += log(peak_ratio(c, measured_row(c, c->table->rows[i].name), allocator));
            count++;
        }
    return exp(logs / count);
}

static int is_rival(const comparison *c, size_t a) {
    return a != ALLOCATOR_HAKMEM && allocator_is_default(a) && c->present[a];
}

/* The row in which hakmem is slowest beside the fastest of all others. */
static double slowest(const comparison *c, statistic which, const char **row_name) {
    double worst = NAN;
    for (size_t r = 0; r < c->rows; r++)
        for (size_t a = 0; c->row[r]->mean == SINGLE_THREAD && a < ALLOCATORS; a++)
            if (is_rival(c, a) && !(time_ratio(c, r, a, which) <= worst)) {
                worst = time_ratio(c, r, a, which);
                *row_name = c->row[r]->name;
            }
    return worst;
}

size_t compute_lua_targets(const comparison *c, target targets[TARGETS_MAX]) {
    target time = {"Lua: time, geometric mean to the best rival", "<=", 0.97, NAN, NAN, NULL};
    target peak = {"Lua: peak memory, geometric mean to the best rival", "<=", 0.90, NAN, NAN, NULL};
    target row = {"Lua: time of one program to its best rival, at worst", "<=", 1.05, NAN, NAN, NULL};
    for (size_t a = 0; a < ALLOCATORS; a++) {
        if (!is_rival(c, a) || isnan(mean_time_ratio(c, a, BEST)))
            continue;
        if (!(mean_time_ratio(c, a, BEST) <= time.value)) {
            time.value = mean_time_ratio(c, a, BEST);
            time.median_value = mean_time_ratio(c, a, MEDIAN);
            time.rival = allocator_name(a);
        }
        if (!(mean_peak_ratio(c, a) <= peak.value)) {
            peak.value = mean_peak_ratio(c, a);
            peak.rival = allocator_name(a);
        }
    }
    const char *ignored = NULL;
    row.value = slowest(c, BEST, &row.rival);
    row.median_value = slowest(c, MEDIAN, &ignored);
    targets[0] = time;
    targets[1] = peak;
    targets[2] = row;
    return 3;
}
