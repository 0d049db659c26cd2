/* rows: see rows.h. Lengths are chosen for runs of 0.3 to 0.5 s, those of Lua programs for about a second. */
#include "rows.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const row rows_of_compare[] = {
    {"fixed:128B", "fixed", 1, {"--size-min", "128"}, NULL, "--operations", "4000000"},
    {"fixed:1024B", "fixed", 1, {"--size-min", "1024"}, NULL, "--operations", "4000000"},
    {"mixed:128", "mixed", 1, {"--blocks", "128"}, NULL, "--operations", "4000000"},
    {"mixed:512", "mixed", 1, {"--blocks", "512"}, NULL, "--operations", "4000000"},
    {"mixed:8192", "mixed", 1, {"--blocks", "8192"}, "30000000", "--operations", "4000000"},
    {"mixed:100000", "mixed", 1, {"--blocks", "100000"}, "15000000", "--operations", "3000000"},
    {"larson", "larson", 0, {"--threads", "2"}, NULL, "--operations", "10000000"},
    {"remote", "remote", 0, {"--threads", "2"}, NULL, "--operations", "1000000"},
    {"realloc", "realloc", 0, {NULL}, NULL, "--operations", "2000000"},
    {"lua:binary_trees", "lua", 0, {"--script", "binary_trees"}, NULL, "--blocks", "12"},
    {"lua:strings", "lua", 0, {"--script", "strings"}, NULL, "--blocks", "300000"},
    {"lua:nbody", "lua", 0, {"--script", "nbody"}, NULL, "--blocks", "20000"},
    {"lua:json", "lua", 0, {"--script", "json"}, NULL, "--blocks", "1"},
    {"start", "start", 0, {NULL}, NULL, NULL, NULL},
};

static const row rows_of_arenas[] = {
    {"create", "create", 0, {NULL}, NULL, "--operations", "20000"},
    {"states", "states", 0, {NULL}, NULL, "--blocks", "300"},
    {"states-closed", "states-closed", 0, {NULL}, NULL, "--blocks", "300"},
    {"arenas-alive", "arenas-alive", 0, {NULL}, NULL, "--blocks", "1000"},
    {"end-of-state", "end-of-state", 0, {NULL}, NULL, "--blocks", "2"},
    {"burst", "burst", 0, {NULL}, NULL, "--blocks", "50000"},
    {"rollback", "rollback", 0, {NULL}, NULL, "--operations", "2"},
};

/* nbody does not allocate: it tells whether the interpreters themselves are equally fast. */
static const row rows_of_lua[] = {
    {"binary_trees", "lua-program", 1, {"--script", "binary_trees"}, NULL, "--blocks", "10"},
    {"closures", "lua-program", 1, {"--script", "closures"}, NULL, "--blocks", "2"},
    {"coroutines", "lua-program", 1, {"--script", "coroutines"}, NULL, "--blocks", "2"},
    {"deltablue", "lua-program", 1, {"--script", "deltablue"}, NULL, "--blocks", "500"},
    {"json", "lua-program", 1, {"--script", "json"}, NULL, "--blocks", "1"},
    {"richards", "lua-program", 1, {"--script", "richards"}, NULL, "--blocks", "5"},
    {"strings", "lua-program", 1, {"--script", "strings"}, NULL, "--blocks", "30000"},
    {"tables", "lua-program", 1, {"--script", "tables"}, NULL, "--blocks", "5"},
    {"nbody", "lua-program", 0, {"--script", "nbody"}, NULL, "--blocks", "20000"},
};

const row_table compare_rows = {sizeof rows_of_compare / sizeof rows_of_compare[0], rows_of_compare};
const row_table arena_rows = {sizeof rows_of_arenas / sizeof rows_of_arenas[0], rows_of_arenas};

const row_table lua_rows = {sizeof rows_of_lua / sizeof rows_of_lua[0], rows_of_lua};

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
