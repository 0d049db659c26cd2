/* hakmem_lua: Lua states whose whole memory is one hakmem arena.
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
 * while a state is being made Lua does not collect garbage and try again. LuaJIT dies when it is refused memory while
 * it makes a state, with any allocator; there hk_lua_newstate applies the config's limit afterwards.
 *
 * In sections: allocator function and states; rewinding; pools of states, for many threads.
 *
 * Linking: neither library brings a Lua of its own; the Lua symbols come from the program, so that a host which
 * contains its Lua never meets a second one. A program that has none links -lhakmem_lua -llua5.4. hk_lua_alloc needs no
 * Lua at all: a host that does not export its Lua may dlopen the library with RTLD_LAZY and use that function only.
 *
 * Versions: libhakmem_lua is for Lua 5.4. For hosts of Lua 5.1, Lua 5.3 and LuaJIT there are libhakmem_lua5.1.a,
 * libhakmem_lua5.3.a and libhakmem_luajit.a, as far as these were there when hakmem was built; this header is the same
 * for all, and includes the lua.h of the program. What differs is said where it does.
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
 * ignored where `pointer` is NULL. NULL says that the arena's limit or the system does not allow the block; Lua (not
 * 5.1 and LuaJIT) then collects garbage, tries once more, and raises "not enough memory". A block that shrinks never
 * fails. A pointer or an old size that is wrong is misuse (hakmem.h, section 2), whoever calls: Lua never errs there,
 * but memory that was overwritten, or a library that frees what is not its own, shows here. LuaJIT does err, about
 * closures that it could not finish for want of memory: in libhakmem_luajit.a the size of what is freed is not checked.
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
 * hk_arena_destroy. Every other block of the arena goes with it. If the arena has children, it lives on, empty and
 * without a handle, until the last one ends. A state with another allocator function is only closed; NULL is ignored. */
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
 *   HK_ERR_INVALID_ARGUMENT  L is NULL, not the main thread, or has another allocator function; rollback: there is
 *                            no checkpoint;
 *   HK_ERR_UNSUPPORTED       the arena is not of HK_ARENA_REWINDABLE;
 *   HK_ERR_NO_MEMORY         checkpoint: the base does not fit.
 * After a failure the state is as it was, but that a failed checkpoint may have collected garbage.
 *
 * Hazards, beside those of hk_arena_rollback:
 * - No finalizer runs for what is gone. Files, sockets and locks opened since leak; userdata of those closed since come
 *   back dangling (closing such a file again is undefined): let requests open and close what they use, and neither
 *   close nor keep what the application had opened before.
 * - Values kept outside of the state, in C, are stale if they came to be since: references of luaL_ref, pointers to
 *   strings and userdata, coroutines.
 * - math.random goes on from where it was at the checkpoint, with the same numbers in each request. Where that matters,
 *   use hk_lua_rollback_seed. The seed of string hashes stays what it was, too.
 * - What is not in the arena does not go back: the environment, the current directory, buffers of stdio, C libraries'
 *   own memory. In Lua 5.1 and 5.3 the generator of math.random is the C library's, one for the whole process.
 * - LuaJIT: machine code lies outside of the arena, and is thrown away by checkpoint, rollback and hk_lua_close_fast;
 *   so each request starts in the interpreter. Callbacks of the FFI that were made since the checkpoint leak. */

/* Collects all garbage, and then makes the state's present its base (hk_arena_checkpoint). Garbage would be kept for
 * ever, and a collection that was under way would go on in each request and write to every object. */
HK_API hk_status hk_lua_checkpoint(lua_State *L);
/* Goes back to the newest checkpoint. L is as it was then, its stack too. */
HK_API hk_status hk_lua_rollback(lua_State *L);
/* The same, and then calls math.randomseed(seed) as the base has it, so that requests do not all draw the same numbers;
 * a seed that nobody can guess is the caller's affair. If there is no such function, or it fails, the state is rewound,
 * and the status is HK_ERR_UNSUPPORTED. */
HK_API hk_status hk_lua_rollback_seed(lua_State *L, uint64_t seed);

/* ---- Pools: warm states for many threads ---------------------------------------------------------------------------
 *
 * A pool holds states that are all made alike: an arena, a state, and the application that a function of yours loads
 * into it; then a checkpoint. Take one for a request, use it, and give it back, whereupon it is rewound for the next
 * request. Any thread may call any function of a pool at any time, but for hk_lua_pool_destroy, which comes last. No
 * lock is held while a state is warmed up, used, rewound or closed.
 *
 * A state that was taken belongs to its taker until it is given back: one thread at a time, any thread, and another one
 * may give it back. It is not to be closed; its arena is not to be destroyed; it may be rewound (hk_lua_rollback) in
 * between, but a new checkpoint would be there for all its later takers. Hazards are those of rewinding.
 *
 * The pool and its states lie in the process heap and in arenas of their own. A state costs its arena's reserve in
 * address space, which for all of them together must stay below some 1 TiB: at the usual 256 MiB, 4000 states. */
typedef struct hk_lua_pool hk_lua_pool;

/* Prepares a new, empty state: opens libraries, loads the application, sets a limit that is lower than the config's, or
 * higher. It is called as Lua calls C functions, with nothing on the stack: an error may be raised, and what it leaves
 * on the stack is dropped. Any status but HK_OK ends the state, and is what hk_lua_pool_take or hk_lua_pool_create
 * returns. It is called by the thread that needs the state, and may be called by several at once, for different
 * states. */
