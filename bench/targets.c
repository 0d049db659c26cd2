/* targets: see targets.h. */
#include "targets.h"

#include <math.h>
#include <string.h>

static target *add(target *t, const char *name, const char *sign, double bound, double value, double median_value) {
    *t = (target){name, sign, bound, value, median_value, NULL};
    return t + 1;
}

static target *add_single_thread(target *t, const comparison *c) {
    t = add(t, "single thread: geometric mean to mimalloc", ">=", 1.00, mean_ratio_to(c, ALLOCATOR_MIMALLOC, BEST),
            mean_ratio_to(c, ALLOCATOR_MIMALLOC, MEDIAN));
    t = add(t, "single thread: geometric mean to the best rival", ">=", 0.95, mean_ratio_to_best_rival(c, BEST),
            mean_ratio_to_best_rival(c, MEDIAN));
    return add(t, "single thread: lowest row to the best rival", ">=", 0.85, lowest_ratio_to_best_rival(c, BEST),
               lowest_ratio_to_best_rival(c, MEDIAN));
}

static target *add_threads(target *t, const comparison *c) {
    size_t larson = measured_row(c, "larson");
    size_t remote = measured_row(c, "remote");
    t = add(t, "larson, 2 threads: to mimalloc", ">=", 0.95, ratio_to(c, larson, ALLOCATOR_MIMALLOC, BEST),
            ratio_to(c, larson, ALLOCATOR_MIMALLOC, MEDIAN));
    t = add(t, "larson, 2 threads: to the best rival", ">=", 0.80, ratio_to_best_rival(c, larson, BEST),
            ratio_to_best_rival(c, larson, MEDIAN));
    return add(t, "remote: to mimalloc", ">=", 0.85, ratio_to(c, remote, ALLOCATOR_MIMALLOC, BEST),
               ratio_to(c, remote, ALLOCATOR_MIMALLOC, MEDIAN));
}

static double peak_ratio(const comparison *c, size_t row_index, size_t allocator) {
    return peak_of(c, row_index, ALLOCATOR_HAKMEM) / peak_of(c, row_index, allocator);
}

static target *add_memory(target *t, const comparison *c) {
    size_t start = measured_row(c, "start");
    double more = peak_of(c, start, ALLOCATOR_HAKMEM) - peak_of(c, start, ALLOCATOR_SYSTEM);
    t = add(t, "mixed, 100000 slots: peak memory to mimalloc's", "<=", 1.10,
            peak_ratio(c, measured_row(c, "mixed:100000"), ALLOCATOR_MIMALLOC), NAN);
    return add(t, "start: MB more than with the system's malloc", "<", 1.00, more / 1e6, NAN);
}

static target *add_lua(target *t, const comparison *c, const char *row_name, const char *time, const char *memory) {
    size_t index = measured_row(c, row_name);
    t = add(t, time, "<=", 0.95, 1 / ratio_to(c, index, ALLOCATOR_SYSTEM, BEST),
            1 / ratio_to(c, index, ALLOCATOR_SYSTEM, MEDIAN));
    return add(t, memory, "<=", 0.95, peak_ratio(c, index, ALLOCATOR_SYSTEM), NAN);
}

/* Only where both were asked for. */
static target *add_hardened(target *t, const comparison *c) {
    size_t row_index = measured_row(c, "mixed:512");
    double ratio[2];
    for (statistic which = BEST; which <= MEDIAN; which++)
        ratio[which] = rate_of(c, row_index, ALLOCATOR_HARDENED, which) / rate_of(c, row_index, ALLOCATOR_SCUDO, which);
    if (isnan(ratio[BEST]))
        return t;
    return add(t, "hardened mixed 512: to scudo", ">=", 1.50, ratio[BEST], ratio[MEDIAN]);
}

size_t compute_targets(const comparison *c, target targets[TARGETS_MAX]) {
    target *t = targets;
    t = add_single_thread(t, c);
    t = add_threads(t, c);
    t = add_memory(t, c);
    t = add_lua(t, c, "lua:binary_trees", "Lua binary_trees: time to the system's malloc",
                "Lua binary_trees: peak memory to the system's malloc");
    t = add_lua(t, c, "lua:strings", "Lua strings: time to the system's malloc",
                "Lua strings: peak memory to the system's malloc");
    t = add_hardened(t, c);
    return (size_t)(t - targets);
}

const char *target_verdict(const target *t) {
    if (isnan(t->value))
        return "not measured";
    int is_met = t->sign[0] == '>' ? t->value >= t->bound
                                   : (strcmp(t->sign, "<") == 0 ? t->value < t->bound : t->value <= t->bound);
    return is_met ? "met" : "not met";
}
