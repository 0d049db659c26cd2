/* report: see report.h. */
#include "report.h"

#include "report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *rate_text(double rate, char text[32]) {
    if (rate >= 1e6)
        snprintf(text, 32, "%.2f M/s", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(text, 32, "%.1f k/s", rate / 1e3);
    else
        snprintf(text, 32, "%.3f /s", rate);
    return text;
}

static void print_cell(const comparison *c, size_t r, size_t a) {
    char best[32];
    char middle[32];
    char ratio[32];
    char middle_ratio[32];
    const measurement *m = &c->cell[r][a];
    if (m->count == 0) {
        printf("  %-15s failed\n", allocator_name(a));
        return;
    }
    if (strcmp(c->row[r]->workload, "start") == 0) { /* one call: its speed says nothing */
        printf("  %-15s %36.2f\n", allocator_name(a), peak_of(c, r, a) / 1048576);
        return;
    }
    printf("  %-15s %12s %12s %10.2f", allocator_name(a), rate_text(rate_of(c, r, a, BEST), best),
           rate_text(rate_of(c, r, a, MEDIAN), middle), peak_of(c, r, a) / 1048576);
    if (a != ALLOCATOR_HAKMEM && c->present[ALLOCATOR_HAKMEM])
        printf("   %7s %7s", ratio_text(ratio_to(c, r, a, BEST), ratio),
               ratio_text(ratio_to(c, r, a, MEDIAN), middle_ratio));
    printf("%s\n", m->failures > 0 ? "   (some runs failed)" : "");
}

static void print_means(const comparison *c) {
    char best[32];
    char middle[32];
    printf("\nGeometric means over the single-thread rows, best (median)\n");
    printf("  hakmem / mimalloc      %s (%s)\n", ratio_text(mean_ratio_to(c, ALLOCATOR_MIMALLOC, BEST), best),
           ratio_text(mean_ratio_to(c, ALLOCATOR_MIMALLOC, MEDIAN), middle));
    printf("  hakmem / best rival    %s (%s)\n", ratio_text(mean_ratio_to_best_rival(c, BEST), best),
           ratio_text(mean_ratio_to_best_rival(c, MEDIAN), middle));
}

static size_t keep_measured(target *targets, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(targets[i].value))
            targets[kept++] = targets[i];
    return kept;
}

void print_report_text(const comparison *c) {
    printf("%-17s %12s %12s %10s   %15s\n", "", "best", "median", "peak MiB", "hakmem / this");
    for (size_t r = 0; r < c->rows; r++) {
        printf("%s\n", c->row[r]->name);
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                print_cell(c, r, a);
    }
    target targets[TARGETS_MAX];
    size_t count = compute_targets(c, targets);
    if (c->present[ALLOCATOR_HAKMEM])
        print_means(c);
    else
        count = keep_measured(targets, count);
    if (count > 0)
        print_targets(targets, count);
}

static cJSON *cell_json(const comparison *c, size_t r, size_t a) {
    const measurement *m = &c->cell[r][a];
    cJSON *cell = cJSON_CreateObject();
    cJSON_AddStringToObject(cell, "allocator", allocator_name(a));
    cJSON_AddNumberToObject(cell, "runs", m->count);
    cJSON_AddNumberToObject(cell, "failures", m->failures);
    add_cell_json(cell, c, r, a);
    return cell;
}

static void add_rows(cJSON *json, const comparison *c) {
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    for (size_t r = 0; r < c->rows; r++) {
        cJSON *row_json = cJSON_CreateObject();
        cJSON_AddStringToObject(row_json, "row", c->row[r]->name);
        cJSON_AddStringToObject(row_json, "workload", c->row[r]->workload);
        cJSON *results = cJSON_AddArrayToObject(row_json, "results");
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                cJSON_AddItemToArray(results, cell_json(c, r, a));
        cJSON_AddItemToArray(rows, row_json);
    }
}

void print_report_json(const comparison *c) {
    cJSON *json = comparison_json(c);
    add_rows(json, c);
    cJSON *summary = cJSON_AddObjectToObject(json, "summary");
    add_number(summary, "mean_ratio_to_mimalloc_best", mean_ratio_to(c, ALLOCATOR_MIMALLOC, BEST));
    add_number(summary, "mean_ratio_to_mimalloc_median", mean_ratio_to(c, ALLOCATOR_MIMALLOC, MEDIAN));
    add_number(summary, "mean_ratio_to_best_rival_best", mean_ratio_to_best_rival(c, BEST));
    add_number(summary, "mean_ratio_to_best_rival_median", mean_ratio_to_best_rival(c, MEDIAN));
    target targets[TARGETS_MAX];
    add_targets_json(json, targets, compute_targets(c, targets));
    print_and_delete(json);
}
