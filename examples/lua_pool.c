/* A pool of warm Lua states that threads share. The application is loaded once for each state; a request takes a state,
 * does to it what it likes, and gives it back; the next one finds it as it was when it was loaded. */
#include <hakmem_lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, STATES = 2, REQUESTS = 500 };

static const char application[] = "local prices = {walden = 12, emma = 9}\n"
                                  "visits = 0\n"
                                  "function answer(book)\n"
                                  "    visits = visits + 1\n" /* always 1: each request has the state to itself */
                                  "    prices[book] = prices[book] + 1\n"
                                  "    return ('%s costs %d, visit %d'):format(book, prices[book], visits)\n"
                                  "end\n";

/* Called for each new state; errors may be raised, and are told by the pool. */
static hk_status load_application(lua_State *lua, void *user_data) {
    (void)user_data;
    luaL_openlibs(lua);
    if (luaL_dostring(lua, application) != 0)
        lua_error(lua);
    /* What a request may add to what the application holds. */
    hk_statistics now = {.struct_size = offsetof(hk_statistics, classes)};
    hk_arena *arena = hk_lua_arena(lua);
    hk_status status = hk_arena_statistics(arena, &now);
    return status == HK_OK ? hk_arena_set_limit(arena, now.held_bytes + (1 << 20)) : status;
}

static int is_right(lua_State *lua) {
    lua_getglobal(lua, "answer");
    lua_pushstring(lua, "walden");
    if (lua_pcall(lua, 1, 1, 0) != 0)
        return 0;
    const char *text = lua_tostring(lua, -1);
    lua_pushstring(lua, "walden costs 13, visit 1");
    return text != NULL && lua_rawequal(lua, -1, -2);
}

typedef struct worker {
    hk_lua_pool *pool;
    pthread_t thread;
    size_t right;
} worker;

static void *serve_requests(void *argument) {
    worker *it = argument;
    for (int i = 0; i < REQUESTS; i++) {
        lua_State *lua;
        if (hk_lua_pool_take(it->pool, &lua) != HK_OK) /* waits while all states are taken */
            break;
        it->right += (size_t)is_right(lua);
        if (hk_lua_pool_give(it->pool, lua) != HK_OK) /* rewinds it; nothing is left on its stack */
            break;
    }
    return NULL;
}

int main(void) {
    hk_lua_pool_config config = HK_LUA_POOL_CONFIG_INIT;
    config.warm_up = load_application;
    config.max_states = STATES;
    config.initial_states = 1; /* so that an application that does not load is known at once */
    hk_lua_pool *pool;
    hk_status status = hk_lua_pool_create(&config, &pool);
    if (status != HK_OK) {
        fprintf(stderr, "no pool: %s\n", hk_status_message(status));
        return 1;
    }

    worker workers[THREADS] = {{.pool = pool}};
    size_t right = 0;
    int started = 0;
    for (; started < THREADS; started++) {
        workers[started].pool = pool;
        if (pthread_create(&workers[started].thread, NULL, serve_requests, &workers[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        right += workers[i].right;
    }

    hk_lua_pool_figures figures = {.struct_size = sizeof figures};
    if (hk_lua_pool_statistics(pool, &figures) == HK_OK)
        printf("%zu requests by %d threads, %zu answered rightly; %zu states made, %zu waits\n", figures.takes, started,
               right, figures.warm_ups, figures.takes_that_waited);
    return hk_lua_pool_destroy(pool) == HK_OK && right == (size_t)THREADS * REQUESTS ? 0 : 1;
}
