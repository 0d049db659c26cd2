/* workload_end_of_state: a Lua state with many megabytes of tables, ended. hakmem destroys the arena that it lies in,
 * without lua_close, which is timed in a second state; the others have lua_close. */
#include "lua_memory.h"
#include "support.h"

#include <stdio.h>

static const char fill_with_tables[] = "kept = {}\n"
                                       "repeat\n"
                                       "    local n = #kept\n"
                                       "    for i = n + 1, n + 1000 do\n"
                                       "        kept[i] = {id = i, name = 'record ' .. i, tags = {i, i + 1, {}}}\n"
                                       "    end\n"
                                       "until collectgarbage('count') >= kilobytes\n"
                                       "collectgarbage()\n";

static lua_owner open_filled(const lua_memory *memory, uint64_t megabytes) {
    lua_owner owner = lua_owner_open(memory);
    lua_pushinteger(owner.state, (lua_Integer)(megabytes * 1000));
    lua_setglobal(owner.state, "kilobytes");
    lua_run_text(owner.state, fill_with_tables);
    return owner;
}

static double seconds_of_close(const lua_memory *memory, uint64_t megabytes, double *live_bytes) {
    lua_owner owner = open_filled(memory, megabytes);
    *live_bytes = lua_gc(owner.state, LUA_GCCOUNT) * 1024.0;
    double start = seconds_now();
    lua_owner_close(memory, &owner);
    return seconds_now() - start;
}

static double seconds_of_destroy(const lua_memory *memory, uint64_t megabytes) {
    lua_owner owner = open_filled(memory, megabytes);
    double start = seconds_now();
    lua_end_arena(memory, owner.arena);
    return seconds_now() - start;
}

static double seconds_of_purge(const allocator *allocator) {
    double start = seconds_now();
    allocator->give_back();
    return seconds_now() - start;
}

/* Purges after each end, so that each state is made of fresh pages, as the first one is. */
void run_end_of_state(const allocator *allocator, const run_options *options, run_result *result) {
    lua_memory memory;
    lua_memory_choose_arenas(allocator, &memory, result);
    double close_seconds = 0;
    double destroy_seconds = 0;
    double purge_seconds = 0;
    double live_bytes = 0;
    for (uint64_t i = 0; i < options->operations; i++) {
        if (memory.create_arena != NULL) {
            destroy_seconds += seconds_of_destroy(&memory, options->blocks);
            purge_seconds += seconds_of_purge(allocator);
        }
        close_seconds += seconds_of_close(&memory, options->blocks, &live_bytes);
        double purge = seconds_of_purge(allocator);
        if (memory.create_arena == NULL)
            purge_seconds += purge;
    }
    const double count = (double)options->operations;
    result->seconds = memory.create_arena != NULL ? destroy_seconds : close_seconds;
    result->operations = count;
    add_figure(result, "end_seconds", result->seconds / count);
    add_figure(result, "purge_afterwards_seconds", purge_seconds / count);
    add_figure(result, "lua_close_seconds", close_seconds / count);
    add_figure(result, "state_bytes", live_bytes);
    if (memory.create_arena != NULL)
        snprintf(result->note, sizeof result->note, "hk_arena_destroy, without lua_close");
}
