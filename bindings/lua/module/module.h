/* module: the Lua module "hakmem", as far as it is not made by SWIG from hakmem.i.
 *
 * Its objects are userdata of two kinds, whose records lie in the userdata itself, so that a record is there as long as
 * Lua can reach the object, in whatever order finalizers run:
 *   arena   a handle, and the list of its live buffers; or, in its own record, the arena that the running state lives in
 *   buffer  a block of an arena. Its user value is the arena's userdata: a buffer keeps its arena alive.
 *
 * Invariants:
 *   arena->handle == NULL  <=>  it is closed  =>  its list is empty
 *   buffer->bytes != NULL  <=>  it is live    <=>  it is in its arena's list, and its block is live in that arena
 *   the list of a state's arenas (module.c) holds those that are open
 * Closing, resetting and rolling back an arena end its buffers one by one, so that a use afterwards finds that in the
 * buffer's own record. Each list may be touched in any call that can collect garbage: finalizers run any Lua code. What
 * was looked up before such a call is looked up again behind it.
 *
 * Under the state's own rule, one thread at a time. Nothing here is shared by states. */
#ifndef HAKMEM_LUA_MODULE_H
#define HAKMEM_LUA_MODULE_H

#include <hakmem.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <string.h>

typedef struct module_buffer module_buffer;

typedef struct module_arena {
    hk_arena *handle;
    bool is_of_state;       /* the running state lives in it: it is not ours to end */
    module_buffer *buffers; /* list of the live ones */
    struct module_arena *next, **link;
} module_arena;

struct module_buffer {
    unsigned char *bytes;
    size_t size_bytes;
    module_arena *arena;
    const char *end; /* what ended it, NULL for a live one: static storage */
    bool is_in_base; /* it was live at its arena's newest checkpoint */
    module_buffer *next, **link;
};

#define MODULE_ARENA "hakmem.arena" /* names of the metatables, which error messages show */
#define MODULE_BUFFER "hakmem.buffer"

typedef int module_results;  /* of functions: how many values they have pushed */
typedef int module_function; /* an argument: the index on the stack of a function */

/* ---- module.c ---- */

HK_API int luaopen_hakmem(lua_State *L);
/* In the code that SWIG writes: puts each of its functions into the table on top of the stack. */
void luaopen_hakmem_user(lua_State *L);

/* Raises "HK_ERR_...: " and a sentence; the format is lua_pushfstring's. */
int module_raise(lua_State *L, hk_status status, const char *format, ...);
/* Raises any status but HK_OK with its own sentence. */
void module_check_status(lua_State *L, hk_status status);

/* Puts an arena that is about to be open into the list of the state's, or takes it out. Raises an error when the state is
 * being closed, before anything is done. */
void module_list_arena(lua_State *L, module_arena *arena);
void module_unlist_arena(module_arena *arena);
/* Pushes the arena object of the state's own arena, or nil if it was not made yet; and keeps the one on top of the stack. */
void module_push_kept_arena(lua_State *L);
void module_keep_arena(lua_State *L);

/* ---- module_arguments.c: each raises an error that says what is wrong with argument `index` ---- */

void module_check_argument_count(lua_State *L, int most);
module_arena *module_check_arena(lua_State *L, int index);
module_arena *module_check_open_arena(lua_State *L, int index);
module_buffer *module_check_buffer(lua_State *L, int index);
module_buffer *module_check_live_buffer(lua_State *L, int index);
/* Raises the error for a buffer that is not live. */
int module_raise_ended_buffer(lua_State *L, const module_buffer *buffer);

/* An integer, also one written as 3.0, or a string like "4M", "1G" or "512K". */
size_t module_check_size(lua_State *L, int index);
/* An integer, or a live buffer; negative integers are the addresses that have the same bits. */
const void *module_check_address(lua_State *L, int index);
/* NULL if there is no argument or nil; else its value is in *position. */
const lua_Integer *module_check_optional_position(lua_State *L, int index, lua_Integer *position);
const char *module_check_string(lua_State *L, int index, size_t *length);
const char *module_check_path(lua_State *L, int index);
module_function module_check_function(lua_State *L, int index);
/* A table of limit, name, hardened, rewindable, alignment, reserve, or nothing. The name points into the table. */
void module_check_config(lua_State *L, int index, hk_arena_config *config);

/* ---- module_arena.c ---- */

module_results module_new_arena(lua_State *L, const hk_arena_config *config);
/* The arena that the running state lives in; or nil, and why there is none. */
module_results module_this_state(lua_State *L);
void module_arena_reset(lua_State *L, module_arena *open_arena);
void module_arena_checkpoint(lua_State *L, module_arena *open_arena);
void module_arena_rollback(lua_State *L, module_arena *open_arena);
void module_arena_close(lua_State *L, module_arena *any_arena);
void module_arena___gc(module_arena *any_arena);
module_results module_arena___tostring(lua_State *L, module_arena *any_arena);

/* ---- module_buffer.c ---- */

module_results module_arena_buffer(lua_State *L, module_arena *open_arena, size_t size_bytes);
module_results module_buffer_read(lua_State *L, const module_buffer *live_buffer, const lua_Integer *first,
                                  const lua_Integer *last);
module_results module_buffer_write(lua_State *L, module_buffer *live_buffer, const char *text, size_t length,
                                   const lua_Integer *first);
void module_buffer_close(module_buffer *any_buffer);
module_results module_buffer___tostring(lua_State *L, const module_buffer *any_buffer);
/* lua_CFunctions: buffer[key] and buffer[key] = value. Upvalues: the methods of buffers, and their metatable. */
int module_buffer_index(lua_State *L);
int module_buffer_new_index(lua_State *L);

/* Takes a buffer out of its arena's list; `end` says what ended it. The block is the caller's affair. */
void module_buffer_end(module_buffer *buffer, const char *end);

/* ---- module_report.c ---- */

void module_push_statistics(lua_State *L, const hk_statistics *statistics);
void module_push_pointer_info(lua_State *L, const hk_pointer_info *info);
/* Calls the visitor with address and size of each block, until it returns false. */
void module_arena_walk(lua_State *L, module_arena *open_arena, module_function visitor);
void module_arena_map(lua_State *L, hk_arena *arena, const char *path);

#endif
