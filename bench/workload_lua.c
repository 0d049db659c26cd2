/* workload_lua: a Lua program, its whole state in the allocator under test (see lua_memory.h). The interpreter is the
 * static library. The time is that of the state's whole life, from making the arena to its end. `print` goes to the
 * result, not to the terminal. */
#include "lua_memory.h"
#include "support.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* The Lua function `print`; its upvalue is the result. What does not fit is cut off. */
static int print_to_result(lua_State *L) {
    run_result *result = lua_touserdata(L, lua_upvalueindex(1));
    size_t used = strlen(result->output);
    for (int i = 1; i <= lua_gettop(L); i++) {
        const char *text = luaL_tolstring(L, i, NULL);
        used += (size_t)snprintf(result->output + used, sizeof result->output - used, "%s%s",
                                 i > 1 ? "\t" : (used > 0 ? "\n" : ""), text);
        used = used < sizeof result->output ? used : sizeof result->output - 1;
        lua_pop(L, 1);
    }
    return 0;
}

static void run_once(const lua_memory *memory, const char *path, uint64_t size, run_result *result) {
    lua_owner owner = lua_owner_open(memory);
    lua_State *L = owner.state;
    lua_pushlightuserdata(L, result);
    lua_pushcclosure(L, print_to_result, 1);
    lua_setglobal(L, "print");
    result->output[0] = '\0';
    int status = luaL_loadfile(L, path);
    int arguments = 0;
    if (status == LUA_OK && size > 0) {
        lua_pushfstring(L, "%I", (LUAI_UACINT)size);
        arguments = 1;
    }
    if (status == LUA_OK)
        status = lua_pcall(L, arguments, 0, 0);
    if (status != LUA_OK)
        die(EXIT_FAILED, "the Lua program failed: %s", lua_tostring(L, -1));
    lua_owner_close(memory, &owner);
}

void run_lua(const allocator *allocator, const run_options *options, run_result *result) {
    char path[640];
    lua_memory memory;
    lua_find_program(options->script, path, sizeof path);
    lua_memory_choose(allocator, &memory, result);
    double start = seconds_now();
    for (uint64_t i = 0; i < options->operations; i++)
        run_once(&memory, path, options->blocks, result);
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
}
