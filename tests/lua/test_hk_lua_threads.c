/* States on many threads without a pool: some to each, or handed from one to the other under a lock. Threads count what
 * goes wrong; the main thread asserts. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>
#include <pthread.h>

#include "lua_versions.h"

enum { THREADS = 4, ROUNDS = 150 };

/* States go from hand to hand: each thread uses what it has, and swaps it for the one on the table. */
typedef struct hand_over {
    pthread_mutex_t lock;
    lua_State *table;
} hand_over;

typedef struct player {
    hand_over *place;
    lua_State *L;
    unsigned errors;
    pthread_t thread;
} player;

static const char keep_and_check[] = "store = store or {} "
                                     "for i = 1, 50 do store[#store + 1] = {('x'):rep(i), function() return i end} end "
                                     "for i = 1, #store do assert(store[i][2]() == (i - 1) % 50 + 1) end "
                                     "if #store > 2000 then store = nil end";

static void *play(void *argument) {
    player *it = argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        it->errors += luaL_dostring(it->L, keep_and_check) != LUA_OK;
        lua_settop(it->L, 0);
        pthread_mutex_lock(&it->place->lock);
        lua_State *other = it->place->table;
        it->place->table = it->L;
        pthread_mutex_unlock(&it->place->lock);
        it->L = other;
    }
    return NULL;
}

Test(lua_threads, states_move_between_threads) {
    hand_over place = {.lock = PTHREAD_MUTEX_INITIALIZER};
    player players[THREADS];
    lua_State *states[THREADS + 1];
    for (int i = 0; i <= THREADS; i++) {
        states[i] = hk_lua_newstate(NULL);
        luaL_openlibs(states[i]);
    }
    place.table = states[THREADS];
    for (int i = 0; i < THREADS; i++) {
        players[i] = (player){.place = &place, .L = states[i]};
        cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(players[i].thread, NULL);
        cr_assert_eq(players[i].errors, 0);
    }
    for (int i = 0; i <= THREADS; i++) {
        cr_assert_eq(hk_arena_check(hk_lua_arena(states[i])), HK_OK);
        hk_lua_close(states[i]);
    }
}

/* States of its own for each thread; now and then one is left to the main thread, which closes it. */
static void *live_alone(void *argument) {
    player *it = argument;
    for (unsigned round = 0; round < ROUNDS / 5; round++) {
        lua_State *L = hk_lua_newstate(NULL);
        if (L == NULL) {
            it->errors++;
            return NULL;
        }
        luaL_openlibs(L);
        it->errors += luaL_dostring(L, keep_and_check) != LUA_OK;
        it->errors += hk_arena_check(hk_lua_arena(L)) != HK_OK;
        if (round + 1 == ROUNDS / 5)
            it->L = L;
        else if (round % 2 == 0)
            hk_lua_close(L);
        else
            hk_lua_close_fast(L);
    }
    return NULL;
}

Test(lua_threads, states_of_their_own) {
    player players[THREADS] = {{.L = NULL}};
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&players[i].thread, NULL, live_alone, &players[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(players[i].thread, NULL);
        cr_assert_eq(players[i].errors, 0);
        cr_assert_not_null(players[i].L);
        hk_lua_close(players[i].L);
    }
}
