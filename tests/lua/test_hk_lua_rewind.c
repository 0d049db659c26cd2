/* States that go back to a checkpoint, in both ways there are; and states that end without finalizers. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua_versions.h"
#include "rewind.h"

static const hki_rewind_way ways[] = {HKI_REWIND_TRACKING, HKI_REWIND_FILE};
enum { WAYS = 2, RESERVE = 64 << 20 };

/* NULL where the system has not this way. */
static lua_State *new_rewindable_state(hki_rewind_way way) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_REWINDABLE;
    config.min_alignment = 8;
    config.reserve_bytes = RESERVE;
    config.name = "lua";
    hki_rewind_force(way);
    lua_State *L = hk_lua_newstate(&config);
    cr_assert(L != NULL || hk_last_status() == HK_ERR_UNSUPPORTED);
    if (L != NULL)
        luaL_openlibs(L);
    return L;
}

#define EACH_WAY(L)                                                                                                    \
    for (int way = 0; way < WAYS; way++)                                                                               \
        for (lua_State *L = new_rewindable_state(ways[way]); L != NULL; L = NULL)

static void run(lua_State *L, const char *script) {
    int status = luaL_dostring(L, script);
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
}

static lua_Integer integer_of(lua_State *L, const char *expression) {
    lua_pushfstring(L, "return %s", expression);
    int status = luaL_dostring(L, lua_tostring(L, -1));
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    lua_Integer value = lua_tointeger(L, -1);
    lua_settop(L, 0);
    return value;
}

static hk_statistics statistics_of(lua_State *L) {
    hk_statistics all;
    memset(&all, 0, sizeof all);
    all.struct_size = sizeof all;
    cr_assert_eq(hk_arena_statistics(hk_lua_arena(L), &all), HK_OK);
    return all;
}

/* ---- requests ---- */

Test(lua_rewind, requests_leave_no_trace) {
    static const char *const requests[] = {
        "polluted = true; string.format = nil; _G.print = 5; package.loaded.math = nil",
        "setmetatable(_G, {__index = function() return 'surprise' end})",
        "getmetatable('').__index = function() return 1 end",
        "leak = {} for i = 1, 200000 do leak[i] = {i} end",
        "collectgarbage('generational'); collectgarbage('stop')",
        "debug.sethook(function() end, '', 1)",
        "debug.getregistry().x = 1; coroutine.wrap(function() coroutine.yield() end)()",
        "local t = {} ; pcall(function() for i = 1, 1e9 do t[i] = ('x'):rep(100000) .. i end end)",
        "app.count = -1; app.list = nil; setmetatable(app, {__gc = function() finalized = true end})",
        "warn('@on'); collectgarbage(); collectgarbage('step')",
        "local function f() return f() + 1 end f()",
        "error({})",
    };
    EACH_WAY (L) {
        run(L, "app = {count = 7, list = {1, 2, 3}} function app.total() return app.count + #app.list end");
        lua_pushinteger(L, 4711);
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        hk_statistics before = statistics_of(L);
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
            (void)luaL_dostring(L, requests[i]); /* some fail, and that is no trace either */
            cr_assert_eq(hk_lua_rollback(L), HK_OK);
            hk_statistics after = statistics_of(L);
            cr_assert(memcmp(&before, &after, sizeof after) == 0, "%s", requests[i]);
            cr_assert_eq(lua_gettop(L), 1);
            cr_assert_eq(lua_tointeger(L, 1), 4711);
            cr_assert_eq(hk_arena_check(hk_lua_arena(L)), HK_OK);
            cr_assert_null(lua_gethook(L));
            cr_assert_eq(integer_of(L, "polluted == nil and finalized == nil and surprise == nil and leak == nil and "
                                       "type(print) == 'function' and ('x'):rep(3) == 'xxx' and "
                                       "getmetatable(_G) == nil and string.format('%d', app.total()) == '10' and "
                                       "(_VERSION == 'Lua 5.1' or collectgarbage('isrunning')) and "
                                       "package.loaded.math == math and 1"),
                         1);
            cr_assert_eq(hk_lua_rollback(L), HK_OK);
        }
        hk_lua_close(L);
    }
}

