/* hakmem_lua_internal: what the files of hakmem_lua share, and all that differs between the versions of Lua that a host
 * may have: 5.1, LuaJIT, 5.3, 5.4 (5.2 and 5.5 by their documents). No other file asks for the version. No data. */
#ifndef HKI_LUA_INTERNAL_H
#define HKI_LUA_INTERNAL_H

#include "hakmem_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>

#ifdef LUA_LJDIR /* LuaJIT, which otherwise says that it is 5.1 */
#include <luajit.h>
#endif

/* The arena of the main thread of a state that nobody is in; the status as hakmem_lua.h has it for rewinding. */
hk_status hki_lua_find_idle(lua_State *L, hk_arena **arena);
/* Calls math.randomseed. HK_ERR_UNSUPPORTED if there is no such function, else as hki_lua_status has it. */
hk_status hki_lua_reseed(lua_State *L, uint64_t seed);
/* What a protected call came to, as a status: HK_ERR_LIMIT or HK_ERR_NO_MEMORY for a memory error of Lua's, and
 * HK_ERR_CALLBACK for any other. */
hk_status hki_lua_status(int result);

#if LUA_VERSION_NUM < 502
enum { HKI_LUA_OK = 0 };
#define HKI_LUA_LOADED "_LOADED"
#else
enum { HKI_LUA_OK = LUA_OK };
#if LUA_VERSION_NUM < 503
#define HKI_LUA_LOADED "_LOADED"
#else
#define HKI_LUA_LOADED LUA_LOADED_TABLE
#endif
#endif

/* LuaJIT frees a closure that it could not finish for want of memory as one without upvalues, so with too small a
 * size. */
static inline void hki_lua_free(hk_arena *arena, void *pointer, size_t size) {
#ifdef LUA_LJDIR
    (void)size;
    (void)hk_arena_free(arena, pointer);
#else
    (void)hk_arena_free_sized(arena, pointer, size);
#endif
}

/* LuaJIT dies of a refusal while it makes a state, so there the arena's limit holds from then on only. */
#ifdef LUA_LJDIR
enum { HKI_LUA_STATE_SURVIVES_LIMIT = 0 };
#else
enum { HKI_LUA_STATE_SURVIVES_LIMIT = 1 };
#endif

static inline lua_State *hki_lua_newstate(hk_arena *arena) {
#if LUA_VERSION_NUM >= 505
    return lua_newstate(hk_lua_alloc, arena, luaL_makeseed(NULL)); /* of hashes, as luaL_newstate has it */
#else
    return lua_newstate(hk_lua_alloc, arena);
#endif
}

/* Calls function(argument) so that no error gets out. If it fails, the error is on the stack. */
static inline int hki_lua_call_protected(lua_State *L, lua_CFunction function, void *argument) {
#if LUA_VERSION_NUM < 502
    return lua_cpcall(L, function, argument); /* there, to push a function may itself fail for want of memory */
#else
    if (!lua_checkstack(L, 2))
        return LUA_ERRMEM;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    return lua_pcall(L, 1, 0, 0);
#endif
}

/* Before 5.4 math.randomseed takes a number: 53 bits of it are exact, and fit into the integers that it becomes. */
static inline void hki_lua_push_seed(lua_State *L, uint64_t seed) {
#if LUA_VERSION_NUM >= 504
    lua_pushinteger(L, (lua_Integer)seed);
#else
    lua_pushnumber(L, (lua_Number)((seed ^ seed >> 53) & ((UINT64_C(1) << 53) - 1)));
#endif
}

/* Machine code lies outside of the arena. It must go before the tables that know of it go back or away. */
static inline void hki_lua_drop_machine_code(lua_State *L) {
#ifdef LUA_LJDIR
    (void)luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
#else
    (void)L;
#endif
}

#if LUA_VERSION_NUM >= 504
/* Warnings of `L` go to standard error once warn("@on") has been called. */
void hki_lua_start_warnings(lua_State *L);
#else
static inline void hki_lua_start_warnings(lua_State *L) {
    (void)L;
}
#endif

#endif
