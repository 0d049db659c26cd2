/* lua_memory: how Lua states get their memory from the allocator under test.
 *
 * hakmem is used as its Lua users do: hk_lua_alloc over an arena of one thread at a time, one for each state, when
 * libhakmem_lua.so lies beside libhakmem.so. The others, and hakmem without it, get what lauxlib.c gives: realloc and
 * free, all states from one heap. */
#ifndef HKBENCH_LUA_MEMORY_H
#define HKBENCH_LUA_MEMORY_H

#include "workloads.h"

#include <hakmem.h>
#include <lua.h>

typedef struct lua_memory {
    const allocator *allocator;
    lua_Alloc allocate;
    hk_status (*create_arena)(const hk_arena_config *config, hk_arena **arena); /* NULL: there are no arenas */
    hk_status (*destroy_arena)(hk_arena *arena);
} lua_memory;

/* A state and what is its own. */
typedef struct lua_owner {
    lua_State *state;
    hk_arena *arena; /* NULL if there are none */
} lua_owner;

/* Tells in the result's note how the allocator is reached. */
void lua_memory_choose(const allocator *allocator, lua_memory *memory, run_result *result);
/* The same, and ends the process if hakmem would have to do without arenas. */
void lua_memory_choose_arenas(const allocator *allocator, lua_memory *memory, run_result *result);

/* The arena of a Lua state, without a state yet. */
hk_arena_config lua_arena_config(void);
/* Makes a state with its libraries, and its arena before that. Whatever fails ends the process. */
lua_owner lua_owner_open(const lua_memory *memory);
/* The same over an arena that the caller made, or NULL. */
lua_State *lua_open(const lua_memory *memory, hk_arena *arena);
void lua_owner_close(const lua_memory *memory, const lua_owner *owner);
/* Ends an arena, and the state in it without lua_close. NULL is ignored. */
void lua_end_arena(const lua_memory *memory, hk_arena *arena);

/* The file of a program of bench/lua, by its name, or of any by its path: where an installed hkbench keeps its
 * programs, then in the source tree that this one was built from. Ends the process if there is none. */
void lua_find_program(const char *name, char *path, size_t size);

/* Runs a text; an error ends the process. */
void lua_run_text(lua_State *L, const char *text);
/* Calls a global function without arguments or results; an error ends the process. */
void lua_call_global(lua_State *L, const char *name);

#endif
