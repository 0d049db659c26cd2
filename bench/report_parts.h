/* report_parts: what the reports of `compare`, `arenas` and `preload` have in common. */
#ifndef HKBENCH_REPORT_PARTS_H
#define HKBENCH_REPORT_PARTS_H

#include "measurement.h"
#include "targets.h"

#include <cjson/cJSON.h>

/* "-" for NaN. */
const char *ratio_text(double ratio, char text[32]);
void print_targets(const target *targets, size_t count);

/* JSON has no NaN: null stands for it. */
void add_number(cJSON *object, const char *key, double value);
/* What a row with one allocator came to: rates, peak, ratios of hakmem's to it, and the program's output if any. */
void add_cell_json(cJSON *cell, const comparison *c, size_t r, size_t a);
void add_targets_json(cJSON *json, const target *targets, size_t count);
/* An object with what was asked for and the allocators that are here. */
cJSON *comparison_json(const comparison *c);
void print_and_delete(cJSON *json);

#endif
