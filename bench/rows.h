/* rows: the tables of what `compare`, `arenas`, `lua` and `preload` measure. */
#ifndef HKBENCH_ROWS_H
#define HKBENCH_ROWS_H

#include <stddef.h>

/* In which geometric means of the targets a row counts. Sums stand for several. */
typedef enum row_mean { NO_MEAN = 0, SINGLE_THREAD = 1, MULTI_THREAD = 2 } row_mean;

typedef struct row {
    const char *name;
    const char *workload;
    row_mean mean;
    const char *options[8];   /* of `hkbench run`, ended by NULL */
    const char *operations;   /* NULL: the workload's default */
    const char *quick_option; /* what --quick makes shorter */
    const char *quick_value;  /* NULL: nothing */
} row;

typedef struct row_table {
    size_t count;
    const row *rows;
    int is_preloaded; /* allocators come by LD_PRELOAD */
} row_table;

extern const row_table compare_rows;
extern const row_table arena_rows;
extern const row_table lua_rows;
extern const row_table preload_rows;

/* NULL if there is none. */
const row *row_named(const row_table *table, const char *name);
/* Whether a name is meant by a list of shell patterns, separated by commas; NULL means all. */
int matches_list(const char *name, const char *patterns);

#endif
