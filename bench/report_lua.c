/* report_lua: see report.h. Seconds and peaks of each program, hakmem's divided by each rival's, and their means. */
#include "report.h"
#include "report_parts.h"

#include <math.h>
#include <stdio.h>

static void print_ratio(double ratio) {
    char text[32];
    printf(" %8s", ratio_text(ratio, text));
}

static void print_cell(const comparison *c, size_t r, size_t a) {
    if (c->cell[r][a].count == 0) {
        printf("  %-12s %s\n", allocator_name(a), c->cell[r][a].skipped[0] != '\0' ? c->cell[r][a].skipped : "failed");
        return;
    }
    printf("  %-12s %9.3f %9.3f %9.2f", allocator_name(a), 1 / rate_of(c, r, a, BEST), 1 / rate_of(c, r, a, MEDIAN),
           peak_of(c, r, a) / 1048576);
    if (a != ALLOCATOR_HAKMEM && c->present[ALLOCATOR_HAKMEM]) {
        print_ratio(1 / ratio_to(c, r, a, BEST));
        print_ratio(1 / ratio_to(c, r, a, MEDIAN));
        print_ratio(peak_of(c, r, ALLOCATOR_HAKMEM) / peak_of(c, r, a));
    }
    putchar('\n');
}

static void print_means(const comparison *c) {
    printf("Geometric means of hakmem's time and peak memory, divided by the rival's (nbody, which does not allocate, "
           "left "
           "out)\n  %-12s %8s %8s %8s\n",
           "", "best", "median", "peak");
    for (size_t a = 0; a < ALLOCATORS; a++) {
        if (!c->present[a] || a == ALLOCATOR_HAKMEM)
            continue;
        printf("  %-12s", allocator_name(a));
        print_ratio(mean_time_ratio(c, a, BEST));
        print_ratio(mean_time_ratio(c, a, MEDIAN));
        print_ratio(mean_peak_ratio(c, a));
        putchar('\n');
    }
}

void print_lua_text(const comparison *c) {
    printf("%-14s %9s %9s %9s   hakmem / this, less is better\n%-14s %9s %9s %9s %8s %8s %8s\n", "", "best s",
           "median s", "peak MiB", "", "", "", "", "best", "median", "peak");
    for (size_t r = 0; r < c->rows; r++) {
        printf("%s: %s\n", c->row[r]->name, c->cell[r][ALLOCATOR_HAKMEM].output);
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                print_cell(c, r, a);
    }
    if (!c->present[ALLOCATOR_HAKMEM])
        return;
    print_means(c);
    target targets[TARGETS_MAX];
    print_targets(targets, compute_lua_targets(c, targets));
}

static cJSON *cell_json(const comparison *c, size_t r, size_t a) {
    cJSON *cell = cJSON_CreateObject();
    cJSON_AddStringToObject(cell, "allocator", allocator_name(a));
    cJSON_AddNumberToObject(cell, "runs", c->cell[r][a].count);
    cJSON_AddNumberToObject(cell, "failures", c->cell[r][a].failures);
    add_number(cell, "best_seconds", 1 / rate_of(c, r, a, BEST));
    add_number(cell, "median_seconds", 1 / rate_of(c, r, a, MEDIAN));
    add_number(cell, "peak_resident_bytes", peak_of(c, r, a));
    return cell;
}

static void add_means(cJSON *json, const comparison *c) {
    cJSON *means = cJSON_AddArrayToObject(json, "means");
    for (size_t a = 0; a < ALLOCATORS; a++) {
        if (!c->present[a] || a == ALLOCATOR_HAKMEM)
            continue;
        cJSON *mean = cJSON_CreateObject();
        cJSON_AddStringToObject(mean, "rival", allocator_name(a));
        add_number(mean, "time_best", mean_time_ratio(c, a, BEST));
        add_number(mean, "time_median", mean_time_ratio(c, a, MEDIAN));
        add_number(mean, "peak", mean_peak_ratio(c, a));
        cJSON_AddItemToArray(means, mean);
    }
}

void print_lua_json(const comparison *c) {
    cJSON *json = comparison_json(c);
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    for (size_t r = 0; r < c->rows; r++) {
        cJSON *row_json = cJSON_CreateObject();
        cJSON_AddStringToObject(row_json, "row", c->row[r]->name);
        cJSON *results = cJSON_AddArrayToObject(row_json, "results");
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                cJSON_AddItemToArray(results, cell_json(c, r, a));
        cJSON_AddItemToArray(rows, row_json);
    }
    add_means(json, c);
    target targets[TARGETS_MAX];
    add_targets_json(json, targets, compute_lua_targets(c, targets));
    print_and_delete(json);
}
