/* Lua over an allocator function that stands before hk_lua_alloc and makes trouble: it refuses, always moves, or says
 * wrong sizes. And states at their limit to the end, and crowds of coroutines and long strings. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lua_versions.h"

static const char script[] = "local parts, keep = {}, {}\n"
                             "for i = 1, 60 do\n"
                             "    keep[i] = {name = 'n' .. i, f = function() return keep[i] end, ('x'):rep(i * 3)}\n"
                             "    parts[#parts + 1] = keep[i].name .. #keep[i][1]\n"
                             "end\n"
                             "for i = 1, 5 do\n"
                             "    parts[#parts + 1] = coroutine.wrap(function(x) coroutine.yield(x .. i) end)('co')\n"
                             "end\n"
                             "text = table.concat(parts):gsub('n', 'm'):upper()\n"
                             "assert(pcall(error, {}) == false)\n"
                             "return #text";
enum { SCRIPT_RESULT = 330 };

static const char memory_error[] = "not enough memory";

typedef struct troublemaker {
    hk_arena *arena;
    size_t requests; /* for new or larger blocks, so far */
    size_t refused_from, refused_to;
    bool was_reached; /* the first refusal has come about */
    bool always_moves;
    size_t lies_every; /* frees, a wrong size is said first; 0: never */
    size_t frees;
} troublemaker;

static void *move(const troublemaker *it, void *pointer, size_t old_size, size_t new_size) {
    void *copy = hk_lua_alloc(it->arena, NULL, 0, new_size);
    if (copy == NULL) /* a shrink may not fail */
        return new_size <= old_size ? hk_lua_alloc(it->arena, pointer, old_size, new_size) : NULL;
    memcpy(copy, pointer, old_size < new_size ? old_size : new_size);
    memset(pointer, 0x5a, old_size);
    (void)hk_lua_alloc(it->arena, pointer, old_size, 0);
    return copy;
}

static void *allocate(void *user_data, void *pointer, size_t old_size, size_t new_size) {
    troublemaker *it = user_data;
    if (new_size == 0) {
        if (pointer != NULL && it->lies_every > 0 && ++it->frees % it->lies_every == 0)
            (void)hk_lua_alloc(it->arena, pointer, old_size * 2 + 100, 0);
        return hk_lua_alloc(it->arena, pointer, old_size, 0);
    }
    if (pointer == NULL || new_size > old_size) {
        size_t number = it->requests++;
        if (number >= it->refused_from && number < it->refused_to) {
            it->was_reached = true;
            return NULL;
        }
    }
    if (pointer != NULL && it->always_moves)
        return move(it, pointer, old_size, new_size);
    return hk_lua_alloc(it->arena, pointer, old_size, new_size);
}

static troublemaker new_troublemaker(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    troublemaker it = {.refused_from = SIZE_MAX, .refused_to = SIZE_MAX};
    cr_assert_eq(hk_arena_create(&config, &it.arena), HK_OK);
    return it;
}

static hk_statistics totals_of(hk_arena *arena) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(arena, &totals), HK_OK);
    return totals;
}

