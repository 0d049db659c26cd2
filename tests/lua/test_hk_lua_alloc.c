/* hk_lua_alloc and the states of hk_lua_newstate: where the memory is, who owns what, and what misuse tells. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <stddef.h>
#include <stdint.h>

#include "lua_versions.h"

static const char busy_script[] =
    "local t = {}\n"
    "for i = 1, 2000 do t[i] = {name = 'n' .. i, f = function() return t[i] end} end\n"
    "local parts = {}\n"
    "for i = 1, 500 do\n"
    "    local co = coroutine.wrap(function(x) parts[#parts + 1] = x; coroutine.yield() end)\n"
    "    co(('x'):rep(i))\n"
    "end\n"
    "return #table.concat(parts)";

static hk_arena *new_arena(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    hk_arena *arena;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    return arena;
}

static size_t live_blocks(hk_arena *arena) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    return totals.live_blocks;
}

static void assert_runs(lua_State *L, const char *script) {
    int status = luaL_dostring(L, script);
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
}

Test(hk_lua_alloc, follows_the_contract_of_lua) {
    hk_arena *arena = new_arena();
    cr_assert_null(hk_lua_alloc(arena, NULL, 0, 0));
    cr_assert_null(hk_lua_alloc(arena, NULL, LUA_TTABLE, 0));
    unsigned char *block = hk_lua_alloc(arena, NULL, LUA_TSTRING, 24);
    cr_assert(hk_arena_owns(arena, block));
    for (unsigned i = 0; i < 24; i++)
        block[i] = (unsigned char)i;
    for (size_t size = 24, next; size < 3000000; size = next) {
        next = size * 3 / 2;
        block = hk_lua_alloc(arena, block, size, next);
        cr_assert_not_null(block);
        block = hk_lua_alloc(arena, block, next, next);
    }
    for (unsigned i = 0; i < 24; i++)
        cr_assert_eq(block[i], i);
    cr_assert_eq(live_blocks(arena), 1);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(hk_lua_alloc, a_state_is_wholly_in_its_arena) {
    hk_arena *arena = new_arena();
    lua_State *L = new_state(hk_lua_alloc, arena);
    cr_assert_not_null(L);
    luaL_openlibs(L);
    cr_assert_eq(hk_arena_of(L), arena);
    cr_assert_eq(hk_lua_arena(L), arena);
    assert_runs(L, busy_script);
    cr_assert_eq(lua_tointeger(L, -1), 500 * 501 / 2);
    size_t counted = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    cr_assert_geq(totals.live_bytes, counted);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    lua_close(L);
    cr_assert_eq(live_blocks(arena), 0);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(hk_lua_alloc, two_states_share_an_arena) {
    hk_arena *arena = new_arena();
    lua_State *first = new_state(hk_lua_alloc, arena);
    lua_State *second = new_state(hk_lua_alloc, arena);
    luaL_openlibs(first);
    luaL_openlibs(second);
    assert_runs(first, busy_script);
    assert_runs(second, busy_script);
    lua_close(first);
    assert_runs(second, busy_script);
    lua_close(second);
    cr_assert_eq(live_blocks(arena), 0);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

typedef struct misuse_record {
    unsigned calls;
    hk_status status;
    const void *pointer;
    size_t given_size;
} misuse_record;

static void record_misuse(const hk_error_info *info, void *user_data) {
    misuse_record *record = user_data;
    record->calls++;
    record->status = info->status;
    record->pointer = info->pointer;
    record->given_size = info->given_size;
}

Test(hk_lua_alloc, a_wrong_old_size_is_reported_and_has_no_effect) {
    misuse_record record = {0};
    hk_set_error_handler(record_misuse, &record);
    hk_arena *arena = new_arena();
    void *block = hk_lua_alloc(arena, NULL, 0, 100);
    cr_assert_not_null(block);

    cr_assert_null(hk_lua_alloc(arena, block, 40, 500));
    cr_assert_eq(record.calls, 1);
    cr_assert_eq(record.status, HK_ERR_SIZE_MISMATCH);
    cr_assert_eq(record.pointer, block);
    cr_assert_eq(record.given_size, 40);
    if (!IS_LUAJIT) {
        cr_assert_null(hk_lua_alloc(arena, block, 300, 0));
        cr_assert_eq(record.calls, 2);
        cr_assert_eq(record.status, HK_ERR_SIZE_MISMATCH);
        cr_assert_eq(record.given_size, 300);
    }
    record.calls = 0;

    cr_assert_eq(live_blocks(arena), 1);
    cr_assert_null(hk_lua_alloc(arena, block, 100, 0));
    cr_assert_eq(record.calls, 0);
    cr_assert_eq(live_blocks(arena), 0);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    hk_set_error_handler(NULL, NULL);
}

Test(hk_lua_newstate, makes_a_usual_state_without_a_config) {
    lua_State *L = hk_lua_newstate(NULL);
    cr_assert_not_null(L);
    luaL_openlibs(L);
    cr_assert_str_eq(hk_arena_name(hk_lua_arena(L)), "lua");
    cr_assert_eq(hk_arena_limit(hk_lua_arena(L)), 0);
    assert_runs(L, busy_script);
    lua_State *thread = lua_newthread(L);
    cr_assert_eq(hk_lua_arena(thread), hk_lua_arena(L));
    cr_assert_eq(hk_arena_check(hk_lua_arena(L)), HK_OK);
    hk_lua_close(thread);
    hk_lua_close(NULL);
}

Test(hk_lua_newstate, takes_the_config_as_it_is) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = "mine";
    config.limit_bytes = 1 << 20;
    lua_State *L = hk_lua_newstate(&config);
    cr_assert_not_null(L);
    hk_arena *arena = hk_lua_arena(L);
    cr_assert_str_eq(hk_arena_name(arena), "mine");
    cr_assert_eq(hk_arena_limit(arena), 1 << 20);
    void *block = hk_arena_alloc(arena, 24);
    cr_assert_eq((uintptr_t)block % 16, 0, "alignment 16 is the default of a config");
    hk_lua_close(L);

    config.struct_size = 1;
    cr_assert_null(hk_lua_newstate(&config));
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
}

static int count_call(lua_State *L) {
    int *calls = lua_touserdata(L, lua_upvalueindex(1));
    ++*calls;
    return 0;
}

Test(hk_lua_newstate, close_runs_finalizers_and_ends_the_arena) {
    lua_State *L = hk_lua_newstate(NULL);
    luaL_openlibs(L);
    int calls = 0;
    lua_pushlightuserdata(L, &calls);
    lua_pushcclosure(L, count_call, 1);
    lua_setglobal(L, "finalize");
    assert_runs(L, WITH_FINALIZER "for i = 1, 3 do _G[i] = with_finalizer(finalize) end");
    hk_arena *arena = hk_lua_arena(L);
    void *block = hk_arena_alloc(arena, 1);
    cr_assert(hk_arena_owns(arena, block));
    hk_lua_close(L);
    cr_assert_eq(calls, 3);
    cr_assert_not(hk_arena_owns(arena, block), "the arena has ended");
}

Test(hk_lua_arena, is_null_for_other_allocators) {
    lua_State *L = luaL_newstate();
    cr_assert_null(hk_lua_arena(L));
    hk_lua_close(L);
}

Test(hk_lua_newstate, many_states_at_once) {
    enum { STATES = 200 };
    static lua_State *states[STATES];
    for (int i = 0; i < STATES; i++) {
        states[i] = hk_lua_newstate(NULL);
        cr_assert_not_null(states[i]);
        luaL_openlibs(states[i]);
        lua_pushinteger(states[i], i);
        lua_setglobal(states[i], "id");
    }
    for (int i = 0; i < STATES; i++)
        assert_runs(states[i], "local t = {} for i = 1, 100 do t[i] = {i} end return id");
    for (int i = 0; i < STATES; i++) {
        cr_assert_eq(lua_tointeger(states[i], -1), i);
        cr_assert_eq(hk_arena_check(hk_lua_arena(states[i])), HK_OK);
        hk_lua_close(states[i]);
    }
}
