/* A C module for Lua that is linked to libhakmem.so. Loading it fails unless its hakmem is the interpreter's. */
#include <hakmem.h>
#include <lauxlib.h>

int luaopen_one_allocator(lua_State *L);

int luaopen_one_allocator(lua_State *L) {
    void *user_data;
    (void)lua_getallocf(L, &user_data);
    if (hk_arena_of(L) == NULL || hk_arena_of(L) != user_data)
        return luaL_error(L, "this state is in no arena that the module knows of");
    return 0;
}
