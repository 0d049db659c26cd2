/* module: see module.h. Owns, in each state, one userdata in the registry. Its user values are the table of the records
 * of open arenas, each under its own address, and the object of the arena that the state itself lives in. Its finalizer
 * ends the arenas that other finalizers left open or opened anew: from the beginning of lua_close on, Lua gives no new
 * object a finalizer. */
#include "module.h"

#include <stdarg.h>

typedef struct module_state {
    bool is_over;
} module_state;

enum { OPEN_ARENAS = 1, KEPT_ARENA, USER_VALUES = KEPT_ARENA };

static const char state_key; /* its address is the key in the registry */

static module_state *push_state(lua_State *L) {
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
    return lua_touserdata(L, -1);
}

static int finalize_state(lua_State *L) {
    module_state *state = lua_touserdata(L, 1);
    state->is_over = true;
    (void)lua_getiuservalue(L, 1, OPEN_ARENAS);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        module_arena *arena = lua_touserdata(L, -1);
        if (arena->handle != NULL)
            (void)hk_arena_destroy(arena->handle);
        arena->handle = NULL;
    }
    return 0;
}

/* Within a finalizer, where lua_gc says no more than -1, the state may be being closed: then this would never end. */
static void create_state(lua_State *L) {
    if (lua_gc(L, LUA_GCISRUNNING) < 0)
        (void)module_raise(L, HK_ERR_BUSY, "a finalizer cannot be the first to load this module");
    module_state *state = lua_newuserdatauv(L, sizeof *state, USER_VALUES);
    *state = (module_state){.is_over = false};
    lua_newtable(L);
    (void)lua_setiuservalue(L, -2, OPEN_ARENAS);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalize_state);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

void module_list_arena(lua_State *L) {
    if (push_state(L)->is_over)
        (void)module_raise(L, HK_ERR_BUSY, "the Lua state is being closed");
    (void)lua_getiuservalue(L, -1, OPEN_ARENAS);
    lua_pushvalue(L, -3);
    lua_rawsetp(L, -2, lua_touserdata(L, -1));
    lua_pop(L, 2);
}

/* Takes no memory: finalizers call it. */
void module_unlist_arena(lua_State *L, const module_arena *arena) {
    (void)push_state(L);
    (void)lua_getiuservalue(L, -1, OPEN_ARENAS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, arena);
    lua_pop(L, 2);
}

void module_push_kept_arena(lua_State *L) {
    (void)push_state(L);
    (void)lua_getiuservalue(L, -1, KEPT_ARENA);
    lua_remove(L, -2);
}

void module_keep_arena(lua_State *L) {
    (void)push_state(L);
    lua_pushvalue(L, -2);
    (void)lua_setiuservalue(L, -2, KEPT_ARENA);
    lua_pop(L, 1);
}

int module_raise(lua_State *L, hk_status status, const char *format, ...) {
    luaL_where(L, 1);
    lua_pushfstring(L, "%s: ", hk_status_name(status));
    va_list arguments;
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 3);
    return lua_error(L);
}

void module_check_status(lua_State *L, hk_status status) {
    if (status != HK_OK)
        (void)module_raise(L, status, "%s", hk_status_message(status));
}

/* ---- the module's tables ---- */

/* The order on luaopen_hakmem's stack. */
enum { FUNCTIONS = 1, MODULE, ARENA, ARENA_METHODS, BUFFER, BUFFER_METHODS };

/* Puts the function on top of the stack where its name says (hakmem.i), and pops it. */
static void place(lua_State *L, const char *name) {
    static const struct {
        const char *prefix;
        int metatable;
    } kinds[] = {{"arena_", ARENA}, {"buffer_", BUFFER}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(name, kinds[i].prefix, length) == 0) {
            const char *rest = name + length;
            bool is_metamethod = strncmp(rest, "__", 2) == 0;
            lua_setfield(L, kinds[i].metatable + (is_metamethod ? 0 : 1), rest);
            return;
        }
    }
    lua_setfield(L, MODULE, name);
}

/* Pushes a metatable and the table of methods. */
static void push_kind(lua_State *L, const char *name) {
    (void)luaL_newmetatable(L, name);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable"); /* which keeps scripts from the finalizers */
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
}

static void bind_to_buffers(lua_State *L, const char *metamethod) {
    (void)lua_getfield(L, BUFFER, metamethod);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    lua_pushvalue(L, BUFFER_METHODS);
    lua_pushvalue(L, BUFFER);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, BUFFER, metamethod);
}

int luaopen_hakmem(lua_State *L) {
    luaL_checkversion(L);
    if (push_state(L) == NULL)
        create_state(L);
    lua_settop(L, 0);
    lua_newtable(L);
    luaopen_hakmem_user(L);
    lua_newtable(L);
    push_kind(L, MODULE_ARENA);
    push_kind(L, MODULE_BUFFER);
    for (lua_pushnil(L); lua_next(L, FUNCTIONS) != 0;)
        place(L, lua_tostring(L, -2));
    bind_to_buffers(L, "__index");
    bind_to_buffers(L, "__newindex");
    lua_settop(L, MODULE);
    return 1;
}
