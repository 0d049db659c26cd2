/* States that end, and go back, with arenas and buffers in every condition. */
#include "arena_count.h"
#include "module_state.h"

#include <hakmem_lua.h>

static const char *const scripts[] = {
    /* what is alive when the state is closed */
    "hakmem = require('hakmem')",
    "a = require('hakmem').arena()",
    "b = require('hakmem').arena():buffer(10)",
    "local h = require('hakmem') for i = 1, 100 do _G[i] = h.arena():buffer(i) end",
    "local h = require('hakmem') for i = 1, 100 do _G[i] = {h.arena(), 1}; _G[i][2] = _G[i][1]:buffer(i) end",
    "a = require('hakmem').arena({hardened = true}) b = a:buffer(100)",
    "a = require('hakmem').arena({rewindable = true}) b = a:buffer(100) a:checkpoint() c = a:buffer(10) b:close()",
    "a = require('hakmem').arena() b = a:buffer(1) a:close()",
    "a = require('hakmem').arena() b = a:buffer(1) a:reset() c = a:buffer(1)",
    "s = require('hakmem').this_state() if s then s:walk(function() end) s:statistics() end",
    "h = require('hakmem') package.loaded.hakmem = nil g = require('hakmem') a = h.arena() b = g.arena():buffer(1)",
    /* scopes that never end */
    "c = coroutine.create(function() local a <close> = require('hakmem').arena() local b <close> = a:buffer(9)\n"
    "    coroutine.yield() end) coroutine.resume(c)",
    "c = coroutine.wrap(function() require('hakmem').arena():walk(function() end) coroutine.yield() end) c()",
    /* finalizers older than the module: by then all of its objects have ended */
    "setmetatable({}, {__gc = function() b:read() end}) h = require('hakmem') b = h.arena():buffer(10)",
    "setmetatable({}, {__gc = function() b[1] = 1 end}) h = require('hakmem') b = h.arena():buffer(10)",
    "setmetatable({}, {__gc = function() a:buffer(10) end}) h = require('hakmem') a = h.arena()",
    "setmetatable({}, {__gc = function() a:close() b:close() print(a, b) end}) h = require('hakmem')\n"
    "    a = h.arena() b = a:buffer(1) function print(...) return #tostring(...) end",
    "setmetatable({}, {__gc = function() k = h.arena() k2 = k:buffer(1) end}) h = require('hakmem')",
    "setmetatable({}, {__gc = function() k = require('hakmem').arena() end})",
    "setmetatable({}, {__gc = function() package.loaded.hakmem = nil k = require('hakmem').arena() end})\n"
    "    require('hakmem')",
    "setmetatable({}, {__gc = function() s = h.this_state() if s then s:limit() end end}) h = require('hakmem')",
    "setmetatable({}, {__gc = function() if s then s:walk(function() end) end end}) s = require('hakmem').this_state()",
    /* and younger: the module works, but Lua gives nothing a finalizer any more */
    "h = require('hakmem') setmetatable({}, {__gc = function() k = h.arena() k2 = k:buffer(1) k2[1] = 1 end})",
    "h = require('hakmem') setmetatable({}, {__gc = function() for i = 1, 50 do h.arena():buffer(i) end end})",
    "h = require('hakmem') a = h.arena() setmetatable({}, {__gc = function() b = a:buffer(1) a:close() end})",
    "h = require('hakmem') setmetatable({}, {__gc = function() s = h.this_state() if s then s:check() end end})",
    "h = require('hakmem') a = h.arena() b = a:buffer(9) setmetatable({}, {__gc = function() a:reset() b:read() end})",
    "h = require('hakmem') a = h.arena() setmetatable({}, {__gc = function() a:walk(error) error('x') end})",
    /* objects whose finalizers run between those of others */
    "h = require('hakmem') for i = 1, 20 do local a = h.arena() local b = a:buffer(i)\n"
    "    _G[i] = setmetatable({}, {__gc = function() b[1] = 1 a:buffer(3) b:close() a:close() a:close() end}) end",
};
enum { SCRIPTS = sizeof scripts / sizeof *scripts };

Test(module_ends, states_on_malloc) {
    for (int i = 0; i < SCRIPTS; i++) {
        lua_State *L = luaL_newstate();
        open_libraries(L);
        run(L, scripts[i]);
        lua_close(L);
        cr_assert_eq(arena_count, 0, "%d arenas are left by: %s", arena_count, scripts[i]);
    }
}

