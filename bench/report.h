/* report: a comparison as text for people, and as one JSON object; of `compare` in report.c, of `arenas` in
 * report_arenas.c, of `lua` in report_lua.c, of `preload` in report_preload.c. */
#ifndef HKBENCH_REPORT_H
#define HKBENCH_REPORT_H

#include "measurement.h"

void print_report_text(const comparison *c);
void print_report_json(const comparison *c);
void print_arenas_text(const comparison *c);
void print_arenas_json(const comparison *c);
void print_lua_text(const comparison *c);
void print_lua_json(const comparison *c);
void print_preload_text(const comparison *c);
void print_preload_json(const comparison *c);

#endif
