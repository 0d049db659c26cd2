/* The Lua module "hakmem": which functions of hakmem.h it offers under which names, what it adds, and how Lua's values
 * and C's become each other. SWIG writes a function for Lua from each declaration here; module.c gives them out:
 * "arena_NAME" is the method NAME of arenas, "buffer_NAME" of buffers, where NAME begins with two underscores it is a
 * metamethod, and everything else is a function of the module.
 *
 * Arenas and buffers are not SWIG's objects but module.h's: SWIG's hold a pointer to what may be gone, and it reads any
 * userdata as its own. So its types are not used, and its start (SWIG_init) is never called: that would write to _G,
 * and to lists that all states of a process share. No function ends through SWIG's `fail`: it raises errors at once.
 */
%module hakmem

%{
#include "module.h"

#undef SWIG_init
#define SWIG_init module_swig_start_that_nobody_calls

/* Too many arguments are an error; what is missing, the typemaps tell. Lua gives metamethods more than they need. */
#undef SWIG_check_num_args
#define SWIG_check_num_args(name, least, most) \
    module_check_argument_count(L, strstr(name, "___") == NULL ? most : INT_MAX);
%}

/* ---- Lua to C ---- */

%typemap(in) hk_arena *arena, const hk_arena *arena "$1 = module_check_open_arena(L, $input)->handle;"
%typemap(in) module_arena *open_arena "$1 = module_check_open_arena(L, $input);"
%typemap(in) module_arena *any_arena "$1 = module_check_arena(L, $input);"
%typemap(in) module_buffer *live_buffer "$1 = module_check_live_buffer(L, $input);"
%typemap(in) module_buffer *any_buffer "$1 = module_check_buffer(L, $input);"

%typemap(in) size_t "$1 = module_check_size(L, $input);"
%typemap(in) const void *pointer "$1 = ($1_ltype)module_check_address(L, $input);"
%typemap(in) (const char *text, size_t length) "$1 = ($1_ltype)module_check_string(L, $input, &$2);"
%typemap(in) const char *path "$1 = ($1_ltype)module_check_path(L, $input);"
%typemap(in) module_function visitor "$1 = module_check_function(L, $input);"
%typemap(in) const lua_Integer *optional_position (lua_Integer position)
    "$1 = ($1_ltype)module_check_optional_position(L, $input, &position);"
%typemap(in) const hk_arena_config *config (hk_arena_config config)
    "module_check_config(L, $input, &config); $1 = &config;"

/* ---- C to Lua ---- */

%typemap(out) hk_status "module_check_status(L, $1);"
%typemap(out) hk_status hk_arena_check "module_check_status(L, $1); lua_pushboolean(L, 1); SWIG_arg++;"
%typemap(out) hk_status hk_arena_set_limit {
    if ($1 == HK_ERR_INVALID_ARGUMENT)
        (void)module_raise(L, $1, "a limit is 1K at least, or 0 for none");
    module_check_status(L, $1);
}
%typemap(out) size_t, uintptr_t "lua_pushinteger(L, (lua_Integer)$1); SWIG_arg++;"
%typemap(out) const char * "lua_pushstring(L, $1); SWIG_arg++;"
%typemap(out) module_results "SWIG_arg += $1;" /* how many values the function has pushed */

%typemap(in, numinputs=0) hk_statistics *statistics (hk_statistics statistics)
    "statistics.struct_size = sizeof statistics; $1 = &statistics;"
%typemap(argout) hk_statistics *statistics "module_push_statistics(L, $1); SWIG_arg++;"
%typemap(in, numinputs=0) hk_pointer_info *info (hk_pointer_info info)
    "info.struct_size = sizeof info; $1 = &info;"
%typemap(argout) hk_pointer_info *info "module_push_pointer_info(L, $1); SWIG_arg++;"

/* ---- What comes from hakmem.h as it is ---- */

%rename("$ignore") "";
%rename(version) hk_version;
%rename(purge) hk_purge;
%rename(good_size) hk_good_size;
%rename(classify) hk_classify;
%rename(arena_name) hk_arena_name;
%rename(arena_limit) hk_arena_limit;
%rename(arena_set_limit) hk_arena_set_limit;
%rename(arena_trim) hk_arena_trim;
%rename(arena_check) hk_arena_check;
%rename(arena_statistics) hk_arena_statistics;
%include <hakmem.h>
%rename("%(strip:[module_])s") "";
%rename(arena) module_new_arena;

/* ---- What has to know of the module's objects (module.h) ---- */

module_results module_new_arena(lua_State *L, const hk_arena_config *config);
module_results module_this_state(lua_State *L);

module_results module_arena_buffer(lua_State *L, module_arena *open_arena, size_t size_bytes);
void module_arena_walk(lua_State *L, module_arena *open_arena, module_function visitor);
void module_arena_map(lua_State *L, hk_arena *arena, const char *path);
void module_arena_reset(lua_State *L, module_arena *open_arena);
void module_arena_checkpoint(lua_State *L, module_arena *open_arena);
void module_arena_rollback(lua_State *L, module_arena *open_arena);
void module_arena_close(lua_State *L, module_arena *any_arena);
void module_arena___gc(lua_State *L, module_arena *any_arena);
module_results module_arena___tostring(lua_State *L, module_arena *any_arena);
%inline %{
/* A scope ends, and with it what it opened: not the arena that the state lives in. */
static void module_arena___close(lua_State *L, module_arena *any_arena) {
    if (!any_arena->is_of_state)
        module_arena___gc(L, any_arena);
}
%}

module_results module_buffer_read(lua_State *L, module_buffer *live_buffer, const lua_Integer *optional_position,
                                  const lua_Integer *optional_position);
module_results module_buffer_write(lua_State *L, module_buffer *live_buffer, const char *text, size_t length,
                                   const lua_Integer *optional_position);
void module_buffer_close(module_buffer *any_buffer);
module_results module_buffer___tostring(lua_State *L, module_buffer *any_buffer);
%inline %{
static uintptr_t module_buffer_address(module_buffer *live_buffer) {
    return (uintptr_t)live_buffer->bytes;
}

static size_t module_buffer___len(module_buffer *live_buffer) {
    return live_buffer->size_bytes;
}

static void module_buffer___close(module_buffer *any_buffer) {
    module_buffer_close(any_buffer);
}

static void module_buffer___gc(module_buffer *any_buffer) {
    module_buffer_close(any_buffer);
}
%}
%native(buffer___index) int module_buffer_index(lua_State *L);
%native(buffer___newindex) int module_buffer_new_index(lua_State *L);

%init %{
    luaL_setfuncs(L, swig_SwigModule_methods, 0);
%}
