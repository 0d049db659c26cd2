/* rows: see rows.h. Lengths are chosen for runs of 0.3 to 0.5 s, those of Lua programs for about a second. */
#include "rows.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* The loops over slots, which `compare` and `preload` have in common. */
#define SLOT_ROWS                                                                                                      \
    {"fixed:128B", "fixed", SINGLE_THREAD, {"--size-min", "128"}, NULL, "--operations", "4000000"},                    \
        {"fixed:1024B", "fixed", SINGLE_THREAD, {"--size-min", "1024"}, NULL, "--operations", "4000000"},              \
        {"mixed:128", "mixed", SINGLE_THREAD, {"--blocks", "128"}, NULL, "--operations", "4000000"},                   \
        {"mixed:512", "mixed", SINGLE_THREAD, {"--blocks", "512"}, NULL, "--operations", "4000000"},                   \
        {"mixed:8192", "mixed", SINGLE_THREAD, {"--blocks", "8192"}, "30000000", "--operations", "4000000"}, {         \
        "mixed:100000", "mixed", SINGLE_THREAD, {"--blocks", "100000"}, "15000000", "--operations", "3000000"          \
    }

static const row rows_of_compare[] = {
    SLOT_ROWS,
    {"larson", "larson", NO_MEAN, {"--threads", "2"}, NULL, "--operations", "10000000"},
    {"remote", "remote", NO_MEAN, {"--threads", "2"}, NULL, "--operations", "1000000"},
    {"realloc", "realloc", NO_MEAN, {NULL}, NULL, "--operations", "2000000"},
    {"calloc", "calloc", NO_MEAN, {NULL}, NULL, "--operations", "400000"},
    {"realloc-large", "realloc-large", NO_MEAN, {NULL}, NULL, "--operations", "60"},
    {"churn", "churn", NO_MEAN, {NULL}, NULL, "--operations", "200000"},
    {"lua:binary_trees", "lua", NO_MEAN, {"--script", "binary_trees"}, NULL, "--blocks", "12"},
    {"lua:strings", "lua", NO_MEAN, {"--script", "strings"}, NULL, "--blocks", "300000"},
    {"lua:nbody", "lua", NO_MEAN, {"--script", "nbody"}, NULL, "--blocks", "20000"},
    {"lua:json", "lua", NO_MEAN, {"--script", "json"}, NULL, "--blocks", "1"},
    {"start", "start", NO_MEAN, {NULL}, NULL, NULL, NULL},
};

static const row rows_of_arenas[] = {
    {"create", "create", NO_MEAN, {NULL}, NULL, "--operations", "20000"},
    {"states", "states", NO_MEAN, {NULL}, NULL, "--blocks", "300"},
    {"states-closed", "states-closed", NO_MEAN, {NULL}, NULL, "--blocks", "300"},
    {"arenas-alive", "arenas-alive", NO_MEAN, {NULL}, NULL, "--blocks", "1000"},
    {"end-of-state", "end-of-state", NO_MEAN, {NULL}, NULL, "--blocks", "2"},
    {"burst", "burst", NO_MEAN, {NULL}, NULL, "--blocks", "50000"},
    {"rollback", "rollback", NO_MEAN, {NULL}, NULL, "--operations", "2"},
};

/* nbody does not allocate: it tells whether the interpreters themselves are equally fast. */
static const row rows_of_lua[] = {
    {"binary_trees", "lua-program", SINGLE_THREAD, {"--script", "binary_trees"}, NULL, "--blocks", "10"},
    {"closures", "lua-program", SINGLE_THREAD, {"--script", "closures"}, NULL, "--blocks", "2"},
    {"coroutines", "lua-program", SINGLE_THREAD, {"--script", "coroutines"}, NULL, "--blocks", "2"},
    {"deltablue", "lua-program", SINGLE_THREAD, {"--script", "deltablue"}, NULL, "--blocks", "500"},
    {"json", "lua-program", SINGLE_THREAD, {"--script", "json"}, NULL, "--blocks", "1"},
    {"richards", "lua-program", SINGLE_THREAD, {"--script", "richards"}, NULL, "--blocks", "5"},
    {"strings", "lua-program", SINGLE_THREAD, {"--script", "strings"}, NULL, "--blocks", "30000"},
    {"tables", "lua-program", SINGLE_THREAD, {"--script", "tables"}, NULL, "--blocks", "5"},
    {"nbody", "lua-program", NO_MEAN, {"--script", "nbody"}, NULL, "--blocks", "20000"},
};

/* stress-ng calls malloc_trim all the time, which does nothing unless the allocator has a function of that name: so it
 * is shown, but counts nowhere. */
static const row rows_of_preload[] = {
    SLOT_ROWS,
    {"calloc", "calloc", SINGLE_THREAD, {NULL}, NULL, "--operations", "400000"},
    {"realloc-large", "realloc-large", SINGLE_THREAD, {NULL}, NULL, "--operations", "60"},
    {"python3", "program", SINGLE_THREAD, {"--script", "python3"}, NULL, "--blocks", "2"},
    {"gcc", "program", SINGLE_THREAD, {"--script", "gcc"}, NULL, "--blocks", "1"},
    {"sqlite3", "program", SINGLE_THREAD, {"--script", "sqlite3"}, NULL, "--blocks", "10000"},
    {"perl", "program", SINGLE_THREAD, {"--script", "perl"}, NULL, "--blocks", "6000"},
    {"lua5.4:binary_trees", "program", SINGLE_THREAD, {"--script", "lua5.4-binary_trees"}, NULL, "--blocks", "12"},
    {"lua5.4:json", "program", SINGLE_THREAD, {"--script", "lua5.4-json"}, NULL, "--blocks", "1"},
    {"redis", "program", SINGLE_THREAD, {"--script", "redis"}, NULL, "--blocks", "20000"},
    {"mixed:512x2", "mixed", MULTI_THREAD, {"--blocks", "512", "--threads", "2"}, NULL, "--operations", "8000000"},
    {"larson", "larson", MULTI_THREAD, {"--threads", "2"}, NULL, "--operations", "10000000"},
    {"remote", "remote", MULTI_THREAD, {"--threads", "2"}, NULL, "--operations", "1000000"},
    {"churn", "churn", MULTI_THREAD, {NULL}, NULL, "--operations", "200000"},
    {"git", "program", MULTI_THREAD, {"--script", "git"}, NULL, "--blocks", "40"},
    {"stress-ng", "program", NO_MEAN, {"--script", "stress-ng"}, NULL, "--blocks", "5000"},
};

const row_table compare_rows = {sizeof rows_of_compare / sizeof rows_of_compare[0], rows_of_compare, 0};
const row_table arena_rows = {sizeof rows_of_arenas / sizeof rows_of_arenas[0], rows_of_arenas, 0};
const row_table preload_rows = {sizeof rows_of_preload / sizeof rows_of_preload[0], rows_of_preload, 1};
const row_table lua_rows = {sizeof rows_of_lua / sizeof rows_of_lua[0], rows_of_lua, 0};

const row *row_named(const row_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    return NULL;
}

int matches_list(const char *name, const char *patterns) {
    if (patterns == NULL)
        return 1;
    for (const char *at = patterns; *at != '\0';) {
        size_t length = strcspn(at, ",");
        char pattern[128];
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, at);
        if (fnmatch(pattern, name, 0) == 0)
            return 1;
        at += length + (at[length] == ',');
    }
    return 0;
}
