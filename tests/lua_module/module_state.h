/* States that find the module, whose folder is in HAKMEM_TEST_MODULES. */
#ifndef HAKMEM_TESTS_MODULE_STATE_H
#define HAKMEM_TESTS_MODULE_STATE_H

#include <criterion/criterion.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static inline void open_libraries(lua_State *L) {
    cr_assert_not_null(L);
    luaL_openlibs(L);
    const char *folder = getenv("HAKMEM_TEST_MODULES");
    cr_assert_not_null(folder);
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/?.so", folder);
    lua_setfield(L, -2, "cpath");
    lua_settop(L, 0);
}

static inline void run(lua_State *L, const char *script) {
    int status = luaL_dostring(L, script);
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
}

#endif
