/* report_parts: see report_parts.h. */
#include "report_parts.h"

#include <math.h>
#include <stdio.h>

const char *ratio_text(double ratio, char text[32]) {
    if (isnan(ratio))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.3f", ratio);
    return text;
}

void print_targets(const target *targets, size_t count) {
    printf("\nTargets (judged by the best runs; by the medians in brackets)\n");
    for (size_t i = 0; i < count; i++) {
        char value[32];
        char middle[40] = "";
        char number[32];
        const target *t = &targets[i];
        if (!isnan(t->median_value))
            snprintf(middle, sizeof middle, "(%s)", ratio_text(t->median_value, number));
        printf("  %-13s %-52s %7s %-8s %2s %.2f%s%s\n", target_verdict(t), t->name, ratio_text(t->value, value), middle,
               t->sign, t->bound, t->rival == NULL ? "" : "  rival: ", t->rival == NULL ? "" : t->rival);
    }
}

void add_number(cJSON *object, const char *key, double value) {
    if (isnan(value))
        cJSON_AddNullToObject(object, key);
    else
        cJSON_AddNumberToObject(object, key, value);
}

void add_cell_json(cJSON *cell, const comparison *c, size_t r, size_t a) {
    add_number(cell, "best_operations_per_second", rate_of(c, r, a, BEST));
    add_number(cell, "median_operations_per_second", rate_of(c, r, a, MEDIAN));
    add_number(cell, "peak_resident_bytes", peak_of(c, r, a));
    if (a != ALLOCATOR_HAKMEM) {
        add_number(cell, "hakmem_ratio_best", ratio_to(c, r, a, BEST));
        add_number(cell, "hakmem_ratio_median", ratio_to(c, r, a, MEDIAN));
    }
    if (c->cell[r][a].output[0] != '\0')
        cJSON_AddStringToObject(cell, "output", c->cell[r][a].output);
}

void add_targets_json(cJSON *json, const target *targets, size_t count) {
    cJSON *array = cJSON_AddArrayToObject(json, "targets");
    for (size_t i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", targets[i].name);
        cJSON_AddStringToObject(item, "sign", targets[i].sign);
        cJSON_AddNumberToObject(item, "bound", targets[i].bound);
        add_number(item, "value", targets[i].value);
        add_number(item, "median_value", targets[i].median_value);
        if (targets[i].rival != NULL)
            cJSON_AddStringToObject(item, "rival", targets[i].rival);
        cJSON_AddStringToObject(item, "verdict", target_verdict(&targets[i]));
        cJSON_AddItemToArray(array, item);
    }
}

static void add_allocators(cJSON *json, const comparison *c) {
    cJSON *array = cJSON_AddArrayToObject(json, "allocators");
    for (size_t a = 0; a < ALLOCATORS; a++) {
        if (!c->present[a])
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", allocator_name(a));
        cJSON_AddStringToObject(item, "version", c->version[a]);
        cJSON_AddItemToArray(array, item);
    }
}

cJSON *comparison_json(const comparison *c) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "rounds", c->options->rounds);
    cJSON_AddBoolToObject(json, "quick", c->options->quick);
    add_allocators(json, c);
    return json;
}

void print_and_delete(cJSON *json) {
    char *text = cJSON_Print(json);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
}
