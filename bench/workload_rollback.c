/* workload_rollback: a warm Lua state of some megabytes, tables and strings, answers a small request, which leaves
 * traces, and is put back to where it was. hakmem takes its arena back to a checkpoint; every allocator, hakmem too,
 * closes the state and loads it anew. What the next request pays for pages that went is in the time: each round is a
 * request and the way back from it. */
#include "lua_memory.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { ROLLBACKS_FOR_A_RELOAD = 50, WARM_UP_ROLLBACKS = 20 };
static const size_t reserve_bytes = (size_t)64 << 20;

static const char application[] =
    "items, routes = {}, {}\n"
    "repeat\n"
    "    for i = #items + 1, #items + 1000 do\n"
    "        items[i] = {id = i, name = 'item ' .. i, price = i * 3 % 97, tags = {i % 7, i % 11}}\n"
    "    end\n"
    "until collectgarbage('count') >= kilobytes\n"
    "for i = 1, 100 do routes['/item/' .. i] = items[i * 7] end\n"
    "function request()\n"
    "    if trace then error('the last request has left a trace') end\n"
    "    trace = {}\n"
    "    local lines = {}\n"
    "    for i = 1, 10 do\n"
    "        local item = routes['/item/' .. i]\n"
    "        item.seen = i\n"
    "        lines[i] = string.format('<li>%d: %s, %d</li>', item.id, item.name, item.price)\n"
    "        trace[i] = item\n"
    "    end\n"
    "    answer = table.concat(lines)\n"
    "end\n"
    "collectgarbage()\n";

typedef struct rewind_functions {
    hk_status (*checkpoint)(hk_arena *arena);
    hk_status (*rollback)(hk_arena *arena);
} rewind_functions;

static void load_application(lua_State *L, uint64_t megabytes) {
    lua_pushinteger(L, (lua_Integer)(megabytes * 1000));
    lua_setglobal(L, "kilobytes");
    lua_run_text(L, application);
}

/* An arena that can be rewound; ends the process with EXIT_UNABLE if this hakmem or this system has none. */
static hk_arena *create_rewindable(const lua_memory *memory, rewind_functions *f) {
    if (!allocator_find(memory->allocator, "hk_arena_checkpoint", &f->checkpoint) ||
        !allocator_find(memory->allocator, "hk_arena_rollback", &f->rollback))
        die(EXIT_UNABLE, "this hakmem has no hk_arena_checkpoint and hk_arena_rollback");
    hk_arena_config config = lua_arena_config();
    config.flags |= HK_ARENA_REWINDABLE;
    config.reserve_bytes = reserve_bytes;
    hk_arena *arena = NULL;
    hk_status status = memory->create_arena(&config, &arena);
    if (status != HK_OK)
        die(EXIT_UNABLE, "hk_arena_create refuses a rewindable arena, with status %d", (int)status);
    return arena;
}

static double rewind_requests(lua_State *L, hk_arena *arena, const rewind_functions *f, uint64_t count,
                              double *rollback_seconds) {
    double start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        lua_call_global(L, "request");
        double middle = seconds_now();
        if (f->rollback(arena) != HK_OK)
            die(EXIT_FAILED, "hk_arena_rollback failed");
        *rollback_seconds += seconds_now() - middle;
    }
    return seconds_now() - start;
}

static void measure_rollback(const lua_memory *memory, const run_options *options, run_result *result) {
    const uint64_t count = options->operations * ROLLBACKS_FOR_A_RELOAD;
    rewind_functions f = {0};
    hk_arena *arena = create_rewindable(memory, &f);
    lua_State *L = lua_open(memory, arena);
    load_application(L, options->blocks);
    double start = seconds_now();
    if (f.checkpoint(arena) != HK_OK)
        die(EXIT_FAILED, "hk_arena_checkpoint failed");
    add_figure(result, "checkpoint_seconds", seconds_now() - start);
    double rollback_seconds = 0;
    rewind_requests(L, arena, &f, WARM_UP_ROLLBACKS, &rollback_seconds);
    rollback_seconds = 0;
    result->seconds = rewind_requests(L, arena, &f, count, &rollback_seconds);
    result->operations = (double)count;
    add_figure(result, "request_and_back_seconds", result->seconds / (double)count);
    add_figure(result, "rollback_alone_seconds", rollback_seconds / (double)count);
    lua_end_arena(memory, arena);
}

/* One more state is made and closed first, so that the allocator is warm. */
static void measure_reload(const lua_memory *memory, const run_options *options, run_result *result) {
    const uint64_t count = options->operations;
    double close_seconds = 0;
    double state_bytes = 0;
    double start = 0;
    for (uint64_t i = 0; i <= count; i++) {
        lua_owner owner = lua_owner_open(memory);
        load_application(owner.state, options->blocks);
        lua_call_global(owner.state, "request");
        state_bytes = lua_gc(owner.state, LUA_GCCOUNT) * 1024.0;
        double middle = seconds_now();
        lua_owner_close(memory, &owner);
        close_seconds += i == 0 ? 0 : seconds_now() - middle;
        start = i == 0 ? seconds_now() : start;
    }
    const double seconds = seconds_now() - start;
    if (memory->create_arena == NULL) {
        result->seconds = seconds;
        result->operations = (double)count;
        add_figure(result, "request_and_back_seconds", seconds / (double)count);
    }
    add_figure(result, "request_and_reload_seconds", seconds / (double)count);
    add_figure(result, "close_alone_seconds", close_seconds / (double)count);
    add_figure(result, "state_bytes", state_bytes);
}

void run_rollback(const allocator *allocator, const run_options *options, run_result *result) {
    lua_memory memory;
    lua_memory_choose_arenas(allocator, &memory, result);
    if (memory.create_arena != NULL)
        measure_rollback(&memory, options, result);
    measure_reload(&memory, options, result);
    if (memory.create_arena != NULL)
        snprintf(result->note, sizeof result->note, "hk_arena_rollback");
}
