/* child: one `hkbench run --json` in a fresh process. */
#ifndef HKBENCH_CHILD_H
#define HKBENCH_CHILD_H

#include "workloads.h"

typedef struct child_result {
    int exit_status; /* 0: the numbers below are there; negative: the signal that ended it */
    double operations_per_second;
    double peak_resident_bytes;
    char version[64];
    char output[512]; /* of a Lua program */
    size_t figures;
    figure figure[FIGURES_MAX];
    char message[512]; /* the first line it wrote to standard error; if there is one, the first of hkbench's own */
} child_result;

/* `arguments` are those after "hkbench run --json", ended by NULL. */
void run_child(const char *const *arguments, child_result *result);

#endif
