/* hakmem_lua_state: states that own their arena. No data of its own: the arena is found through lua_getallocf. Under
 * the state's own rule, one thread at a time. */
#include "hakmem_lua_internal.h"

#include <stdio.h>

static int report_panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "PANIC: unprotected error in a call to Lua (%s)\n",
            message != NULL ? message : "error object is not a string");
    fflush(stderr);
    return 0; /* Lua aborts */
}

/* Lifts the limit while the state is made; NULL if the state then holds more, with hk_last_status() of a refusal. */
static lua_State *make_unlimited(hk_arena *arena) {
    size_t limit = hk_arena_limit(arena);
    (void)hk_arena_set_limit(arena, 0);
    lua_State *L = hki_lua_newstate(arena);
    if (limit == 0 || L == NULL)
        return L;
    (void)hk_arena_set_limit(arena, limit);
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    if (hk_arena_statistics(arena, &totals) == HK_OK && totals.held_bytes <= limit)
        return L;
    void *refused = hk_arena_alloc(arena, limit); /* for its status */
    return refused == NULL ? NULL : L;
}

lua_State *hk_lua_newstate(const hk_arena_config *config) {
    hk_arena_config standard = HK_ARENA_CONFIG_INIT;
    standard.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    standard.min_alignment = 8;
    standard.name = "lua";

    hk_arena *arena;
    if (hk_arena_create(config != NULL ? config : &standard, &arena) != HK_OK)
        return NULL;
    lua_State *L = HKI_LUA_STATE_SURVIVES_LIMIT ? hki_lua_newstate(arena) : make_unlimited(arena);
    if (L == NULL) {
        (void)hk_arena_destroy(arena); /* succeeds, and so leaves hk_last_status() alone */
        return NULL;
    }
    (void)lua_atpanic(L, report_panic);
    hki_lua_start_warnings(L);
    return L;
}

hk_arena *hk_lua_arena(lua_State *L) {
    void *user_data;
    lua_Alloc function = lua_getallocf(L, &user_data);
    return function == hk_lua_alloc ? user_data : NULL;
}

/* An arena with children bounds them as long as they live; it ends with the last one. */
static void end_arena(hk_arena *arena) {
    if (hk_arena_destroy(arena) != HK_ERR_BUSY)
        return;
    (void)hk_arena_reset(arena);
    (void)hk_arena_retire(arena);
}

void hk_lua_close(lua_State *L) {
    if (L == NULL)
        return;
    hk_arena *arena = hk_lua_arena(L);
    lua_close(L);
    if (arena != NULL)
        end_arena(arena);
}

void hk_lua_close_fast(lua_State *L) {
    if (L == NULL)
        return;
    hk_arena *arena = hk_lua_arena(L);
    if (arena == NULL) {
        lua_close(L);
        return;
    }
    hki_lua_drop_machine_code(L);
    end_arena(arena);
}
