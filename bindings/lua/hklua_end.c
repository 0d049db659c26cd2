/* hklua_end: see hklua_end.h. Owns whether the moment has come: set once, by the finalizer or by the exit handler,
 * whichever runs first. One thread. */
#include "hklua_end.h"

#include "hakmem_lua.h"
#include "hklua_heap_map.h"
#include "hklua_options.h"
#include "hklua_statistics.h"

#include <lauxlib.h>
#include <stdlib.h>

static struct {
    hk_arena *arena;
    const hklua_options *options;
    bool has_come;
} end;

static void look_once(void) {
    if (end.has_come)
        return;
    end.has_come = true;
    if (end.options->statistics != HKLUA_STATISTICS_NONE)
        hklua_statistics_take(end.arena);
    if (end.options->heap_map != NULL)
        hklua_heap_map_write(end.arena, end.options);
}

void hklua_end_now(void) {
    if (end.options != NULL)
        look_once();
}

static int look_at_close(lua_State *L) {
    (void)L;
    look_once();
    return 0;
}

static void look_and_print_at_exit(void) {
    look_once();
    if (end.options->statistics != HKLUA_STATISTICS_NONE)
        hklua_statistics_print(end.options->statistics);
}

/* Lua runs finalizers in the reverse order of their making, and frees nothing before the last of them: this userdata is
 * made first. It stays on the stack and not in the registry, where scripts could reach it. */
int hklua_end_arrange(lua_State *L) {
    end.options = lua_touserdata(L, 1);
    (void)lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, look_at_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    end.arena = hk_lua_arena(L);
    if (atexit(look_and_print_at_exit) != 0)
        return luaL_error(L, "too many exit handlers");
    return 1;
}
