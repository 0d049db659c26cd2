/* hakmem_lua_rewind: a state back to where it was. No data of its own. Under the state's own rule, one thread at a
 * time. */
#include "hakmem_lua_internal.h"

#include <stdbool.h>

hk_status hki_lua_find_idle(lua_State *L, hk_arena **arena) {
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

hk_status hki_lua_status(int result) {
    if (result == HKI_LUA_OK)
        return HK_OK;
    if (result != LUA_ERRMEM)
        return HK_ERR_CALLBACK;
    return hk_last_status() == HK_ERR_LIMIT ? HK_ERR_LIMIT : HK_ERR_NO_MEMORY;
}

/* ---- checkpoint ---- */

static int collect(lua_State *L) {
    (void)lua_gc(L, LUA_GCCOLLECT, 0); /* runs finalizers, which may leave garbage of their own */
    (void)lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* Before Lua 5.4 a finalizer's error gets out of the collection, which so ends half way; its object is done with. */
static void collect_all(lua_State *L) {
    enum { ATTEMPTS = 100 };
    bool is_done = false;
    for (int i = 0; i < ATTEMPTS && !is_done; i++) {
        int top = lua_gettop(L);
        is_done = hki_lua_call_protected(L, collect, NULL) == HKI_LUA_OK;
        lua_settop(L, top);
    }
}

hk_status hk_lua_checkpoint(lua_State *L) {
    hk_arena *arena;
    hk_status status = hki_lua_find_idle(L, &arena);
    if (status != HK_OK)
        return status;
    hki_lua_drop_machine_code(L);
    collect_all(L);
    return hk_arena_checkpoint(arena);
}

/* ---- rollback ---- */

hk_status hk_lua_rollback(lua_State *L) {
    hk_arena *arena;
    hk_status status = hki_lua_find_idle(L, &arena);
    if (status != HK_OK)
        return status;
    hki_lua_drop_machine_code(L);
    return hk_arena_rollback(arena);
}

typedef struct reseeding {
    uint64_t seed;
    bool has_function;
} reseeding;

static int reseed(lua_State *L) {
    reseeding *it = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, HKI_LUA_LOADED);
    if (!lua_istable(L, -1))
        return 0;
    lua_getfield(L, -1, LUA_MATHLIBNAME);
    if (!lua_istable(L, -1))
        return 0;
    lua_getfield(L, -1, "randomseed");
    it->has_function = !lua_isnil(L, -1);
    if (!it->has_function)
        return 0;
    hki_lua_push_seed(L, it->seed);
    lua_call(L, 1, 0);
    return 0;
}

hk_status hki_lua_reseed(lua_State *L, uint64_t seed) {
    int top = lua_gettop(L);
    reseeding it = {.seed = seed};
    hk_status status = hki_lua_status(hki_lua_call_protected(L, reseed, &it));
    lua_settop(L, top);
    return status == HK_OK && !it.has_function ? HK_ERR_UNSUPPORTED : status;
}

hk_status hk_lua_rollback_seed(lua_State *L, uint64_t seed) {
    hk_status status = hk_lua_rollback(L);
    if (status != HK_OK)
        return status;
    return hki_lua_reseed(L, seed) == HK_OK ? HK_OK : HK_ERR_UNSUPPORTED;
}