Test(module_ends, states_that_collect_before) {
    for (int i = 0; i < SCRIPTS; i++) {
        lua_State *L = luaL_newstate();
        open_libraries(L);
        run(L, scripts[i]);
        run(L, "for k, v in pairs(_G) do if type(v) == 'userdata' or type(k) == 'number' then _G[k] = nil end end\n"
               "c = nil collectgarbage() collectgarbage()");
        lua_close(L);
        cr_assert_eq(arena_count, 0, "%d arenas are left by: %s", arena_count, scripts[i]);
    }
}

/* An arena that outlives its state shows each block that the state left. */
Test(module_ends, states_in_arenas) {
    hk_arena *arena;
    cr_assert_eq(hk_arena_create(NULL, &arena), HK_OK);
    for (int i = 0; i < SCRIPTS; i++) {
        lua_State *L = lua_newstate(hk_lua_alloc, arena);
        open_libraries(L);
        run(L, scripts[i]);
        lua_close(L);
        cr_assert_eq(arena_count, 1, "%d arenas are left by: %s", arena_count - 1, scripts[i]);
        hk_statistics figures = {.struct_size = sizeof figures};
        cr_assert_eq(hk_arena_statistics(arena, &figures), HK_OK);
        cr_assert_eq(figures.live_blocks, 0, "%zu blocks are left by: %s", figures.live_blocks, scripts[i]);
        cr_assert_eq(hk_arena_check(arena), HK_OK);
    }
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(module_ends, this_state_is_what_the_state_lives_in) {
    lua_State *own = hk_lua_newstate(NULL), *other = luaL_newstate();
    open_libraries(own);
    open_libraries(other);
    run(own, "s = require('hakmem').this_state() assert(s:name() == 'lua' and s:statistics().live_blocks > 100)\n"
             "assert(coroutine.wrap(require('hakmem').this_state)() == s)");
    run(other, "assert(require('hakmem').this_state() == nil)");
    cr_assert_eq(hk_arena_set_limit(hk_lua_arena(own), 8 << 20), HK_OK);
    run(own, "assert(s:limit() == 8 << 20) s:set_limit('16M')");
    cr_assert_eq(hk_arena_limit(hk_lua_arena(own)), 16 << 20);
    hk_lua_close(own);
    lua_close(other);
    cr_assert_eq(arena_count, 0);
}

static void *allocate_in_process_heap(void *user_data, void *pointer, size_t old_size, size_t new_size) {
    (void)user_data;
    (void)old_size;
    return hk_realloc(pointer, new_size != 0 || pointer != NULL ? new_size : 0);
}

/* There, figures and limit would be everybody's. */
Test(module_ends, this_state_is_nil_in_the_process_heap) {
    lua_State *L = lua_newstate(allocate_in_process_heap, NULL);
    open_libraries(L);
    run(L, "local s, reason = require('hakmem').this_state() assert(s == nil)\n"
           "assert(reason == 'this state lives in the process heap, with everything else')");
    lua_close(L);
}

Test(module_ends, states_go_back_with_the_module_loaded) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_REWINDABLE;
    config.reserve_bytes = 64 << 20;
    lua_State *L = hk_lua_newstate(&config);
    open_libraries(L);
    run(L, "h = require('hakmem') a = h.arena({name = 'base'}) b = a:buffer(10) b[1] = 7 d = a:buffer(9) s = "
           "h.this_state()");
    cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
    for (int i = 0; i < 10; i++) {
        run(L, "assert(k == nil and a:name() == 'base' and #b == 10 and s == h.this_state())\n"
               "local c <close> = h.arena() k = c:buffer(10) b[1] = 9 k2 = a:buffer(10)\n"
               "package.loaded.hakmem = nil require('hakmem').arena():close() collectgarbage()");
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert_eq(hk_arena_check(hk_lua_arena(L)), HK_OK);
    }
    /* Other arenas do not go back with the state: what was closed stays closed, and its block may be another's. */
    run(L, "assert(b[1] == 9) d:close() e = a:buffer(9) e[1] = 3");
    cr_assert_eq(hk_lua_rollback(L), HK_OK);
    run(L, "local ok, message = pcall(function() return d[1] end)\n"
           "assert(not ok and message:find('use of a buffer that ended', 1, true), message)");
    hk_lua_close(L);
    cr_assert_eq(arena_count, 0);
}
