/* hkbench-lua: the interpreter that Lua programs are measured on with every allocator but hakmem. It is the static
 * library that is in hklua, with the allocator function of lauxlib.c and the same mode of collection, so that only the
 * allocator differs.
 *
 * usage: hkbench-lua PROGRAM [ARGUMENT...] */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static int run(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    luaL_openlibs(L);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 and hklua have it */
    if (luaL_loadfile(L, argv[1]) != LUA_OK)
        return lua_error(L);
    for (int i = 2; i < argc; i++)
        lua_pushstring(L, argv[i]);
    lua_call(L, argc - 2, 0);
    return 0;
}

int main(int argc, char **argv) {
    lua_State *L = argc > 1 ? luaL_newstate() : NULL;
    if (L == NULL) {
        fprintf(stderr, "%s\n", argc > 1 ? "hkbench-lua: no memory" : "usage: hkbench-lua PROGRAM [ARGUMENT...]");
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = lua_pcall(L, 2, 0, 0);
    if (status != LUA_OK)
        fprintf(stderr, "hkbench-lua: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return status == LUA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
