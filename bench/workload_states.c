/* workload_states: thousands of Lua states in one process. `states`: bare ones with their libraries open;
 * `states-closed`: each runs a small script, then all are closed, and the allocator is asked to give memory back. */
#include "lua_memory.h"
#include "support.h"

#include <string.h>

static const char small_script[] = "local items, names = {}, {}\n"
                                   "for i = 1, 100 do items[i] = {id = i, name = 'item ' .. i} end\n"
                                   "for i, item in ipairs(items) do names[i] = item.name end\n"
                                   "listing = table.concat(names, ', ')\n";

/* Written to once, so that its pages do not count among those of the states. */
static lua_owner *map_owners(uint64_t count) {
    lua_owner *owners = map_memory(count * sizeof *owners);
    memset(owners, 1, count * sizeof *owners);
    return owners;
}

/* Makes the states, each with `script` run if that is not NULL. Returns the seconds it took. */
static double open_all(const lua_memory *memory, lua_owner *owners, uint64_t count, const char *script) {
    double start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        owners[i] = lua_owner_open(memory);
        if (script != NULL)
            lua_run_text(owners[i].state, script);
    }
    return seconds_now() - start;
}

static double close_all(const lua_memory *memory, const lua_owner *owners, uint64_t count) {
    double start = seconds_now();
    for (uint64_t i = 0; i < count; i++)
        lua_owner_close(memory, &owners[i]);
    return seconds_now() - start;
}

void run_states(const allocator *allocator, const run_options *options, run_result *result) {
    const uint64_t count = options->blocks;
    lua_memory memory;
    lua_memory_choose_arenas(allocator, &memory, result);
    lua_owner *owners = map_owners(count);
    const size_t before = resident_bytes();
    result->seconds = open_all(&memory, owners, count, NULL);
    result->operations = (double)count;
    const double resident = (double)resident_bytes() - (double)before;
    const double mappings = (double)count_mappings();
    const double close_seconds = close_all(&memory, owners, count);
    add_figure(result, "resident_each_bytes", resident / (double)count);
    add_figure(result, "create_each_seconds", result->seconds / (double)count);
    add_figure(result, "close_each_seconds", close_seconds / (double)count);
    add_figure(result, "mappings", mappings);
    unmap_memory(owners, count * sizeof *owners);
}

void run_states_closed(const allocator *allocator, const run_options *options, run_result *result) {
    const uint64_t count = options->blocks;
    lua_memory memory;
    lua_memory_choose_arenas(allocator, &memory, result);
    lua_owner *owners = map_owners(count);
    result->seconds = open_all(&memory, owners, count, small_script);
    result->operations = (double)count;
    const double alive = (double)resident_bytes();
    const double close_seconds = close_all(&memory, owners, count);
    const double closed = (double)resident_bytes();
    double start = seconds_now();
    allocator->give_back();
    const double purge_seconds = seconds_now() - start;
    const double purged = (double)resident_bytes();
    add_figure(result, "resident_alive_bytes", alive);
    add_figure(result, "resident_closed_bytes", closed);
    add_figure(result, "resident_purged_bytes", purged);
    add_figure(result, "purged_to_alive", purged / alive);
    add_figure(result, "create_and_run_each_seconds", result->seconds / (double)count);
    add_figure(result, "close_each_seconds", close_seconds / (double)count);
    add_figure(result, "purge_seconds", purge_seconds);
    unmap_memory(owners, count * sizeof *owners);
}
