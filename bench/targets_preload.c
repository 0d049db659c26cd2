/* targets_preload: see targets.h. They count against the one rival that comes off best over all rows, and only when all
 * rows were asked for. */
#include "means.h"
#include "targets.h"

#include <math.h>

static target to_best_rival(const comparison *c, mean_of what, const char *name, double bound) {
    target t = {name, "<=", bound, NAN, NAN, NULL};
    size_t rival = ALLOCATORS;
    if (c->rows < c->table->count)
        return t;
    if (what.quantity == TIME_OF_OPERATION)
        t.median_value = mean_to_best_rival_overall(c, what, MEDIAN, &rival);
    t.value = mean_to_best_rival_overall(c, what, BEST, &rival);
    t.rival = rival == ALLOCATORS ? NULL : allocator_name(rival);
    return t;
}

size_t compute_preload_targets(const comparison *c, target targets[TARGETS_MAX]) {
    const mean_of single = {SINGLE_THREAD, TIME_OF_OPERATION};
    const mean_of multi = {MULTI_THREAD, TIME_OF_OPERATION};
    const mean_of peak = {SINGLE_THREAD | MULTI_THREAD, PEAK_RESIDENT};
    const char *const settled = "resident_settled_to_live";
    const size_t churn = measured_row(c, "churn");
    target *t = targets;
    *t++ = to_best_rival(c, single, "single thread: mean time to the best rival overall", 1.00);
    *t++ = to_best_rival(c, multi, "several threads: mean time to the best overall", 1.05);
    *t++ = to_best_rival(c, peak, "all rows: mean peak memory to the best overall", 1.05);
    *t++ = (target){"churn, settled: resident memory to live bytes",
                    "<=",
                    1.50,
                    figure_of(c, churn, ALLOCATOR_HAKMEM, settled, BEST),
                    figure_of(c, churn, ALLOCATOR_HAKMEM, settled, MEDIAN),
                    NULL};
    return (size_t)(t - targets);
}
