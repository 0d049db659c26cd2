/* targets_arenas: see targets.h; of the third issue. Each is drawn from the figures of one row. */
#include "targets.h"

#include <math.h>

/* A figure of hakmem's own. */
static target own_figure(const comparison *c, const char *row_name, const char *figure, target t) {
    size_t row = measured_row(c, row_name);
    t.value = figure_of(c, row, ALLOCATOR_HAKMEM, figure, BEST);
    t.median_value = figure_of(c, row, ALLOCATOR_HAKMEM, figure, MEDIAN);
    return t;
}

/* Of two times of hakmem's. The lowest ratio of one run would flatter it: a moment of others' load in the first part
 * is enough for that. */
static target own_ratio(const comparison *c, const char *row_name, const char *figure, const char *to, target t) {
    size_t row = measured_row(c, row_name);
    t = own_figure(c, row_name, figure, t);
    t.value /= figure_of(c, row, ALLOCATOR_HAKMEM, to, BEST);
    t.median_value /= figure_of(c, row, ALLOCATOR_HAKMEM, to, MEDIAN);
    return t;
}

/* hakmem's figure divided by that of one rival. */
static target to_rival(const comparison *c, const char *row_name, const char *figure, size_t rival, target t) {
    size_t row = measured_row(c, row_name);
    t = own_figure(c, row_name, figure, t);
    t.value /= figure_of(c, row, rival, figure, BEST);
    t.median_value /= figure_of(c, row, rival, figure, MEDIAN);
    return t;
}

/* hakmem's figure divided by that of the rival with the lowest. */
static target to_best_rival(const comparison *c, const char *row_name, const char *figure, target t) {
    size_t row = measured_row(c, row_name);
    size_t rival = ALLOCATORS;
    t = own_figure(c, row_name, figure, t);
    t.median_value /= best_rivals_figure(c, row, figure, MEDIAN, &rival);
    t.value /= best_rivals_figure(c, row, figure, BEST, &rival);
    t.rival = isnan(t.value) ? NULL : allocator_name(rival);
    return t;
}

/* Of two times: how many times as fast. */
static target inverse(target t) {
    t.value = 1 / t.value;
    t.median_value = 1 / t.median_value;
    return t;
}

static target promise(const char *name, const char *sign, double bound) {
    return (target){name, sign, bound, NAN, NAN, NULL};
}

size_t compute_arena_targets(const comparison *c, target targets[TARGETS_MAX]) {
    target *t = targets;
    *t++ = inverse(to_rival(c, "create", "one_life_seconds", ALLOCATOR_MIMALLOC,
                            promise("create, allocate, destroy: speed to mimalloc's", ">=", 2)));
    *t++ = to_rival(c, "states", "resident_each_bytes", ALLOCATOR_SYSTEM,
                    promise("states: resident to the system's malloc", "<=", 1.6));
    *t++ = own_figure(c, "states-closed", "purged_to_alive",
                      promise("states closed and purged: resident to alive", "<=", 0.1));
    *t++ = own_figure(c, "arenas-alive", "mappings_to_allowed",
                      promise("arenas alive: mappings to vm.max_map_count", "<", 1));
    *t++ = inverse(to_best_rival(c, "end-of-state", "end_seconds",
                                 promise("end of a state: speed to the best lua_close", ">=", 100)));
    *t++ = own_figure(c, "burst", "purged_to_survivors_pages",
                      promise("burst purged: resident to the survivors' pages", "<=", 5));
    *t++ = to_best_rival(c, "burst", "resident_purged_bytes",
                         promise("burst purged: resident to the best rival's", "<=", 0.2));
    *t++ = own_ratio(c, "burst", "next_burst_seconds", "first_burst_seconds",
                     promise("burst: time of the next one to the first", "<=", 1.2));
    *t++ = inverse(to_best_rival(c, "rollback", "request_and_back_seconds",
                                 promise("request and rollback: speed to reloading", ">=", 20)));
    return (size_t)(t - targets);
}
