/* hakmem_lua_rewind: a state back to where it was. No data of its own. Under the state's own rule, one thread at a
 * time. */
#include "hakmem_lua.h"

#include <lauxlib.h>
#include <lualib.h>

/* The arena of a state that nobody is in. */
static hk_status find_idle(lua_State *L, hk_arena **arena) {
    lua_Debug activation;
    *arena = L != NULL ? hk_lua_arena(L) : NULL;
    if (*arena == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    if (lua_getstack(L, 0, &activation) != 0)
        return HK_ERR_BUSY;
    if (!lua_checkstack(L, 1))
        return HK_ERR_NO_MEMORY;
    int is_main = lua_pushthread(L);
    lua_pop(L, 1);
    return is_main ? HK_OK : HK_ERR_INVALID_ARGUMENT;
}

hk_status hk_lua_checkpoint(lua_State *L) {
    hk_arena *arena;
    hk_status status = find_idle(L, &arena);
    if (status != HK_OK)
        return status;
    (void)lua_gc(L, LUA_GCCOLLECT); /* runs finalizers, which may leave garbage of their own */
    (void)lua_gc(L, LUA_GCCOLLECT);
    return hk_arena_checkpoint(arena);
}

hk_status hk_lua_rollback(lua_State *L) {
    hk_arena *arena;
    hk_status status = find_idle(L, &arena);
    return status == HK_OK ? hk_arena_rollback(arena) : status;
}

static int reseed(lua_State *L) {
    lua_Integer seed = (lua_Integer) * (const uint64_t *)lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_MATHLIBNAME);
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, seed);
    lua_call(L, 1, 0);
    return 0;
}

hk_status hk_lua_rollback_seed(lua_State *L, uint64_t seed) {
    hk_status status = hk_lua_rollback(L);
    if (status != HK_OK)
        return status;
    if (!lua_checkstack(L, 2))
        return HK_ERR_UNSUPPORTED;
    lua_pushcfunction(L, reseed);
    lua_pushlightuserdata(L, &seed);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return HK_OK;
    lua_pop(L, 1);
    return HK_ERR_UNSUPPORTED;
}
