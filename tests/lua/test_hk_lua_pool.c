/* Pools: warm states that threads take, use and give back. Threads count what goes wrong; the main thread asserts. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua_versions.h"

enum { RESERVE = 8 << 20 };

static const char application[] = "app = {count = 7} "
                                  "function app.serve(n) "
                                  "  if polluted or app.count ~= 7 then return -1 end "
                                  "  polluted = {} app.count = n "
                                  "  for i = 1, 100 do polluted[i] = {n, tostring(n)} end "
                                  "  return #polluted + n "
                                  "end";

static hk_status load_application(lua_State *L, void *user_data) {
    (void)user_data;
    luaL_openlibs(L);
    int status = luaL_loadstring(L, application);
    if (status == LUA_OK)
        status = lua_pcall(L, 0, 0, 0);
    if (status == LUA_ERRMEM)
        return hk_last_status();
    if (status != LUA_OK)
        lua_error(L);
    lua_pushinteger(L, 1); /* is dropped */
    return HK_OK;
}

static hk_arena_config arena_config(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_REWINDABLE;
    config.min_alignment = 8;
    config.reserve_bytes = RESERVE;
    config.name = "pooled";
    return config;
}

static hk_lua_pool_config pool_config(const hk_arena_config *arena, size_t max_states) {
    hk_lua_pool_config config = HK_LUA_POOL_CONFIG_INIT;
    config.arena = arena;
    config.warm_up = load_application;
    config.max_states = max_states;
    return config;
}

static hk_lua_pool *new_pool(size_t max_states) {
    hk_arena_config arena = arena_config();
    hk_lua_pool_config config = pool_config(&arena, max_states);
    hk_lua_pool *pool;
    cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
    return pool;
}

static hk_lua_pool_figures figures_of(hk_lua_pool *pool) {
    hk_lua_pool_figures figures = {.struct_size = sizeof figures};
    (void)hk_lua_pool_statistics(pool, &figures);
    return figures;
}

/* What app.serve(n) returns: 100 + n in a state that no request has touched. */
static lua_Integer serve(lua_State *L, lua_Integer n) {
    lua_getglobal(L, "app");
    lua_getfield(L, -1, "serve");
    lua_pushinteger(L, n);
    lua_Integer result = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tointeger(L, -1) : -2;
    lua_settop(L, 0);
    return result;
}

static size_t process_live_blocks(void) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(hk_arena_default(), &totals), HK_OK);
    return totals.live_blocks;
}

/* ---- taking and giving back ---- */

