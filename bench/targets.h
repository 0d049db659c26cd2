/* targets: the promises that `compare`, `arenas`, `lua` and `preload` hold hakmem to. */
#ifndef HKBENCH_TARGETS_H
#define HKBENCH_TARGETS_H

#include "measurement.h"

enum { TARGETS_MAX = 16 };

typedef struct target {
    const char *name;
    const char *sign; /* ">=", "<=" or "<" */
    double bound;
    double value;        /* by the best runs; NaN: not measured */
    double median_value; /* by the medians; NaN where there is but one figure */
    const char *rival;   /* of several, the one that `value` was drawn from; else NULL */
} target;

/* Returns how many there are. */
size_t compute_targets(const comparison *c, target targets[TARGETS_MAX]);
size_t compute_arena_targets(const comparison *c, target targets[TARGETS_MAX]);
size_t compute_lua_targets(const comparison *c, target targets[TARGETS_MAX]);
/* Geometric means over the rows of SINGLE_THREAD, hakmem's divided by the allocator's. */
double mean_time_ratio(const comparison *c, size_t allocator, statistic which);
double mean_peak_ratio(const comparison *c, size_t allocator);
size_t compute_preload_targets(const comparison *c, target targets[TARGETS_MAX]);
/* "met", "not met" or "not measured", judged by `value`. */
const char *target_verdict(const target *t);

#endif
