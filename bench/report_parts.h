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
void add_targets_json(cJSON *json, const target *targets, size_t count);
/* An object with what was asked for and the allocators that are here. */
cJSON *comparison_json(const comparison *c);
void print_and_delete(cJSON *json);

#endif