typedef hk_status (*hk_lua_warm_up)(lua_State *L, void *user_data);
/* Gets the message of an error that a warm-up has raised; it lives until the function returns. By any thread. */
typedef void (*hk_lua_pool_report)(const char *message, void *user_data);

typedef struct hk_lua_pool_config {
    size_t struct_size;           /* sizeof(hk_lua_pool_config) */
    const hk_arena_config *arena; /* for each state; copied. It must have HK_ARENA_REWINDABLE. NULL: rewindable, without
                                   * a limit, alignment 8, named "lua" */
    hk_lua_warm_up warm_up;
    hk_lua_pool_report report; /* NULL: messages go to standard error, a line each */
    void *user_data;           /* handed to both */
    size_t max_states;         /* how many there may be, idle and taken: 1 to 1,000,000 */
    size_t initial_states;     /* how many hk_lua_pool_create makes; the others are made when they are needed */
} hk_lua_pool_config;

#ifdef __cplusplus
#define HK_LUA_POOL_CONFIG_INIT                                                                                        \
    hk_lua_pool_config {                                                                                               \
        sizeof(hk_lua_pool_config), NULL, NULL, NULL, NULL, 0, 0                                                       \
    }
#else
#define HK_LUA_POOL_CONFIG_INIT ((hk_lua_pool_config){.struct_size = sizeof(hk_lua_pool_config)})
#endif

/* Makes a pool and its initial states, and stores it in *pool; the caller owns it until hk_lua_pool_destroy. `config`
 * is not kept. On failure *pool is NULL and nothing is left behind:
 *   HK_ERR_INVALID_ARGUMENT  pool or config is NULL, struct_size is wrong, there is no warm_up, max_states is out of
 *                            its bounds, initial_states is larger, or the arena's config is without
 *                            HK_ARENA_REWINDABLE, has a wrong struct_size, or too long a name;
 *   HK_ERR_NO_MEMORY, _LIMIT the process heap has no memory for the pool itself;
 *   or, where initial states are made, any status of making a state: see hk_lua_pool_take. */
HK_API hk_status hk_lua_pool_create(const hk_lua_pool_config *config, hk_lua_pool **pool);

/* Takes a state, as it was when it was warmed up, and stores it in *L: one that is idle, the one given back last first;
 * else a new one; if there are max_states already, it waits until one is given back or ends. math.randomseed of the
 * state, if it has one, has been called with a seed from the operating system, so that states do not draw the same
 * numbers.
 * On failure *L is NULL, and the pool is as it was before:
 *   HK_ERR_INVALID_ARGUMENT  pool or L is NULL; or the arena's config is not one that hk_arena_create accepts;
 *   HK_ERR_LIMIT, _NO_MEMORY the limit, or the system, does not allow a new state or its checkpoint;
 *   HK_ERR_UNSUPPORTED       this system cannot rewind;
 *   HK_ERR_CALLBACK          warm_up raised an error other than of memory, whose message was reported; or the state's
 *                            math.randomseed did;
 *   or what warm_up has returned. */
HK_API hk_status hk_lua_pool_take(hk_lua_pool *pool, lua_State **L);
/* The same, but it does not wait: HK_ERR_BUSY if max_states are taken or just being made, given back or ended. */
HK_API hk_status hk_lua_pool_try_take(hk_lua_pool *pool, lua_State **L);

/* Gives back a state that was taken, and rewinds it. L is its main thread, with no call active. Takes time in
 * proportion to the pages written since it was taken, and little to the number of states that are taken.
 * HK_ERR_INVALID_ARGUMENT: pool or L is NULL, or the pool has no such state taken: it is given back already, is just
 * being given back by another thread, or is not of this pool. HK_ERR_BUSY: a call is active. After a failure the state
 * is still taken. */
HK_API hk_status hk_lua_pool_give(hk_lua_pool *pool, lua_State *L);
/* Ends a state that was taken, by hk_lua_close, with finalizers: for one whose files or other things outside of its
 * arena are not as its checkpoint believes. A new one may then be made in its place. Failures are as above. */
HK_API hk_status hk_lua_pool_discard(hk_lua_pool *pool, lua_State *L);

/* Ends all states, by hk_lua_close, with finalizers, and the pool. No other thread may be in a function of the pool, or
 * come later. HK_ERR_INVALID_ARGUMENT: pool is NULL. HK_ERR_BUSY: a state is taken, or a thread waits for one; nothing
 * has happened then. */
HK_API hk_status hk_lua_pool_destroy(hk_lua_pool *pool);

typedef struct hk_lua_pool_figures {
    size_t struct_size; /* set it before the call: only that many bytes are written */
    size_t max_states;
    size_t idle_states;
    size_t taken_states;   /* those that are being given back or discarded count until that is done */
    size_t warming_states; /* that are just being made */
    size_t waiting_takes;  /* that wait at this moment */
    size_t peak_states;    /* idle, taken and warming together, at most */
    /* since the pool was made: */
    size_t takes; /* that got a state */
    size_t takes_that_waited;
    size_t warm_ups;
    size_t failed_warm_ups; /* those that ended without a state, for whatever reason */
} hk_lua_pool_figures;

/* HK_ERR_INVALID_ARGUMENT: pool or figures is NULL, or struct_size is smaller than a size_t. */
HK_API hk_status hk_lua_pool_statistics(hk_lua_pool *pool, hk_lua_pool_figures *figures);

/* ---- Either way ------------------------------------------------------------------------------------------------- */

/* The arena of a state, by any of its threads; NULL if its allocator function is not hk_lua_alloc. The arena still
 * belongs to whoever made it, or to the state if that was hk_lua_newstate. */
HK_API hk_arena *hk_lua_arena(lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