Test(lua_rewind, the_newest_checkpoint_counts) {
    EACH_WAY (L) {
        for (int i = 1; i <= 5; i++) {
            lua_pushinteger(L, i);
            lua_setglobal(L, "base");
            cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
            run(L, "base = base + 100; for i = 1, 1000 do _G['k' .. i] = {i} end");
            cr_assert_eq(hk_lua_rollback(L), HK_OK);
            cr_assert_eq(integer_of(L, "base"), i);
            cr_assert_eq(integer_of(L, "k1 == nil and 1"), 1);
        }
        hk_lua_close(L);
    }
}

Test(lua_rewind, checkpoint_collects_garbage) {
    EACH_WAY (L) {
        run(L, WITH_FINALIZER "count = 0; local function gc(t) count = count + 1; rest = {('x'):rep(1000)} end "
                              "for i = 1, 100 do with_finalizer(gc) end");
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        cr_assert_eq(integer_of(L, "count"), 100);
        hk_lua_close(L);
    }
}

Test(lua_rewind, a_limit_that_was_hit_is_no_trace) {
    EACH_WAY (L) {
        hk_arena *arena = hk_lua_arena(L);
        cr_assert_eq(hk_arena_set_limit(arena, statistics_of(L).held_bytes + (1 << 20)), HK_OK);
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(luaL_dostring(L, "local t = {} for i = 1, 1e8 do t[i] = {i} end"), 1);
            cr_assert_str_eq(lua_tostring(L, -1), "not enough memory");
            cr_assert_gt(statistics_of(L).limit_failures, 0);
            cr_assert_eq(hk_lua_rollback(L), HK_OK);
            cr_assert_eq(statistics_of(L).limit_failures, 0);
        }
        hk_lua_close(L);
    }
}

/* ---- a hundred random histories ---- */

/* An application with all kinds of objects. request(seed) does random things to it and returns what it came to;
 * digest() is a picture of all of it. */
static const char application[] =
    "local world, objects = {}, {}\n"
    "local function random_value(depth)\n"
    "    local kind = math.random(7)\n"
    "    if kind == 1 then return math.random(1000000)\n"
    "    elseif kind == 2 then return math.random()\n"
    "    elseif kind == 3 then return ('s'):rep(math.random(300)) .. math.random(1000)\n"
    "    elseif kind == 4 then local n = math.random(100) return function() n = n + 1 return n end\n"
    "    elseif kind == 5 then return coroutine.wrap(function() local i = 0 while true do i = i + 1 coroutine.yield(i) "
    "end end)\n"
    "    elseif kind == 6 and depth < 3 then\n"
    "        local t = {}\n"
    "        for i = 1, math.random(10) do t[i] = random_value(depth + 1) end\n"
    "        for i = 1, math.random(4) do t['key' .. math.random(50)] = random_value(depth + 1) end\n"
    "        return t\n"
    "    end\n"
    "    return kind % 2 == 0\n"
    "end\n"
    "local function picture(value, depth)\n"
    "    if type(value) == 'table' then\n"
    "        local parts = {}\n"
    "        for k, v in pairs(value) do parts[#parts + 1] = tostring(k) .. '=' .. picture(v, depth + 1) end\n"
    "        table.sort(parts)\n"
    "        return '{' .. table.concat(parts, ',') .. '}'\n"
    "    elseif type(value) == 'function' then return '(' .. depth .. ')'\n"
    "    elseif type(value) == 'string' and #value > 1000 then return #value .. value:sub(-5) end\n"
    "    return tostring(value)\n"
    "end\n"
    "function digest()\n"
    "    local text = picture(world, 0)\n"
    "    local sum = 0\n"
    "    for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 281474976710656 end\n"
    "    return sum\n"
    "end\n"
    "function request(seed)\n"
    "    math.randomseed(seed)\n"
    "    for i = 1, math.random(60) do\n"
    "        local key = math.random(40)\n"
    "        local value = world[key]\n"
    "        if type(value) == 'function' and math.random(2) == 1 then world.last = value()\n"
    "        elseif math.random(4) == 1 then world[key] = nil\n"
    "        else world[key] = random_value(0) end\n"
    "        if math.random(40) == 1 then collectgarbage(math.random(2) == 1 and 'step' or 'collect') end\n"
    "        if math.random(40) == 1 then world.big = ('b'):rep(math.random(1000000)) .. key end\n"
    "    end\n"
    "    return digest()\n"
    "end\n"
    "for seed = 1, 5 do request(seed) end\n";

