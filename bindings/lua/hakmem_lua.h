/* hakmem_lua: Lua 5.4 states whose whole memory is one hakmem arena.
 *
 * Either give Lua the allocator function by hand, with an arena of your own as its user data:
 *     lua_State *L = lua_newstate(hk_lua_alloc, arena);
 * or let hk_lua_newstate make state and arena together, and hk_lua_close end them together.
 *
 * What the arena gives to a state: a limit (reached, it is Lua's ordinary "not enough memory", which pcall catches and
 * after which the state goes on), statistics, and a check of every free, of the size that Lua says as well.
 * Memory that C libraries take from malloc for themselves (a database client, say) is not in the arena.
 *
 * A limit is best set when the libraries are open, with hk_arena_set_limit: below some 24 KB luaL_openlibs fails, and
 * while a state is being made Lua does not collect garbage and try again.
 *
 * Linking: neither library brings a Lua of its own; the Lua symbols come from the program, so that a host which
 * contains its Lua never meets a second one. A program that has none links -lhakmem_lua -llua5.4. hk_lua_alloc needs no
 * Lua at all: a host that does not export its Lua may dlopen the library with RTLD_LAZY and use that function only.
 */
#ifndef HAKMEM_LUA_H
#define HAKMEM_LUA_H

#include <hakmem.h>
#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A lua_Alloc; also fits Lua 5.1 to 5.3 and LuaJIT. `arena` is the hk_arena * that takes it all; it stays the caller's,
 * and must outlive the state. Sizes are in bytes. `old_size` is the block's exact size, and a kind of object that is
 * ignored where `pointer` is NULL. NULL says that the arena's limit or the system does not allow the block; Lua then
 * collects garbage, tries once more, and raises "not enough memory". A block that shrinks never fails.
 * A pointer or an old size that is wrong is misuse (hakmem.h, section 2), whoever calls: Lua never errs there, but
 * memory that was overwritten, or a library that frees what is not its own, shows here.
 * Threads: as the arena. Lua states are used by one thread at a time, so HK_ARENA_ONE_THREAD_AT_A_TIME is right for an
 * arena of one state, and for several states that share a thread or a lock. */
HK_API void *hk_lua_alloc(void *arena, void *pointer, size_t old_size, size_t new_size);

/* Makes an arena and an empty state in it, without libraries; the caller owns both until hk_lua_close. Unprotected
 * errors are written to standard error before Lua aborts, and warnings are off until warn("@on"), as luaL_newstate has
 * it. `config` is taken as it is. NULL stands for an arena named "lua", without a limit, of one thread at a time, and
 * of alignment 8: no object of Lua needs more (its userdata is aligned to 8 on any allocator, by its header), and sizes
 * of 24, 40 and 56 bytes, which make up most of a state, get blocks without waste. A config of your own should say so
 * too.
 * NULL on failure, with the reason in hk_last_status(): that of hk_arena_create, or HK_ERR_LIMIT or HK_ERR_NO_MEMORY if
 * the state does not fit. Nothing is left behind then. */
HK_API lua_State *hk_lua_newstate(const hk_arena_config *config);

/* Ends a state of hk_lua_newstate, given by any of its threads: lua_close, with all its finalizers, and then
 * hk_arena_destroy. Every other block of the arena goes with it. A state with another allocator function is only
 * closed; NULL is ignored. */
HK_API void hk_lua_close(lua_State *L);

/* The arena of a state, by any of its threads; NULL if its allocator function is not hk_lua_alloc. The arena still
 * belongs to whoever made it, or to the state if that was hk_lua_newstate. */
HK_API hk_arena *hk_lua_arena(lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
