/* report_preload: see report.h. A table for each row as of `arenas`; below it the means over rows, and the targets that
 * are drawn from them. */
#include "means.h"
#include "report.h"
#include "report_figures.h"
#include "report_parts.h"

#include <math.h>
#include <stdio.h>

static const struct {
    mean_of what;
    const char *name;
    const char *key;
} means[] = {
    {{SINGLE_THREAD, TIME_OF_OPERATION}, "time, single thread", "single_thread_time"},
    {{MULTI_THREAD, TIME_OF_OPERATION}, "time, several threads", "multi_thread_time"},
    {{SINGLE_THREAD | MULTI_THREAD, PEAK_RESIDENT}, "peak memory, all rows", "peak_resident"},
};
static const char *const mean_names[] = {
    [NO_MEAN] = "none", [SINGLE_THREAD] = "single_thread", [MULTI_THREAD] = "multi_thread"};
enum { MEANS = sizeof means / sizeof means[0], NAME_WIDTH = 24, CELL_WIDTH = 16 };

/* ---- text ---- */

static void print_quantity(const comparison *c, size_t r, quantity of, const char *name) {
    double best[ALLOCATORS];
    double middle[ALLOCATORS];
    for (size_t a = 0; a < ALLOCATORS; a++) {
        best[a] = value_of(c, r, a, of, BEST);
        middle[a] = value_of(c, r, a, of, MEDIAN);
    }
    print_figure_line(c, name, best, middle);
}

static void print_ratios(const comparison *c, size_t r, quantity of, const char *name) {
    double best[ALLOCATORS];
    double middle[ALLOCATORS];
    for (size_t a = 0; a < ALLOCATORS; a++) {
        const int is_rival = a != ALLOCATOR_HAKMEM;
        best[a] = is_rival ? value_of(c, r, ALLOCATOR_HAKMEM, of, BEST) / value_of(c, r, a, of, BEST) : NAN;
        middle[a] = is_rival ? value_of(c, r, ALLOCATOR_HAKMEM, of, MEDIAN) / value_of(c, r, a, of, MEDIAN) : NAN;
    }
    print_figure_line(c, name, best, middle);
}

static int is_measured(const comparison *c, size_t r) {
    for (size_t a = 0; a < ALLOCATORS; a++)
        if (c->cell[r][a].count > 0)
            return 1;
    return 0;
}

static void print_row(const comparison *c, size_t r) {
    printf("%s\n", c->row[r]->name);
    if (is_measured(c, r)) {
        print_quantity(c, r, TIME_OF_OPERATION, "one_operation_seconds");
        print_quantity(c, r, PEAK_RESIDENT, "peak_resident_bytes");
        if (c->present[ALLOCATOR_HAKMEM]) {
            print_ratios(c, r, TIME_OF_OPERATION, "hakmem_/_this:_time");
            print_ratios(c, r, PEAK_RESIDENT, "hakmem_/_this:_peak");
        }
    }
    print_figures(c, r);
}

static void print_mean_cell(double best, double middle) {
    char text[64];
    char first[32];
    char second[32];
    snprintf(text, sizeof text, isnan(best) ? "%s" : "%s (%s)", ratio_text(best, first), ratio_text(middle, second));
    printf(" %*s", CELL_WIDTH - 1, text);
}

static void print_means(const comparison *c) {
    printf("\nGeometric means of hakmem / this, best (median)\n  %-*s", NAME_WIDTH + 5, "");
    for (size_t a = 0; a < ALLOCATORS; a++)
        if (c->present[a] && a != ALLOCATOR_HAKMEM)
            printf(" %*s", CELL_WIDTH - 1, allocator_name(a));
    printf(" %*s\n", CELL_WIDTH - 1, "best of each row");
    for (size_t i = 0; i < MEANS; i++) {
        const mean_of what = means[i].what;
        printf("  %-*s(%2u)", NAME_WIDTH, means[i].name, counted_rows(c, what));
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a] && a != ALLOCATOR_HAKMEM)
                print_mean_cell(mean_to(c, what, a, BEST), mean_to(c, what, a, MEDIAN));
        print_mean_cell(mean_to_best_of_rows(c, what, BEST), mean_to_best_of_rows(c, what, MEDIAN));
        putchar('\n');
    }
}

void print_preload_text(const comparison *c) {
    print_columns(c);
    for (size_t r = 0; r < c->rows; r++)
        print_row(c, r);
    if (!c->present[ALLOCATOR_HAKMEM])
        return;
    print_means(c);
    target targets[TARGETS_MAX];
    print_targets(targets, compute_preload_targets(c, targets));
}

/* ---- JSON ---- */

static cJSON *cell_json(const comparison *c, size_t r, size_t a) {
    cJSON *cell = figures_json(c, r, a);
    add_cell_json(cell, c, r, a);
    return cell;
}

static void add_rows(cJSON *json, const comparison *c) {
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    for (size_t r = 0; r < c->rows; r++) {
        cJSON *row_json = cJSON_CreateObject();
        cJSON_AddStringToObject(row_json, "row", c->row[r]->name);
        cJSON_AddStringToObject(row_json, "workload", c->row[r]->workload);
        cJSON_AddStringToObject(row_json, "mean", mean_names[c->row[r]->mean]);
        cJSON *results = cJSON_AddArrayToObject(row_json, "results");
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                cJSON_AddItemToArray(results, cell_json(c, r, a));
        cJSON_AddItemToArray(rows, row_json);
    }
}

static void add_mean(cJSON *object, const char *key, double best, double middle) {
    cJSON *pair = cJSON_AddObjectToObject(object, key);
    add_number(pair, "best", best);
    add_number(pair, "median", middle);
}

static void add_means(cJSON *json, const comparison *c) {
    cJSON *summary = cJSON_AddObjectToObject(json, "summary");
    for (size_t i = 0; i < MEANS; i++) {
        const mean_of what = means[i].what;
        cJSON *ratios = cJSON_AddObjectToObject(summary, means[i].key);
        cJSON_AddNumberToObject(ratios, "rows", counted_rows(c, what));
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a] && a != ALLOCATOR_HAKMEM)
                add_mean(ratios, allocator_name(a), mean_to(c, what, a, BEST), mean_to(c, what, a, MEDIAN));
        add_mean(ratios, "best_of_each_row", mean_to_best_of_rows(c, what, BEST),
                 mean_to_best_of_rows(c, what, MEDIAN));
    }
}

void print_preload_json(const comparison *c) {
    cJSON *json = comparison_json(c);
    add_rows(json, c);
    add_means(json, c);
    target targets[TARGETS_MAX];
    add_targets_json(json, targets, compute_preload_targets(c, targets));
    print_and_delete(json);
}
