/* hakmem_lua_pool: warm states for many threads. A pool's `lock` guards all of it but `config`, which never changes,
 * and the states themselves, which belong to whoever made, took or returns them.
 *
 * Invariants, under the lock:
 *   states[0 .. idle) are idle, at their checkpoint; states[idle .. count) are taken;
 *   idle <= count; count + warming <= max_states; only a taken state has is_leaving set.
 * A state that is being given back or discarded is taken and leaving: its place may move meanwhile, it does not. */
#include "hakmem_lua_internal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { MAX_STATES = 1000000 };

typedef struct pooled_state {
    lua_State *L;
    bool is_leaving;
} pooled_state;

struct hk_lua_pool {
    hk_lua_pool_config config;
    hk_arena_config arena_config; /* what config.arena points to; */
    char arena_name[HK_ARENA_NAME_MAX + 1];
    pthread_mutex_t lock;
    pthread_cond_t room; /* a state has become idle, or another one may be made */
    size_t idle;
    size_t count;
    size_t warming;
    size_t waiting;
    hk_lua_pool_figures totals; /* its peak and what it counts since the beginning */
    pooled_state states[];
};

/* ---- one state ---- */

static void report(const hk_lua_pool_config *config, lua_State *L) {
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the error is not a string";
    if (config->report != NULL)
        config->report(message, config->user_data);
    else
        fprintf(stderr, "hakmem: a Lua state could not be warmed up: %s\n", message);
}

typedef struct warming_up {
    const hk_lua_pool_config *config;
    hk_status status;
} warming_up;

static int call_warm_up(lua_State *L) {
    warming_up *it = lua_touserdata(L, 1);
    lua_settop(L, 0);
    it->status = it->config->warm_up(L, it->config->user_data);
    return 0;
}

static hk_status warm_up(const hk_lua_pool_config *config, lua_State *L) {
    warming_up it = {.config = config, .status = HK_OK};
    hk_status status = hki_lua_status(hki_lua_call_protected(L, call_warm_up, &it));
    if (status == HK_ERR_CALLBACK)
        report(config, L);
    lua_settop(L, 0);
    if (status != HK_OK)
        return status;
    return it.status == HK_OK ? hk_lua_checkpoint(L) : it.status;
}

static hk_status make_state(const hk_lua_pool_config *config, lua_State **made) {
    *made = NULL;
    lua_State *L = hk_lua_newstate(config->arena);
    if (L == NULL)
        return hk_last_status();
    hk_status status = warm_up(config, L);
    if (status == HK_OK)
        *made = L;
    else
        hk_lua_close(L);
    return status;
}

/* Without the system's numbers (a kernel or sandbox that refuses), time and place are better than always the same. */
static uint64_t draw_seed(const lua_State *L) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec) * UINT64_C(0x9e3779b97f4a7c15) ^
           (uintptr_t)L;
}

/* ---- under the lock ---- */

static void note_peak(hk_lua_pool *pool) {
    size_t all = pool->count + pool->warming;
    if (all > pool->totals.peak_states)
        pool->totals.peak_states = all;
}

/* The place of a taken state that is, or is not, leaving; `count` if there is none. */
static size_t find_taken(const hk_lua_pool *pool, const lua_State *L, bool is_leaving) {
    for (size_t i = pool->idle; i < pool->count; i++)
        if (pool->states[i].L == L && pool->states[i].is_leaving == is_leaving)
            return i;
    return pool->count;
}

static void add_taken(hk_lua_pool *pool, lua_State *L) {
    pool->states[pool->count++] = (pooled_state){.L = L};
}

static void make_idle(hk_lua_pool *pool, size_t place) {
    pooled_state state = pool->states[place];
    pool->states[place] = pool->states[pool->idle];
    pool->states[pool->idle++] = state;
}

static void remove_taken(hk_lua_pool *pool, size_t place) {
    pool->states[place] = pool->states[--pool->count];
}

/* ---- taking ---- */

