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

/* The same without lua_close: the arena is destroyed as it is, in time that does not depend on how many objects there
 * are. No finalizer (__gc, __close) runs, so it is for states without files, sockets or other things that only
 * finalizers would release: these leak. Not from within a call of the state. A state with another allocator function is
 * closed by lua_close; NULL is ignored. */
HK_API void hk_lua_close_fast(lua_State *L);

/* ---- Rewinding: a state back to where it was, as fast as the pages that were written since are copied -------------
 *
 * For states in an arena of HK_ARENA_REWINDABLE (a config with this flag, and a reserve for all that the state may ever
 * hold, for hk_lua_newstate). Load the application once, make a checkpoint, and go back to it after each request:
 * globals, metatables, loaded modules, the stack, what was leaked, errors half way, all is as it was.
 *
 * All three take the state's main thread, and only while no call is active: neither from within a function that Lua
 * has called, nor from a hook, nor with a coroutine running. They return
 *   HK_ERR_BUSY              a call is active, or another thread is inside of the arena;
 *   HK_ERR_INVALID_ARGUMENT  L is NULL, not the main thread, or has another allocator function; rollback: no checkpoint;
 *   HK_ERR_UNSUPPORTED       the arena is not of HK_ARENA_REWINDABLE;
 *   HK_ERR_NO_MEMORY         checkpoint: the base does not fit.
 * After a failure the state is as it was, but that a failed checkpoint may have collected garbage.
 *
 * Hazards, beside those of hk_arena_rollback:
 * - No finalizer runs for what is gone. Files, sockets and locks opened since leak; userdata of those closed since come
 *   back dangling (closing such a file again is undefined): let requests open and close what they use, and neither close
 *   nor keep what the application had opened before.
 * - Values kept outside of the state, in C, are stale if they came to be since: references of luaL_ref, pointers to
 *   strings and userdata, coroutines.
 * - math.random goes on from where it was at the checkpoint, with the same numbers in each request. Where that matters,
 *   use hk_lua_rollback_seed. The seed of string hashes stays what it was, too.
 * - What is not in the arena does not go back: the environment, the current directory, buffers of stdio, C libraries'
 *   own memory. */

/* Collects all garbage, and then makes the state's present its base (hk_arena_checkpoint). Garbage would be kept for
 * ever, and a collection that was under way would go on in each request and write to every object. */
HK_API hk_status hk_lua_checkpoint(lua_State *L);
/* Goes back to the newest checkpoint. L is as it was then, its stack too. */
HK_API hk_status hk_lua_rollback(lua_State *L);
/* The same, and then calls math.randomseed(seed) as the base has it, so that requests do not all draw the same numbers;
 * a seed that nobody can guess is the caller's affair. If there is no such function, or it fails, the state is rewound,
 * and the status is HK_ERR_UNSUPPORTED. */
HK_API hk_status hk_lua_rollback_seed(lua_State *L, uint64_t seed);

/* The arena of a state, by any of its threads; NULL if its allocator function is not hk_lua_alloc. The arena still
 * belongs to whoever made it, or to the state if that was hk_lua_newstate. */
HK_API hk_arena *hk_lua_arena(lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
