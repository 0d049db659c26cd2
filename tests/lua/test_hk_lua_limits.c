/* States under a limit: what does not fit is Lua's own memory error, and state and arena stay whole. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lua_versions.h"

static const char greedy_script[] = "local t = {} for i = 1, 1e8 do t[i] = {i} end";
static const char modest_script[] = "local t = {} for i = 1, 100 do t[i] = ('x'):rep(i) end return #table.concat(t)";
/* Garbage of many sizes, little of it alive at a time: it fits where garbage is collected in time. */
static const char wasteful_script[] =
    "local keep = {}\n"
    "for i = 1, 3000 do\n"
    "    keep[i % 20] = {i, tostring(i), function() return keep end, ('y'):rep(i % 300)}\n"
    "    if i % 50 == 0 then coroutine.wrap(function() coroutine.yield(i) end)() end\n"
    "end\n"
    "return #keep";

static size_t held_bytes(hk_arena *arena) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    return totals.held_bytes;
}

static size_t peak_held_bytes(hk_arena *arena) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    return totals.peak_held_bytes;
}

static lua_State *new_state_with_room(size_t room_bytes) {
    lua_State *L = hk_lua_newstate(NULL);
    cr_assert_not_null(L);
    luaL_openlibs(L);
    hk_arena *arena = hk_lua_arena(L);
    cr_assert_eq(hk_arena_set_limit(arena, held_bytes(arena) + room_bytes), HK_OK);
    return L;
}

/* Since 5.2 Lua collects when it is refused memory; before, what was refused left its garbage there. */
static void collect_if_lua_does_not(lua_State *L) {
    if (LUA_VERSION_NUM < 502)
        (void)lua_gc(L, LUA_GCCOLLECT, 0);
}

static void assert_modest_script_runs(lua_State *L) {
    int status = luaL_dostring(L, modest_script);
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    cr_assert_eq(lua_tointeger(L, -1), 5050);
    lua_settop(L, 0);
}

Test(limit, is_a_memory_error_and_the_state_lives_on) {
    lua_State *L = new_state_with_room(1 << 20);
    hk_arena *arena = hk_lua_arena(L);
    for (int round = 0; round < 5; round++) {
        cr_assert_eq(luaL_loadstring(L, greedy_script), LUA_OK);
        cr_assert_eq(lua_pcall(L, 0, 0, 0), LUA_ERRMEM);
        cr_assert_str_eq(lua_tostring(L, -1), "not enough memory");
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        lua_settop(L, 0);
        cr_assert_eq(hk_arena_check(arena), HK_OK);
        collect_if_lua_does_not(L);
        assert_modest_script_runs(L);
    }
    cr_assert_leq(peak_held_bytes(arena), hk_arena_limit(arena));
    hk_lua_close(L);
}

Test(limit, is_caught_by_pcall_and_in_coroutines) {
    lua_State *L = new_state_with_room(1 << 20);
    int status = luaL_dostring(L, "local function greedy() local t = {} for i = 1, 1e8 do t[i] = {} end end\n"
                                  "local ok, message = pcall(greedy)\n"
                                  "assert(not ok and message == 'not enough memory')\n"
                                  "collectgarbage()\n"
                                  "local co = coroutine.create(greedy)\n"
                                  "ok, message = coroutine.resume(co)\n"
                                  "assert(not ok and message == 'not enough memory')\n"
                                  "co = nil collectgarbage()\n"
                                  "ok, message = pcall(string.rep, 'x', 2 ^ 30)\n"
                                  "assert(not ok and message:find('^not enough memory'))\n"
                                  "return collectgarbage('count')");
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    hk_lua_close(L);
}

Test(limit, below_what_is_held_stops_growth_only) {
    lua_State *L = new_state_with_room(0);
    hk_arena *arena = hk_lua_arena(L);
    cr_assert_eq(hk_arena_set_limit(arena, 1024), HK_OK);
    int status = luaL_loadstring(L, greedy_script);
    cr_assert_eq(status == LUA_OK ? lua_pcall(L, 0, 0, 0) : status, LUA_ERRMEM);
    lua_settop(L, 0);
    cr_assert_eq(hk_arena_set_limit(arena, 0), HK_OK);
    assert_modest_script_runs(L);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    hk_lua_close(L);
}

Test(limit, never_fails_a_shrink) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    hk_arena *arena;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    static const size_t sizes[] = {24, 100, 1000, 1025, 5000, 17000, 70000, 300000, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_eq(hk_arena_set_limit(arena, 0), HK_OK);
        unsigned char *block = hk_lua_alloc(arena, NULL, 0, sizes[i]);
        cr_assert_not_null(block);
        memset(block, 0x5a, sizes[i]);
        cr_assert_eq(hk_arena_set_limit(arena, 1024), HK_OK);
        for (size_t size = sizes[i], next; size > 1; size = next) {
            next = size - (size + 2) / 3;
            block = hk_lua_alloc(arena, block, size, next);
            cr_assert_not_null(block, "from %zu to %zu", size, next);
            cr_assert_eq(block[0], 0x5a);
            cr_assert_eq(block[next - 1], 0x5a);
            if (next == 1)
                cr_assert_null(hk_lua_alloc(arena, block, next, 0));
        }
        cr_assert_eq(hk_arena_check(arena), HK_OK);
    }
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(limit, too_small_for_a_state) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    for (size_t limit = 1024; limit <= 3 * 1024; limit += 512) {
        config.limit_bytes = limit;
        cr_assert_null(hk_lua_newstate(&config), "a limit of %zu", limit);
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    }
}

static int run_script(lua_State *L) {
    luaL_openlibs(L);
    if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

/* Whether the script ended; if it did not, then for want of memory. Either way the books are right. */
static bool runs_within(size_t limit_bytes) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    config.limit_bytes = limit_bytes;
    lua_State *L = hk_lua_newstate(&config);
    if (L == NULL) {
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        return false;
    }
    hk_arena *arena = hk_lua_arena(L);
    int status = call_protected(L, run_script, (void *)(uintptr_t)wasteful_script);
    if (status != LUA_OK) {
        cr_assert_str_eq(lua_tostring(L, -1), "not enough memory", "with %zu: %s", limit_bytes, lua_tostring(L, -1));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    }
    cr_assert_leq(peak_held_bytes(arena), limit_bytes);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    hk_lua_close(L);
    return status == LUA_OK;
}

Test(limit, emergency_collections_at_every_limit) {
    unsigned ended = 0;
    unsigned refused = 0;
    for (size_t limit = 4 * 1024; limit < 160 * 1024; limit += 1024) {
        if (runs_within(limit))
            ended++;
        else
            refused++;
    }
    cr_assert_gt(ended, 0);
    cr_assert_gt(refused, 0);
    cr_assert(runs_within(1 << 20));
}

/* A host may give a request's buffers an arena below that of its state. */
static void end_before_child(void (*close)(lua_State *)) {
    lua_State *L = new_state_with_room(1 << 20);
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *child;
    config.parent = hk_lua_arena(L);
    cr_assert_eq(hk_arena_create(&config, &child), HK_OK);
    char *block = hk_arena_alloc(child, 1000);
    cr_assert_not_null(block);
    close(L);
    memset(block, 1, 1000);
    cr_assert_null(hk_arena_alloc(child, 8 << 20), "the limit is still there");
    cr_assert_eq(hk_arena_destroy(child), HK_OK);
}

Test(limit, bounds_children_of_a_closed_state) {
    for (int i = 0; i < 3; i++) {
        end_before_child(hk_lua_close);
        end_before_child(hk_lua_close_fast);
    }
}
