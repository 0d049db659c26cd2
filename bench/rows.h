/* rows: the tables of what `compare`, `arenas` and `lua` measure. */
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

typedef struct row_table {
    size_t count;
    const row *rows;
} row_table;

extern const row_table compare_rows;
extern const row_table arena_rows;
extern const row_table lua_rows;

/* NULL if there is none. */
const row *row_named(const row_table *table, const char *name);
/* Whether a name is meant by a list of shell patterns, separated by commas; NULL means all. */
int matches_list(const char *name, const char *patterns);

#endif
