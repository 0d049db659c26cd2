/* report_arenas: see report.h. A table for each row: a line for each figure, a column for each allocator. */
#include "report.h"
#include "report_figures.h"
#include "report_parts.h"

#include <stdio.h>

void print_arenas_text(const comparison *c) {
    print_columns(c);
    for (size_t r = 0; r < c->rows; r++) {
        printf("%s\n", c->row[r]->name);
        print_figures(c, r);
    }
    target targets[TARGETS_MAX];
    if (c->present[ALLOCATOR_HAKMEM])
        print_targets(targets, compute_arena_targets(c, targets));
}

void print_arenas_json(const comparison *c) {
    cJSON *json = comparison_json(c);
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    for (size_t r = 0; r < c->rows; r++) {
        cJSON *row_json = cJSON_CreateObject();
        cJSON_AddStringToObject(row_json, "row", c->row[r]->name);
        cJSON_AddStringToObject(row_json, "workload", c->row[r]->workload);
        cJSON *results = cJSON_AddArrayToObject(row_json, "results");
        for (size_t a = 0; a < ALLOCATORS; a++)
            if (c->present[a])
                cJSON_AddItemToArray(results, figures_json(c, r, a));
        cJSON_AddItemToArray(rows, row_json);
    }
    target targets[TARGETS_MAX];
    add_targets_json(json, targets, compute_arena_targets(c, targets));
    print_and_delete(json);
}
