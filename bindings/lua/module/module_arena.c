/* module_arena: arenas and their ends. See module.h. */
#include "module.h"

/* Pushes an arena object, and then its record, closed so far. */
static module_arena *push_arena(lua_State *L) {
    module_arena **object = lua_newuserdatauv(L, sizeof *object, 1);
    module_arena *arena = lua_newuserdatauv(L, sizeof *arena, 0);
    *arena = (module_arena){.handle = NULL};
    *object = arena;
    lua_pushvalue(L, -1);
    (void)lua_setiuservalue(L, -3, 1);
    lua_pushvalue(L, -2);
    luaL_setmetatable(L, MODULE_ARENA);
    lua_pop(L, 1);
    return arena;
}

/* The objects come first: when they cannot be had, there is no arena yet that would leak. Arenas that nobody can reach
 * any more hold address space, which the collector does not see: if there is none left, it is called. */
module_results module_new_arena(lua_State *L, const hk_arena_config *config) {
    module_arena *arena = push_arena(L);
    module_list_arena(L);
    lua_pop(L, 1); /* the object is the result */
    hk_status status = hk_arena_create(config, &arena->handle);
    if (status == HK_ERR_NO_MEMORY) {
        (void)lua_gc(L, LUA_GCCOLLECT);
        status = hk_arena_create(config, &arena->handle);
    }
    if (status != HK_OK)
        module_unlist_arena(L, arena);
    if (status == HK_ERR_INVALID_ARGUMENT)
        return module_raise(L, status, "a limit is 1K at least, or 0 for none; a reserve is 1024G at most");
    module_check_status(L, status);
    return 1;
}

/* What lies at the state's own address tells more than its allocator function: a host may have one of its own that
 * takes memory from an arena. */
module_results module_this_state(lua_State *L) {
    module_push_kept_arena(L);
    if (!lua_isnil(L, -1))
        return 1;
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    hk_arena *handle = hk_arena_of(lua_topointer(L, -1));
    if (handle == NULL || handle == hk_arena_default()) {
        lua_pushnil(L);
        lua_pushstring(L, handle == NULL ? "this state does not live in an arena of hakmem's"
                                         : "this state lives in the process heap, with everything else");
        return 2;
    }
    module_arena *arena = push_arena(L);
    lua_pop(L, 1);
    *arena = (module_arena){.handle = handle, .is_of_state = true};
    module_keep_arena(L);
    return 1;
}

static void refuse_own_arena(lua_State *L, const module_arena *arena, const char *what) {
    if (arena->is_of_state)
        (void)module_raise(L, HK_ERR_BUSY, "the running state lives in this arena, which it cannot %s", what);
}

void module_arena_reset(lua_State *L, module_arena *open_arena) {
    refuse_own_arena(L, open_arena, "reset");
    module_check_status(L, hk_arena_reset(open_arena->handle));
}

static void check_rewind_status(lua_State *L, hk_status status) {
    if (status == HK_ERR_UNSUPPORTED)
        (void)module_raise(L, status, "the arena was not made with rewindable = true");
    if (status == HK_ERR_INVALID_ARGUMENT)
        (void)module_raise(L, status, "there was no checkpoint to go back to");
    module_check_status(L, status);
}

void module_arena_checkpoint(lua_State *L, module_arena *open_arena) {
    refuse_own_arena(L, open_arena, "take as a base; its host can (hk_lua_checkpoint)");
    check_rewind_status(L, hk_arena_checkpoint(open_arena->handle));
}

void module_arena_rollback(lua_State *L, module_arena *open_arena) {
    refuse_own_arena(L, open_arena, "roll back; its host can (hk_lua_rollback)");
    check_rewind_status(L, hk_arena_rollback(open_arena->handle));
}

/* Takes no memory of Lua's. */
void module_arena___gc(lua_State *L, module_arena *any_arena) {
    if (any_arena->handle == NULL || any_arena->is_of_state)
        return;
    (void)hk_arena_destroy(any_arena->handle);
    any_arena->handle = NULL;
    module_unlist_arena(L, any_arena);
}

void module_arena_close(lua_State *L, module_arena *any_arena) {
    refuse_own_arena(L, any_arena, "close");
    module_arena___gc(L, any_arena);
}

module_results module_arena___tostring(lua_State *L, module_arena *any_arena) {
    if (any_arena->handle == NULL)
        lua_pushliteral(L, MODULE_ARENA " (closed)");
    else
        lua_pushfstring(L, MODULE_ARENA " \"%s\"", hk_arena_name(any_arena->handle));
    return 1;
}
