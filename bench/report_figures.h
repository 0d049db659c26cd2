/* report_figures: tables of figures for `arenas` and `preload`: a line for each figure, a column for each allocator, the
 * lowest value of all rounds and the median in brackets. */
#ifndef HKBENCH_REPORT_FIGURES_H
#define HKBENCH_REPORT_FIGURES_H

#include "measurement.h"

#include <cjson/cJSON.h>

void print_columns(const comparison *c);
/* `name` ends with the unit, as figures' names do. "-" stands for NaN. */
void print_figure_line(const comparison *c, const char *name, const double best[ALLOCATORS],
                       const double middle[ALLOCATORS]);
/* The lines of all figures of a row, and a word on who skipped it or failed in it. */
void print_figures(const comparison *c, size_t r);

/* Runs, failures and figures of an allocator in a row. */
cJSON *figures_json(const comparison *c, size_t r, size_t a);

#endif