static lua_Integer request(lua_State *L, uint32_t seed) {
    lua_getglobal(L, "request");
    lua_pushinteger(L, seed);
    cr_assert_eq(lua_pcall(L, 1, 1, 0), LUA_OK, "%s", lua_tostring(L, -1));
    lua_Integer sum = lua_tointeger(L, -1);
    lua_settop(L, 0);
    return sum;
}

/* The same request after a rollback comes to the same, and the digest of the base is what it was. */
static void run_history(lua_State *L, uint32_t seed) {
    for (uint32_t base = 0; base < 2; base++) {
        (void)request(L, seed * 100 + base);
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        hk_statistics before = statistics_of(L);
        lua_Integer digest = integer_of(L, "digest()");
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        lua_Integer first = request(L, seed), second = request(L, seed + 1);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        hk_statistics after = statistics_of(L);
        cr_assert(memcmp(&before, &after, sizeof after) == 0);
        cr_assert_eq(hk_arena_check(hk_lua_arena(L)), HK_OK);
        cr_assert_eq(request(L, seed), first);
        cr_assert_eq(request(L, seed + 1), second);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert_eq(integer_of(L, "digest()"), digest);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
    }
}

Test(lua_rewind, hundred_histories, .timeout = 200) {
    EACH_WAY (L) {
        run(L, application);
        for (uint32_t seed = 1; seed <= 50; seed++)
            run_history(L, seed);
        hk_lua_close(L);
    }
}

/* ---- random numbers ---- */

static const char three_numbers[] =
    "(math.random(131072) * 131072 + math.random(131072)) * 131072 + math.random(131072)";

Test(lua_rewind, random_numbers_repeat_unless_reseeded) {
    EACH_WAY (L) {
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        lua_Integer first = integer_of(L, three_numbers);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert(integer_of(L, three_numbers) == first || !RANDOM_IS_OF_THE_STATE);
        cr_assert_eq(hk_lua_rollback_seed(L, 4711), HK_OK);
        lua_Integer one = integer_of(L, three_numbers);
        cr_assert_eq(hk_lua_rollback_seed(L, UINT64_MAX), HK_OK);
        lua_Integer other = integer_of(L, three_numbers);
        cr_assert(one != first && other != first && one != other);
        cr_assert_eq(lua_gettop(L), 0);
        cr_assert_eq(hk_lua_rollback_seed(L, UINT64_MAX), HK_OK);
        cr_assert_eq(integer_of(L, three_numbers), other);
        run(L, "math.randomseed(-1)");
        cr_assert(integer_of(L, three_numbers) == other || !SEED_IS_AN_INTEGER);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert(integer_of(L, three_numbers) == first || !RANDOM_IS_OF_THE_STATE);
        run(L, "package.loaded.math = nil");
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        run(L, "x = 1");
        cr_assert_eq(hk_lua_rollback_seed(L, 1), HK_ERR_UNSUPPORTED);
        cr_assert_eq(integer_of(L, "x == nil and 1"), 1);
        hk_lua_close(L);
    }
}

/* ---- what is refused ---- */

static int try_all(lua_State *L) {
    lua_State *main_thread = lua_touserdata(L, lua_upvalueindex(1));
    bool refused = true;
    lua_State *const threads[] = {L, main_thread};
    for (int i = 0; i < 2; i++) {
        refused = refused && hk_lua_checkpoint(threads[i]) == HK_ERR_BUSY;
        refused = refused && hk_lua_rollback(threads[i]) == HK_ERR_BUSY;
        refused = refused && hk_lua_rollback_seed(threads[i], 1) == HK_ERR_BUSY;
    }
    lua_pushboolean(L, refused);
    return 1;
}