/* Nothing is left of the state. */
static void close_and_check(lua_State *L, hk_arena *arena) {
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    lua_close(L);
    cr_assert_eq(totals_of(arena).live_blocks, 0);
    cr_assert_eq(totals_of(arena).live_bytes, 0);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

static int open_and_run(lua_State *L) {
    luaL_openlibs(L);
    if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (lua_tointeger(L, -1) != SCRIPT_RESULT)
        return luaL_error(L, "the script returned %d", (int)lua_tointeger(L, -1));
    return 0;
}

static bool is_memory_error(lua_State *L) {
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    return strstr(message, memory_error) != NULL; /* in 5.1 coroutine.wrap puts a position before it */
}

/* Runs the script; whether it went well. If not, then for want of memory, and with memory it then goes well. */
static bool run_or_fail(lua_State *L, troublemaker *it) {
    void *text = (void *)(uintptr_t)script;
    bool went_well = call_protected(L, open_and_run, text) == LUA_OK;
    if (!went_well)
        cr_assert(is_memory_error(L), "request %zu: %s", it->refused_from, lua_tostring(L, -1));
    it->refused_from = it->refused_to = SIZE_MAX;
    lua_settop(L, 0);
    int status = call_protected(L, open_and_run, text);
    cr_assert_eq(status, LUA_OK, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    return went_well;
}

/* ---- refusals ---- */

static void refuse(troublemaker *it, size_t from, size_t count) {
    it->refused_from = from;
    it->refused_to = count < SIZE_MAX - from ? from + count : SIZE_MAX;
}

/* Request k and `count` in all are refused, for k = 0, 1, 2, ... until the script needs no more. LuaJIT does not
 * survive a refusal while it makes a state, and is spared it. */
static void refuse_each(size_t count) {
    unsigned failed = 0;
    bool was_reached = true;
    for (size_t k = 0; was_reached; k++) {
        troublemaker it = new_troublemaker();
        if (!IS_LUAJIT)
            refuse(&it, k, count);
        lua_State *L = new_state(allocate, &it);
        if (L == NULL) {
            cr_assert_eq(totals_of(it.arena).live_blocks, 0);
            cr_assert_eq(hk_arena_destroy(it.arena), HK_OK);
            failed++;
            continue;
        }
        if (IS_LUAJIT)
            refuse(&it, it.requests + k, count);
        failed += !run_or_fail(L, &it);
        was_reached = it.was_reached;
        close_and_check(L, it.arena);
    }
    cr_assert_gt(failed, 10);
}

Test(lua_failures, each_request_refused_once, .timeout = 110) {
    refuse_each(1);
}

Test(lua_failures, each_request_refused_and_all_that_follow, .timeout = 110) {
    refuse_each(SIZE_MAX);
}

Test(lua_failures, what_a_failed_run_leaves_is_collected) {
    static const char greedy[] = "local t = {} for i = 1, 1e8 do t[i] = {i, 'text ' .. i} end";
    troublemaker it = new_troublemaker();
    lua_State *L = new_state(allocate, &it);
    luaL_openlibs(L);
    size_t base = 0;
    for (size_t step = 0; step < 60; step++) {
        cr_assert_eq(hk_arena_set_limit(it.arena, ((size_t)1 << 20) - step * 8192), HK_OK);
        int status = luaL_loadstring(L, greedy);
        cr_assert_eq(status, LUA_OK);
        cr_assert_eq(lua_pcall(L, 0, 0, 0), LUA_ERRMEM);
        lua_settop(L, 0);
        for (int i = 0; i < 3; i++)
            (void)lua_gc(L, LUA_GCCOLLECT, 0);
        cr_assert_eq(hk_arena_check(it.arena), HK_OK);
        size_t live = totals_of(it.arena).live_blocks;
        base = step == 0 ? live : base;
        cr_assert_eq(live, base, "at step %zu", step);
    }
    close_and_check(L, it.arena);
}

/* ---- other troubles ---- */

Test(lua_failures, every_reallocation_moves) {
    troublemaker it = new_troublemaker();
    it.always_moves = true;
    lua_State *L = new_state(allocate, &it);
    for (int i = 0; i < 20; i++)
        cr_assert(run_or_fail(L, &it));
    hk_statistics totals = totals_of(it.arena);
    cr_assert_eq(hk_arena_set_limit(it.arena, totals.held_bytes), HK_OK);
    (void)luaL_dostring(L, "local t = {} for i = 1, 1e7 do t[i] = i end");
    cr_assert_eq(hk_arena_set_limit(it.arena, 0), HK_OK);
    lua_settop(L, 0);
    (void)lua_gc(L, LUA_GCCOLLECT, 0);
    cr_assert(run_or_fail(L, &it));
    close_and_check(L, it.arena);
}

static void count_mismatch(const hk_error_info *info, void *user_data) {
    size_t *count = user_data;
    *count += info->status == HK_ERR_SIZE_MISMATCH;
}

Test(lua_failures, wrong_sizes_are_reported_and_nothing_is_lost) {
    size_t reports = 0;
    hk_set_error_handler(count_mismatch, &reports);
    troublemaker it = new_troublemaker();
    it.lies_every = IS_LUAJIT ? 0 : 7; /* its library does not check them */
    lua_State *L = new_state(allocate, &it);
    for (int i = 0; i < 20; i++)
        cr_assert(run_or_fail(L, &it));
    close_and_check(L, it.arena);
    cr_assert_eq(reports, it.lies_every > 0 ? it.frees / it.lies_every : 0);
    cr_assert(reports > 100 || IS_LUAJIT);
    hk_set_error_handler(NULL, NULL);
}

/* ---- the end of a state under a limit ---- */

static int note_call(lua_State *L) {
    ++*(int *)lua_touserdata(L, lua_upvalueindex(1));
    return 0;
}

Test(lua_failures, finalizers_at_close_do_not_evade_the_limit) {
    static const char finalizers[] =
        WITH_FINALIZER "keep = {}\n"
                       "for i = 1, 5 do\n"
                       "    keep[i] = with_finalizer(function()\n"
                       "        called()\n"
                       "        local t = {}\n"
                       "        local ok, message = pcall(function() for j = 1, 1e8 do t[j] = {j, 'x' .. j} end end)\n"
                       "        assert(not ok and message == 'not enough memory')\n"
                       "        refused()\n"
                       "    end)\n"
                       "end\n";
    troublemaker it = new_troublemaker();
    int calls = 0, refusals = 0;
    lua_State *L = new_state(allocate, &it);
    luaL_openlibs(L);
    lua_pushlightuserdata(L, &calls);
    lua_pushcclosure(L, note_call, 1);
    lua_setglobal(L, "called");
    lua_pushlightuserdata(L, &refusals);
    lua_pushcclosure(L, note_call, 1);
    lua_setglobal(L, "refused");
    cr_assert_eq(luaL_dostring(L, finalizers), 0);
    (void)lua_gc(L, LUA_GCCOLLECT, 0);
    size_t limit = totals_of(it.arena).held_bytes + (256 << 10);
    cr_assert_eq(hk_arena_set_limit(it.arena, limit), HK_OK);
    lua_close(L);
    cr_assert_eq(calls, 5);
    cr_assert_gt(refusals, 0);
    hk_statistics totals = totals_of(it.arena);
    cr_assert_leq(totals.peak_held_bytes, limit);
    cr_assert_gt(totals.limit_failures, 0);
    cr_assert_eq(totals.live_blocks, 0);
    cr_assert_eq(hk_arena_destroy(it.arena), HK_OK);
}

/* ---- crowds ---- */

Test(lua_crowds, coroutines_by_the_hundred_thousand, .timeout = 110) {
    troublemaker it = new_troublemaker();
    lua_State *L = new_state(hk_lua_alloc, it.arena);
    luaL_openlibs(L);
    int status =
        luaL_dostring(L, "local all = {}\n"
                         "for i = 1, 100000 do\n"
                         "    all[i] = coroutine.wrap(function(x) x = x + coroutine.yield(x) return x + i end)\n"
                         "    assert(all[i](i) == i)\n"
                         "end\n"
                         "for i = 1, 100000, 2 do all[i] = false end\n"
                         "collectgarbage()\n"
                         "for i = 2, 100000, 2 do assert(all[i](1) == 2 * i + 1) end\n"
                         "all = nil collectgarbage() collectgarbage()");
    cr_assert_eq(status, 0, "%s", lua_tostring(L, -1));
    cr_assert_gt(totals_of(it.arena).peak_held_bytes, 50 << 20);
    cr_assert_lt(totals_of(it.arena).live_bytes, 1 << 20);
    close_and_check(L, it.arena);
}

Test(lua_crowds, long_strings_by_the_hundred_thousand, .timeout = 110) {
    troublemaker it = new_troublemaker();
    lua_State *L = new_state(hk_lua_alloc, it.arena);
    luaL_openlibs(L);
    int status = luaL_dostring(L, "local all, length = {}, 0\n"
                                  "for i = 1, 200000 do all[i] = ('s'):rep(41 + i % 500) .. i end\n"
                                  "for i = 1, 200000, 3 do all[i] = all[i] .. all[i] end\n"
                                  "for i = 1, 200000 do length = length + #all[i] end\n"
                                  "for i = 1, 200000 do all[i] = false end\n"
                                  "collectgarbage() collectgarbage()\n"
                                  "big = ('b'):rep(50000000) big = big .. big assert(#big == 100000000) big = nil\n"
                                  "collectgarbage() collectgarbage()\n"
                                  "return length");
    cr_assert_eq(status, 0, "%s", lua_tostring(L, -1));
    cr_assert_gt(lua_tointeger(L, -1), 50000000);
    if (LUA_VERSION_NUM >= 502) /* before, a buffer of the size of the longest string stays for a while */
        cr_assert_lt(totals_of(it.arena).live_bytes, 8 << 20);
    close_and_check(L, it.arena);
}
