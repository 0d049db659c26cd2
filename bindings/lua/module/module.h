/* module: the Lua module "hakmem", as far as it is not made by SWIG from hakmem.i.
 *
 * Its objects are userdata of two kinds:
 *   arena   leads to a record with the handle, in a userdata of its own, which the state's table of open arenas holds
 *           until the arena is closed. Or to the record of the arena that the running state lives in.
 *   buffer  a block of an arena. It holds the arena object (as its user value), and so keeps the arena alive.
 *
 * Lua may lose a finalizer: when there is no memory to call it, or for objects made while the state is being closed.
 * So nothing leads from C into an object: an arena has no list of its buffers. Instead each block carries, behind
 * its bytes, a number that no other buffer has had, and a use of a buffer begins with two questions: is a block live at
 * this address in this arena (hk_classify, which takes any), and does it carry the buffer's number? That answers for
 * arenas that were reset, rolled back and filled anew, since the number goes back with the block; and for states that
 * their host has rolled back.
 *
 * Finalizers run any Lua code. What was looked up before a call that can collect garbage is looked up again behind it.
 * Under the state's own rule, one thread at a time. States share nothing but the counter of buffers. */
#ifndef HAKMEM_LUA_MODULE_H
#define HAKMEM_LUA_MODULE_H

#include <hakmem.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <string.h>

typedef struct module_arena {
    hk_arena *handle; /* NULL: closed */
    bool is_of_state; /* the running state lives in it: it is not ours to end */
} module_arena;

typedef struct module_buffer {
    unsigned char *bytes; /* NULL: closed; size_bytes of them, and then the number */
    size_t size_bytes;
    uint64_t number;
    module_arena *arena;
} module_buffer;

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

/* Puts the record on top of the stack into the table of open arenas, before it is open, or takes it out. Raises an
 * error when the state is being closed. */
void module_list_arena(lua_State *L);
void module_unlist_arena(lua_State *L, const module_arena *arena);
/* Pushes the object of the state's own arena, or nil if it was not made yet; and keeps the one on top of the stack. */
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
/* A table of limit, name, hardened, rewindable, alignment, reserve, or nothing. Pushes the name, if there is one. */
void module_check_config(lua_State *L, int index, hk_arena_config *config);

/* ---- module_arena.c ---- */

module_results module_new_arena(lua_State *L, const hk_arena_config *config);
/* The arena that the running state lives in; or nil, and why there is none. */
module_results module_this_state(lua_State *L);
void module_arena_reset(lua_State *L, module_arena *open_arena);
void module_arena_checkpoint(lua_State *L, module_arena *open_arena);
void module_arena_rollback(lua_State *L, module_arena *open_arena);
void module_arena_close(lua_State *L, module_arena *any_arena);
void module_arena___gc(lua_State *L, module_arena *any_arena);
module_results module_arena___tostring(lua_State *L, module_arena *any_arena);

/* ---- module_buffer.c ---- */

module_results module_arena_buffer(lua_State *L, module_arena *open_arena, size_t size_bytes);
module_results module_buffer_read(lua_State *L, const module_buffer *live_buffer, const lua_Integer *first,
                                  const lua_Integer *last);
module_results module_buffer_write(lua_State *L, module_buffer *live_buffer, const char *text, size_t length,
                                   const lua_Integer *first);
void module_buffer_close(module_buffer *any_buffer);
module_results module_buffer___tostring(lua_State *L, const module_buffer *any_buffer);
bool module_buffer_is_live(const module_buffer *buffer);
/* lua_CFunctions: buffer[key] and buffer[key] = value. Upvalues: the methods of buffers, and their metatable. */
int module_buffer_index(lua_State *L);
int module_buffer_new_index(lua_State *L);

/* ---- module_report.c ---- */

void module_push_statistics(lua_State *L, const hk_statistics *statistics);
void module_push_pointer_info(lua_State *L, const hk_pointer_info *info);
/* Calls the visitor with address and size of each block, until it returns false. */
void module_arena_walk(lua_State *L, module_arena *open_arena, module_function visitor);
void module_arena_map(lua_State *L, hk_arena *arena, const char *path);

#endif
