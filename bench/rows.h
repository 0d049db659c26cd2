/* rows: the table of what `compare` measures. */
#ifndef HKBENCH_ROWS_H
#define HKBENCH_ROWS_H

#include <stddef.h>

typedef struct row {
    const char *name;
    const char *workload;
    int is_single_thread_target; /* counts in the geometric means */
    const char *options[8];      /* of `hkbench run`, ended by NULL */
    const char *operations;      /* NULL: the workload's default */
    const char *quick_option;    /* what --quick makes shorter */
    const char *quick_value;     /* NULL: nothing */
} row;

size_t row_count(void);
const row *row_at(size_t index);
/* NULL if there is none. */
const row *row_named(const char *name);
/* Whether a name is meant by a list of shell patterns, separated by commas; NULL means all. */
int matches_list(const char *name, const char *patterns);

#endif
