/* rewind_times: how long a request to a warm Lua state and the rollback after it take, in both ways of rewinding,
 * beside what there is without it: closing the state and loading the application anew. Prints medians, in microseconds.
 *
 * usage: rewind_times [REQUESTS]
 * The application holds some 5 MB in tables, strings and closures; a request looks things up, builds a page of text and
 * pollutes what it finds. Faults that the rollback leaves behind fall into the next request, so look at the sum. */
#include <hakmem_lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rewind.h"

enum { REQUESTS = 2000, RELOADS = 15, RESERVE = 64 << 20 };

static const char application[] =
    "local items = {}\n"
    "for i = 1, 14000 do\n"
    "    items[i] = {id = i, name = 'item ' .. i, tags = {i % 7, i % 11, 'tag' .. i % 100}}\n"
    "end\n"
    "local routes = {}\n"
    "for i = 1, 300 do routes['/page/' .. i] = function(n) return items[(i * 37 + n) % #items + 1] end end\n"
    "function request(n)\n"
    "    local out = {}\n"
    "    for i = 1, 20 do\n"
    "        local item = routes['/page/' .. (n + i) % 300 + 1](n)\n"
    "        out[#out + 1] = ('<li id=%d>%s (%s)</li>'):format(item.id, item.name, item.tags[3])\n"
    "        item.seen = n\n"
    "    end\n"
    "    last = table.concat(out)\n"
    "    return #last\n"
    "end\n";

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, size_t count) {
    qsort(times, count, sizeof *times, compare);
    return times[count / 2];
}

static void fail(const char *what) {
    fprintf(stderr, "rewind_times: %s: %s\n", what, hk_status_message(hk_last_status()));
    exit(EXIT_FAILURE);
}

static lua_State *load(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_REWINDABLE;
    config.min_alignment = 8;
    config.reserve_bytes = RESERVE;
    lua_State *L = hk_lua_newstate(&config);
    if (L == NULL)
        return NULL;
    luaL_openlibs(L);
    if (luaL_dostring(L, application) != LUA_OK)
        fail(lua_tostring(L, -1));
    return L;
}

static void request(lua_State *L, size_t number) {
    lua_getglobal(L, "request");
    lua_pushinteger(L, (lua_Integer)(number % 50));
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        fail(lua_tostring(L, -1));
    lua_pop(L, 1);
}

static size_t held_bytes(lua_State *L) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    return hk_arena_statistics(hk_lua_arena(L), &totals) == HK_OK ? totals.held_bytes : 0;
}

static void measure_way(const char *name, hki_rewind_way way, size_t count, double *requests, double *rollbacks) {
    hki_rewind_force(way);
    lua_State *L = load();
    if (L == NULL) {
        printf("%-10s not here: %s\n", name, hk_status_message(hk_last_status()));
        return;
    }
    double start = now();
    if (hk_lua_checkpoint(L) != HK_OK)
        fail("checkpoint");
    double checkpoint = now() - start;
    for (size_t i = 0; i < count; i++) {
        double begin = now();
        request(L, i);
        double middle = now();
        if (hk_lua_rollback(L) != HK_OK)
            fail("rollback");
        requests[i] = middle - begin;
        rollbacks[i] = now() - middle;
    }
    double in_request = median(requests, count), in_rollback = median(rollbacks, count);
    printf("%-10s %10.1f %10.1f %10.1f %12.0f %10zu\n", name, in_request, in_rollback, in_request + in_rollback,
           checkpoint, held_bytes(L) / 1024);
    hk_lua_close(L);
}

static void measure_reload(double *closes, double *loads) {
    hki_rewind_force(HKI_REWIND_ANY);
    for (size_t i = 0; i < RELOADS; i++) {
        double start = now();
        lua_State *L = load();
        if (L == NULL)
            fail("load");
        double middle = now();
        hk_lua_close(L);
        loads[i] = middle - start;
        closes[i] = now() - middle;
    }
    printf("without rewinding: load %.0f, close %.0f\n", median(loads, RELOADS), median(closes, RELOADS));
}

int main(int argc, char **argv) {
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : REQUESTS;
    if (count < RELOADS)
        count = RELOADS;
    double *first = calloc(count, sizeof *first), *second = calloc(count, sizeof *second);
    if (first == NULL || second == NULL)
        return EXIT_FAILURE;
    printf("%-10s %10s %10s %10s %12s %10s\n", "way", "request", "rollback", "both", "checkpoint", "KiB held");
    measure_way("tracking", HKI_REWIND_TRACKING, count, first, second);
    measure_way("file", HKI_REWIND_FILE, count, first, second);
    measure_reload(first, second);
    free(first);
    free(second);
    return EXIT_SUCCESS;
}
