/* lua_versions: what the tests need so that they are the same for all versions of Lua. */
#ifndef HAKMEM_TESTS_LUA_VERSIONS_H
#define HAKMEM_TESTS_LUA_VERSIONS_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#ifdef LUA_LJDIR
#define IS_LUAJIT 1
#else
#define IS_LUAJIT 0
#endif

/* Where the numbers of math.random come from, and whether its seed is an integer. */
#define RANDOM_IS_OF_THE_STATE (LUA_VERSION_NUM >= 504 || IS_LUAJIT)
#define SEED_IS_AN_INTEGER (LUA_VERSION_NUM >= 504)

#if LUA_VERSION_NUM < 502
#define LUA_OK 0
#endif

static inline lua_State *new_state(lua_Alloc allocate, void *user_data) {
#if LUA_VERSION_NUM >= 505
    return lua_newstate(allocate, user_data, 4711);
#else
    return lua_newstate(allocate, user_data);
#endif
}

/* Lua that makes a value whose finalizer is `f`: in 5.1 tables have none. */
#define WITH_FINALIZER                                                                                                 \
    "local function with_finalizer(f) "                                                                                \
    "if not newproxy then return setmetatable({}, {__gc = f}) end "                                                    \
    "local it = newproxy(true) getmetatable(it).__gc = f return it end "

/* Calls function(argument); a memory error does not get out, wherever it is raised. */
static inline int call_protected(lua_State *L, lua_CFunction function, void *argument) {
#if LUA_VERSION_NUM < 502
    return lua_cpcall(L, function, argument);
#else
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    return lua_pcall(L, 1, 0, 0);
#endif
}

#endif
