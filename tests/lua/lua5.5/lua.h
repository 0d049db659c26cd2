/* Stands in for the lua.h of Lua 5.5, on that of 5.4: the version and lua_newstate, whose third argument is a seed.
 * lua_newstate_5_5 is the test's. */
#ifndef HAKMEM_TESTS_LUA_5_5_H
#define HAKMEM_TESTS_LUA_5_5_H

#include_next <lua.h>

#undef LUA_VERSION_NUM
#define LUA_VERSION_NUM 505

lua_State *lua_newstate_5_5(lua_Alloc allocate, void *user_data, unsigned seed);
unsigned luaL_makeseed(lua_State *L);
#define lua_newstate lua_newstate_5_5

#endif