/* Lets the lock go while a state is made. */
static hk_status make_taken(hk_lua_pool *pool, lua_State **L) {
    pool->warming++;
    note_peak(pool);
    pthread_mutex_unlock(&pool->lock);
    hk_status status = make_state(&pool->config, L);
    pthread_mutex_lock(&pool->lock);
    pool->warming--;
    if (status == HK_OK) {
        pool->totals.warm_ups++;
        add_taken(pool, *L);
    } else {
        pool->totals.failed_warm_ups++;
        pthread_cond_signal(&pool->room);
    }
    return status;
}

static void wait_for_room(hk_lua_pool *pool) {
    pool->waiting++;
    pool->totals.takes_that_waited++;
    while (pool->idle == 0 && pool->count + pool->warming == pool->config.max_states)
        pthread_cond_wait(&pool->room, &pool->lock);
    pool->waiting--;
}

static hk_status take_unseeded(hk_lua_pool *pool, bool waits, lua_State **L) {
    hk_status status = HK_OK;
    pthread_mutex_lock(&pool->lock);
    bool is_full = pool->idle == 0 && pool->count + pool->warming == pool->config.max_states;
    if (is_full && waits)
        wait_for_room(pool);
    if (pool->idle > 0)
        *L = pool->states[--pool->idle].L;
    else if (is_full && !waits)
        status = HK_ERR_BUSY;
    else
        status = make_taken(pool, L);
    if (status == HK_OK)
        pool->totals.takes++;
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static hk_status take(hk_lua_pool *pool, bool waits, lua_State **L) {
    if (L == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    *L = NULL;
    if (pool == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    lua_State *taken = NULL;
    hk_status status = take_unseeded(pool, waits, &taken);
    if (status != HK_OK)
        return status;
    status = hki_lua_reseed(taken, draw_seed(taken));
    if (status != HK_OK && status != HK_ERR_UNSUPPORTED) { /* without math.randomseed there is nothing to seed */
        (void)hk_lua_pool_give(pool, taken);
        return status;
    }
    *L = taken;
    return HK_OK;
}

hk_status hk_lua_pool_take(hk_lua_pool *pool, lua_State **L) {
    return take(pool, true, L);
}

hk_status hk_lua_pool_try_take(hk_lua_pool *pool, lua_State **L) {
    return take(pool, false, L);
}

/* ---- giving back ---- */

/* From now on no other thread can give back or discard the state. */
static hk_status begin_leaving(hk_lua_pool *pool, lua_State *L) {
    if (pool == NULL || L == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&pool->lock);
    size_t place = find_taken(pool, L, false);
    bool is_taken = place < pool->count;
    if (is_taken)
        pool->states[place].is_leaving = true;
    pthread_mutex_unlock(&pool->lock);
    return is_taken ? HK_OK : HK_ERR_INVALID_ARGUMENT;
}

typedef enum departure { STAYS_TAKEN, BECOMES_IDLE, IS_GONE } departure;

static void end_leaving(hk_lua_pool *pool, const lua_State *L, departure how) {
    pthread_mutex_lock(&pool->lock);
    size_t place = find_taken(pool, L, true);
    pool->states[place].is_leaving = false;
    if (how == BECOMES_IDLE)
        make_idle(pool, place);
    else if (how == IS_GONE)
        remove_taken(pool, place);
    if (how != STAYS_TAKEN)
        pthread_cond_signal(&pool->room);
    pthread_mutex_unlock(&pool->lock);
}

hk_status hk_lua_pool_give(hk_lua_pool *pool, lua_State *L) {
    hk_status status = begin_leaving(pool, L);
    if (status != HK_OK)
        return status;
    status = hk_lua_rollback(L);
    end_leaving(pool, L, status == HK_OK ? BECOMES_IDLE : STAYS_TAKEN);
    return status;
}

hk_status hk_lua_pool_discard(hk_lua_pool *pool, lua_State *L) {
    hk_arena *arena;
    hk_status status = begin_leaving(pool, L);
    if (status != HK_OK)
        return status;
    status = hki_lua_find_idle(L, &arena);
    if (status == HK_OK)
        hk_lua_close(L);
    end_leaving(pool, L, status == HK_OK ? IS_GONE : STAYS_TAKEN);
    return status;
}

/* ---- the pool ---- */

static bool is_valid(const hk_lua_pool_config *config) {
    if (config == NULL || config->struct_size != sizeof *config || config->warm_up == NULL)
        return false;
    if (config->max_states == 0 || config->max_states > MAX_STATES || config->initial_states > config->max_states)
        return false;
    const hk_arena_config *arena = config->arena;
    if (arena == NULL)
        return true;
    if (arena->struct_size != sizeof *arena && arena->struct_size != offsetof(hk_arena_config, parent))
        return false;
    if ((arena->flags & HK_ARENA_REWINDABLE) == 0)
        return false;
    return arena->name == NULL || strnlen(arena->name, HK_ARENA_NAME_MAX + 1) <= HK_ARENA_NAME_MAX;
}

static void copy_config(hk_lua_pool *pool, const hk_lua_pool_config *config) {
    pool->config = *config;
    pool->arena_config = HK_ARENA_CONFIG_INIT;
    pool->arena_config.flags = HK_ARENA_REWINDABLE;
    pool->arena_config.min_alignment = 8;
    pool->arena_config.name = "lua";
    if (config->arena != NULL)
        memcpy(&pool->arena_config, config->arena, config->arena->struct_size);
    if (pool->arena_config.name != NULL) {
        memcpy(pool->arena_name, pool->arena_config.name, strlen(pool->arena_config.name) + 1);
        pool->arena_config.name = pool->arena_name;
    }
    pool->config.arena = &pool->arena_config;
}

static hk_status make_initial_states(hk_lua_pool *pool) {
    for (size_t i = 0; i < pool->config.initial_states; i++) {
        lua_State *L;
        hk_status status = make_state(&pool->config, &L);
        if (status != HK_OK)
            return status;
        add_taken(pool, L);
        make_idle(pool, i);
        pool->totals.warm_ups++;
    }
    note_peak(pool);
    return HK_OK;
}

hk_status hk_lua_pool_create(const hk_lua_pool_config *config, hk_lua_pool **pool) {
    if (pool == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    *pool = NULL;
    if (!is_valid(config))
        return HK_ERR_INVALID_ARGUMENT;
    hk_lua_pool *made = hk_calloc(1, sizeof *made + config->max_states * sizeof made->states[0]);
    if (made == NULL)
        return hk_last_status();
    copy_config(made, config);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->room, NULL);
    hk_status status = make_initial_states(made);
    if (status != HK_OK) {
        (void)hk_lua_pool_destroy(made);
        return status;
    }
    *pool = made;
    return HK_OK;
}

hk_status hk_lua_pool_destroy(hk_lua_pool *pool) {
    if (pool == NULL)
        return HK_ERR_INVALID_ARGUMENT;
    pthread_mutex_lock(&pool->lock);
    bool is_in_use = pool->idle < pool->count || pool->warming > 0 || pool->waiting > 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_in_use)
        return HK_ERR_BUSY;
    for (size_t i = 0; i < pool->count; i++)
        hk_lua_close(pool->states[i].L);
    pthread_cond_destroy(&pool->room);
    pthread_mutex_destroy(&pool->lock);
    hk_free(pool);
    return HK_OK;
}

hk_status hk_lua_pool_statistics(hk_lua_pool *pool, hk_lua_pool_figures *figures) {
    if (pool == NULL || figures == NULL || figures->struct_size < sizeof figures->struct_size)
        return HK_ERR_INVALID_ARGUMENT;
    size_t size = figures->struct_size < sizeof *figures ? figures->struct_size : sizeof *figures;
    pthread_mutex_lock(&pool->lock);
    hk_lua_pool_figures now = pool->totals;
    now.struct_size = figures->struct_size;
    now.max_states = pool->config.max_states;
    now.idle_states = pool->idle;
    now.taken_states = pool->count - pool->idle;
    now.warming_states = pool->warming;
    now.waiting_takes = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    memcpy(figures, &now, size);
    return HK_OK;
}
