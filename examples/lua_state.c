/* A Lua state whose whole memory is one arena with a limit: a script that asks for too much gets an ordinary Lua error,
 * and the state lives on. */
#include <hakmem_lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

static const char greedy_script[] = "local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000) .. i end";
static const char modest_script[] = "return 'still here, ' .. _VERSION";

int main(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8; /* all that Lua needs */
    config.name = "script";
    lua_State *lua = hk_lua_newstate(&config);
    if (lua == NULL) {
        fprintf(stderr, "no state: %s\n", hk_status_message(hk_last_status()));
        return 1;
    }
    luaL_openlibs(lua);

    hk_arena *arena = hk_arena_of(lua);
    hk_status limited = hk_arena_set_limit(arena, 8 << 20);
    int greedy = luaL_dostring(lua, greedy_script);
    printf("greedy script: %s\n", greedy == LUA_OK ? "ended" : lua_tostring(lua, -1));
    lua_settop(lua, 0);

    int modest = luaL_dostring(lua, modest_script);
    printf("modest script: %s\n", lua_tostring(lua, -1));

    hk_lua_close(lua); /* ends the state and its arena */
    return limited == HK_OK && greedy != LUA_OK && modest == LUA_OK ? 0 : 1;
}