static void try_in_hook(lua_State *L, lua_Debug *activation) {
    (void)activation;
    lua_sethook(L, NULL, 0, 0);
    lua_pushboolean(L, hk_lua_rollback(L) == HK_ERR_BUSY);
    lua_setglobal(L, "refused_in_hook");
}

Test(lua_rewind, is_refused_while_a_call_is_active) {
    EACH_WAY (L) {
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        lua_pushlightuserdata(L, L);
        lua_pushcclosure(L, try_all, 1);
        lua_setglobal(L, "try_all");
        cr_assert_eq(integer_of(L, "try_all() and 1"), 1);
        cr_assert_eq(integer_of(L, "select(2, pcall(try_all)) and 1"), 1);
        cr_assert_eq(integer_of(L, "(_VERSION == 'Lua 5.1' or coroutine.wrap(try_all)()) and 1"), 1);
        cr_assert_eq(integer_of(L, "coroutine.wrap(function() return (try_all()) end)() and 1"), 1);
        lua_sethook(L, try_in_hook, LUA_MASKCOUNT, 1);
        run(L, "local x = 1");
        cr_assert_eq(integer_of(L, "refused_in_hook and 1"), 1);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert_eq(integer_of(L, "try_all == nil and 1"), 1);
        hk_lua_close(L);
    }
}

Test(lua_rewind, is_refused_for_what_cannot_be_rewound) {
    lua_State *plain = hk_lua_newstate(NULL), *other = luaL_newstate();
    cr_assert_eq(hk_lua_checkpoint(NULL), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_rollback(NULL), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_checkpoint(other), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_rollback(other), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_checkpoint(plain), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_lua_rollback(plain), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_lua_rollback_seed(plain, 1), HK_ERR_UNSUPPORTED);
    hk_lua_close(plain);
    lua_close(other);
    EACH_WAY (L) {
        lua_State *thread = lua_newthread(L);
        cr_assert_eq(hk_lua_rollback(L), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_lua_checkpoint(thread), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        cr_assert_eq(hk_lua_rollback(thread), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_lua_rollback(L), HK_OK);
        cr_assert_eq(lua_tothread(L, 1), thread);
        hk_lua_close(L);
    }
}

/* ---- the fast end ---- */

static int count_finalizer(lua_State *L) {
    (*(int *)lua_touserdata(L, lua_upvalueindex(1)))++;
    return 0;
}

static void add_finalizer(lua_State *L, int *count) {
    (void)lua_newuserdata(L, 1);
    lua_newtable(L);
    lua_pushlightuserdata(L, count);
    lua_pushcclosure(L, count_finalizer, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "finalized_at_the_end");
}

Test(close_fast, runs_no_finalizer_and_frees_all) {
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    int count = 0;
    for (int i = 0; i < 100; i++) {
        lua_State *L = hk_lua_newstate(NULL);
        luaL_openlibs(L);
        add_finalizer(L, &count);
        run(L, "t = {} for i = 1, 10000 do t[i] = {i} end");
        hk_arena *arena = hk_lua_arena(L);
        hk_lua_close_fast(i % 2 == 0 ? L : lua_newthread(L));
        cr_assert_null(hk_arena_name(arena));
    }
    cr_assert_eq(count, 0);
    hk_lua_close_fast(NULL);
}

Test(close_fast, of_a_state_that_is_rewound) {
    int count = 0;
    EACH_WAY (L) {
        add_finalizer(L, &count);
        cr_assert_eq(hk_lua_checkpoint(L), HK_OK);
        run(L, "t = {} for i = 1, 10000 do t[i] = {i} end");
        hk_lua_close_fast(L);
    }
    cr_assert_eq(count, 0);
}

Test(close_fast, closes_other_states) {
    int count = 0;
    lua_State *L = luaL_newstate();
    add_finalizer(L, &count);
    hk_lua_close_fast(L);
    cr_assert_eq(count, 1);
}