Test(lua_pool, states_are_rewound_and_reused) {
    hk_lua_pool *pool = new_pool(2);
    lua_State *first, *second, *again;
    cr_assert_eq(hk_lua_pool_take(pool, &first), HK_OK);
    cr_assert_eq(lua_gettop(first), 0);
    cr_assert_str_eq(hk_arena_name(hk_lua_arena(first)), "pooled");
    cr_assert_eq(hk_lua_pool_take(pool, &second), HK_OK);
    cr_assert_neq(first, second);
    for (lua_Integer n = 1; n < 50; n++) {
        cr_assert_eq(serve(first, n), 100 + n);
        cr_assert_eq(serve(first, n), -1);
        cr_assert_eq(hk_lua_pool_give(pool, first), HK_OK);
        cr_assert_eq(hk_lua_pool_take(pool, &again), HK_OK);
        cr_assert_eq(again, first);
    }
    cr_assert_eq(hk_lua_pool_give(pool, first), HK_OK);
    cr_assert_eq(hk_lua_pool_give(pool, second), HK_OK);
    cr_assert_eq(hk_lua_pool_take(pool, &again), HK_OK);
    cr_assert_eq(again, second, "the one given back last comes first");
    cr_assert_eq(hk_lua_pool_give(pool, again), HK_OK);
    hk_lua_pool_figures figures = figures_of(pool);
    cr_assert_eq(figures.max_states, 2);
    cr_assert_eq(figures.idle_states, 2);
    cr_assert_eq(figures.taken_states, 0);
    cr_assert_eq(figures.peak_states, 2);
    cr_assert_eq(figures.takes, 52);
    cr_assert_eq(figures.takes_that_waited, 0);
    cr_assert_eq(figures.warm_ups, 2);
    cr_assert_eq(figures.failed_warm_ups, 0);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

Test(lua_pool, makes_initial_states_by_default_in_arenas_of_its_own) {
    hk_lua_pool_config config = pool_config(NULL, 5);
    config.initial_states = 3;
    hk_lua_pool *pool;
    cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
    cr_assert_eq(figures_of(pool).idle_states, 3);
    cr_assert_eq(figures_of(pool).warm_ups, 3);
    lua_State *L;
    cr_assert_eq(hk_lua_pool_take(pool, &L), HK_OK);
    cr_assert_str_eq(hk_arena_name(hk_lua_arena(L)), "lua");
    cr_assert_eq(hk_arena_limit(hk_lua_arena(L)), 0);
    cr_assert_eq(serve(L, 1), 101);
    cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

Test(lua_pool, no_more_than_the_maximum) {
    hk_lua_pool *pool = new_pool(2);
    lua_State *first, *second, *third;
    cr_assert_eq(hk_lua_pool_try_take(pool, &first), HK_OK);
    cr_assert_eq(hk_lua_pool_try_take(pool, &second), HK_OK);
    cr_assert_eq(hk_lua_pool_try_take(pool, &third), HK_ERR_BUSY);
    cr_assert_null(third);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_ERR_BUSY);
    cr_assert_eq(hk_lua_pool_discard(pool, first), HK_OK);
    cr_assert_eq(figures_of(pool).taken_states, 1);
    cr_assert_eq(hk_lua_pool_try_take(pool, &third), HK_OK);
    cr_assert_eq(serve(third, 3), 103);
    cr_assert_eq(hk_lua_pool_give(pool, second), HK_OK);
    cr_assert_eq(hk_lua_pool_give(pool, third), HK_OK);
    cr_assert_eq(figures_of(pool).warm_ups, 3);
    cr_assert_eq(figures_of(pool).peak_states, 2);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

Test(lua_pool, states_do_not_draw_the_same_random_numbers) {
    hk_lua_pool *pool = new_pool(1);
    double drawn[8];
    for (int i = 0; i < 8; i++) {
        lua_State *L;
        cr_assert_eq(hk_lua_pool_take(pool, &L), HK_OK);
        cr_assert_eq(luaL_dostring(L, "number = math.random() * 2^30"), LUA_OK);
        lua_getglobal(L, "number");
        drawn[i] = (double)lua_tonumber(L, -1);
        for (int j = 0; j < i; j++)
            cr_assert(drawn[i] < drawn[j] || drawn[i] > drawn[j]);
        cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
    }
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

/* ---- what is refused ---- */

static void assert_invalid(hk_lua_pool_config config) {
    int nowhere;
    hk_lua_pool *pool = (hk_lua_pool *)(void *)&nowhere;
    cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_ERR_INVALID_ARGUMENT);
    cr_assert_null(pool);
}

Test(lua_pool, configs_that_cannot_be) {
    hk_arena_config plain = HK_ARENA_CONFIG_INIT, sizeless = arena_config(), named = arena_config();
    sizeless.struct_size = 1;
    named.name = "a name of thirty-two characters..";
    hk_lua_pool_config config = pool_config(NULL, 0);
    assert_invalid(config);
    config.max_states = 1000001;
    assert_invalid(config);
    config.max_states = 2;
    config.initial_states = 3;
    assert_invalid(config);
    config.initial_states = 0;
    config.arena = &plain;
    assert_invalid(config);
    config.arena = &sizeless;
    assert_invalid(config);
    config.arena = &named;
    assert_invalid(config);
    config.arena = NULL;
    config.warm_up = NULL;
    assert_invalid(config);
    config.warm_up = load_application;
    config.struct_size--;
    assert_invalid(config);
    config.struct_size++;
    hk_lua_pool *pool;
    cr_assert_eq(hk_lua_pool_create(NULL, &pool), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_create(&config, NULL), HK_ERR_INVALID_ARGUMENT);
    hk_arena_config odd = arena_config();
    odd.min_alignment = 3;
    config.arena = &odd;
    cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
    lua_State *L;
    cr_assert_eq(hk_lua_pool_take(pool, &L), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(figures_of(pool).failed_warm_ups, 1);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

static int give_from_within(lua_State *L) {
    hk_lua_pool *pool = lua_touserdata(L, lua_upvalueindex(1));
    lua_State *whole = lua_touserdata(L, lua_upvalueindex(2));
    lua_pushboolean(L, hk_lua_pool_give(pool, whole) == HK_ERR_BUSY && hk_lua_pool_discard(pool, whole) == HK_ERR_BUSY);
    return 1;
}

Test(lua_pool, states_that_cannot_be_given_back) {
    hk_lua_pool *pool = new_pool(2), *other = new_pool(1);
    lua_State *L, *of_other, *plain = hk_lua_newstate(NULL);
    cr_assert_eq(hk_lua_pool_take(pool, &L), HK_OK);
    cr_assert_eq(hk_lua_pool_take(other, &of_other), HK_OK);
    lua_State *thread = lua_newthread(L);
    lua_State *const strangers[] = {NULL, plain, of_other, thread};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(hk_lua_pool_give(pool, strangers[i]), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_lua_pool_discard(pool, strangers[i]), HK_ERR_INVALID_ARGUMENT);
    }
    lua_pushlightuserdata(L, pool);
    lua_pushlightuserdata(L, L);
    lua_pushcclosure(L, give_from_within, 2);
    cr_assert_eq(lua_pcall(L, 0, 1, 0), LUA_OK);
    cr_assert(lua_toboolean(L, -1));
    cr_assert_eq(serve(L, 5), 105);
    cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
    cr_assert_eq(hk_lua_pool_give(pool, L), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_discard(pool, L), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_give(NULL, L), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_take(NULL, &L), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_take(pool, NULL), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_destroy(NULL), HK_ERR_INVALID_ARGUMENT);
    hk_lua_pool_figures figures = {.struct_size = 1};
    cr_assert_eq(hk_lua_pool_statistics(pool, &figures), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_lua_pool_statistics(pool, NULL), HK_ERR_INVALID_ARGUMENT);
    figures.struct_size = offsetof(hk_lua_pool_figures, idle_states);
    figures.idle_states = 99;
    cr_assert_eq(hk_lua_pool_statistics(pool, &figures), HK_OK);
    cr_assert_eq(figures.max_states, 2);
    cr_assert_eq(figures.idle_states, 99);
    hk_lua_close(plain);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
    cr_assert_eq(hk_lua_pool_give(other, of_other), HK_OK);
    cr_assert_eq(hk_lua_pool_destroy(other), HK_OK);
}

/* ---- warming up that fails ---- */

typedef struct failing_warm_up {
    int way;
    int reports;
    int finalized;
    char message[200];
} failing_warm_up;

static int count_finalizer(lua_State *L) {
    ++*(int *)lua_touserdata(L, lua_upvalueindex(1));
    return 0;
}

static hk_status fail_to_load(lua_State *L, void *user_data) {
    failing_warm_up *it = user_data;
    luaL_openlibs(L);
    lua_pushlightuserdata(L, &it->finalized);
    lua_pushcclosure(L, count_finalizer, 1);
    lua_setglobal(L, "count");
    (void)luaL_dostring(L, WITH_FINALIZER "kept = with_finalizer(count)");
    switch (it->way) {
    case 0:
        return (hk_status)luaL_error(L, "the %s is missing", "catalogue");
    case 1:
        lua_newtable(L);
        return (hk_status)lua_error(L);
    case 2:
        return HK_ERR_UNSUPPORTED;
    case 3:
        (void)hk_arena_set_limit(hk_lua_arena(L), 64 << 10);
        lua_newuserdata(L, 1 << 20);
        return HK_OK;
    default:
        return HK_OK;
    }
}

static void keep_message(const char *message, void *user_data) {
    failing_warm_up *it = user_data;
    it->reports++;
    snprintf(it->message, sizeof it->message, "%s", message);
}

Test(lua_pool, a_warm_up_that_fails_leaves_nothing_behind) {
    static const hk_status expected[] = {HK_ERR_CALLBACK, HK_ERR_CALLBACK, HK_ERR_UNSUPPORTED, HK_ERR_LIMIT};
    static const char *const messages[] = {"the catalogue is missing", "the error is not a string", "", ""};
    for (int way = 0; way < 4; way++) {
        failing_warm_up it = {.way = way};
        hk_arena_config arena = arena_config();
        hk_lua_pool_config config = pool_config(&arena, 1);
        config.warm_up = fail_to_load;
        config.report = keep_message;
        config.user_data = &it;
        size_t blocks = process_live_blocks();
        hk_lua_pool *pool;
        config.initial_states = 1;
        cr_assert_eq(hk_lua_pool_create(&config, &pool), expected[way], "way %d", way);
        cr_assert_null(pool);
        cr_assert_eq(process_live_blocks(), blocks);
        cr_assert_eq(it.finalized, 1);
        cr_assert_eq(it.reports, messages[way][0] != '\0');
        cr_assert_str_eq(it.message, messages[way]);
        config.initial_states = 0;
        cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
        lua_State *L;
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(hk_lua_pool_take(pool, &L), expected[way]);
            cr_assert_null(L);
        }
        cr_assert_eq(figures_of(pool).failed_warm_ups, 3);
        it.way = 4; /* now it goes well */
        cr_assert_eq(hk_lua_pool_take(pool, &L), HK_OK);
        cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
        cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
        cr_assert_eq(it.finalized, 5, "the state's own finalizer has run");
    }
}

Test(lua_pool, warming_up_at_every_limit) {
    hk_arena_config arena = arena_config();
    hk_lua_pool_config config = pool_config(&arena, 2);
    unsigned made = 0, refused = 0;
    for (arena.limit_bytes = 1024; arena.limit_bytes < 200 << 10; arena.limit_bytes += 1024) {
        hk_lua_pool *pool;
        lua_State *L;
        cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
        hk_status status = hk_lua_pool_take(pool, &L);
        cr_assert(status == HK_OK || status == HK_ERR_LIMIT, "%zu: %s", arena.limit_bytes, hk_status_name(status));
        made += status == HK_OK;
        refused += status != HK_OK;
        if (status == HK_OK)
            cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
        cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
    }
    cr_assert_gt(made, 0);
    cr_assert_gt(refused, 0);
}

static hk_status break_randomseed(lua_State *L, void *user_data) {
    const char *way = user_data;
    luaL_openlibs(L);
    return luaL_dostring(L, way) == LUA_OK ? HK_OK : HK_ERR_INVALID_ARGUMENT;
}

Test(lua_pool, without_a_randomseed_that_works) {
    static const struct {
        const char *way;
        hk_status status;
    } cases[] = {
        {"math.randomseed = nil", HK_OK},
        {"package.loaded.math = nil", HK_OK},
        {"math.randomseed = function() error('no') end", HK_ERR_CALLBACK},
    };
    for (int i = 0; i < 3; i++) {
        char way[100];
        snprintf(way, sizeof way, "%s", cases[i].way);
        hk_arena_config arena = arena_config();
        hk_lua_pool_config config = pool_config(&arena, 1);
        config.warm_up = break_randomseed;
        config.user_data = way;
        hk_lua_pool *pool;
        lua_State *L;
        cr_assert_eq(hk_lua_pool_create(&config, &pool), HK_OK);
        for (int j = 0; j < 2; j++) {
            cr_assert_eq(hk_lua_pool_take(pool, &L), cases[i].status);
            cr_assert_eq(L == NULL, cases[i].status != HK_OK);
            if (L != NULL)
                cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
            cr_assert_eq(figures_of(pool).idle_states, 1);
        }
        cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
    }
}

/* ---- waiting ---- */

typedef struct waiter {
    hk_lua_pool *pool;
    lua_State *L;
    hk_status status;
    pthread_t thread;
} waiter;

static void *wait_for_state(void *argument) {
    waiter *it = argument;
    it->status = hk_lua_pool_take(it->pool, &it->L);
    return NULL;
}

static void start_waiter(waiter *it, hk_lua_pool *pool) {
    *it = (waiter){.pool = pool};
    cr_assert_eq(pthread_create(&it->thread, NULL, wait_for_state, it), 0);
    while (figures_of(pool).waiting_takes == 0)
        sched_yield();
}

Test(lua_pool, a_take_waits_until_a_state_comes_back_or_ends) {
    hk_lua_pool *pool = new_pool(1);
    lua_State *L;
    cr_assert_eq(hk_lua_pool_take(pool, &L), HK_OK);
    waiter first, second;
    start_waiter(&first, pool);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_ERR_BUSY);
    cr_assert_eq(hk_lua_pool_give(pool, L), HK_OK);
    pthread_join(first.thread, NULL);
    cr_assert_eq(first.status, HK_OK);
    cr_assert_eq(first.L, L);
    start_waiter(&second, pool);
    cr_assert_eq(hk_lua_pool_discard(pool, L), HK_OK);
    pthread_join(second.thread, NULL);
    cr_assert_eq(second.status, HK_OK);
    cr_assert_eq(serve(second.L, 1), 101);
    cr_assert_eq(hk_lua_pool_give(pool, second.L), HK_OK);
    cr_assert_eq(figures_of(pool).takes_that_waited, 2);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

typedef struct gate {
    hk_lua_pool *pool;
    atomic_int warm_ups;
} gate;

/* The first one fails, once somebody waits for it. */
static hk_status fail_when_awaited(lua_State *L, void *user_data) {
    gate *it = user_data;
    (void)L;
    if (atomic_fetch_add(&it->warm_ups, 1) > 0)
        return HK_OK;
    while (figures_of(it->pool).waiting_takes == 0)
        sched_yield();
    return HK_ERR_UNSUPPORTED;
}

Test(lua_pool, who_waits_makes_a_state_when_another_could_not) {
    gate it = {.pool = NULL};
    hk_arena_config arena = arena_config();
    hk_lua_pool_config config = pool_config(&arena, 1);
    config.warm_up = fail_when_awaited;
    config.user_data = &it;
    cr_assert_eq(hk_lua_pool_create(&config, &it.pool), HK_OK);
    waiter unlucky = {.pool = it.pool}, lucky = {.pool = it.pool};
    cr_assert_eq(pthread_create(&unlucky.thread, NULL, wait_for_state, &unlucky), 0);
    while (atomic_load(&it.warm_ups) == 0)
        sched_yield();
    cr_assert_eq(pthread_create(&lucky.thread, NULL, wait_for_state, &lucky), 0);
    pthread_join(unlucky.thread, NULL);
    pthread_join(lucky.thread, NULL);
    cr_assert_eq(unlucky.status, HK_ERR_UNSUPPORTED);
    cr_assert_null(unlucky.L);
    cr_assert_eq(lucky.status, HK_OK);
    cr_assert_eq(hk_lua_pool_give(it.pool, lucky.L), HK_OK);
    cr_assert_eq(hk_lua_pool_destroy(it.pool), HK_OK);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 150 };

typedef struct worker {
    hk_lua_pool *pool;
    unsigned number;
    unsigned errors;
    unsigned discarded;
    pthread_t thread;
} worker;

static void *work(void *argument) {
    worker *it = argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        lua_State *L;
        if (hk_lua_pool_take(it->pool, &L) != HK_OK) {
            it->errors++;
            continue;
        }
        lua_Integer n = (lua_Integer)(it->number * ROUNDS + round);
        it->errors += serve(L, n) != 100 + n;
        it->errors += serve(L, n) != -1;
        bool is_last = round % 50 == 49;
        it->errors += (is_last ? hk_lua_pool_discard(it->pool, L) : hk_lua_pool_give(it->pool, L)) != HK_OK;
        it->discarded += is_last;
    }
    return NULL;
}

static void run_workers(size_t max_states) {
    hk_lua_pool *pool = new_pool(max_states);
    worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){.pool = pool, .number = i};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    size_t discarded = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_assert_eq(workers[i].errors, 0);
        discarded += workers[i].discarded;
    }
    hk_lua_pool_figures figures = figures_of(pool);
    cr_assert_eq(figures.takes, THREADS * ROUNDS);
    cr_assert_eq(figures.taken_states + figures.warming_states + figures.waiting_takes, 0);
    cr_assert_leq(figures.peak_states, max_states);
    cr_assert_eq(figures.idle_states, figures.warm_ups - discarded);
    cr_assert_eq(hk_lua_pool_destroy(pool), HK_OK);
}

Test(lua_pool, more_threads_than_states) {
    run_workers(2);
}

Test(lua_pool, as_many_states_as_threads) {
    run_workers(THREADS);
}
