/* hakmem_lua_state: states that own their arena. No data of its own: the arena is found through lua_getallocf, and
 * what to do with warnings is in which function Lua has for them. Under the state's own rule, one thread at a time. */
#include "hakmem_lua.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

_Static_assert(LUA_VERSION_NUM == 504, "hk_lua_newstate is for Lua 5.4; hk_lua_alloc alone fits other versions");

/* Warnings come in pieces. Between pieces and messages, the function that Lua has is one of:
 *   warn_never   warnings are off
 *   warn_first   warnings are on, a message begins
 *   warn_next    warnings are on, the beginning of the message is written */
static void warn_never(void *state, const char *piece, int more);
static void warn_first(void *state, const char *piece, int more);
static void warn_next(void *state, const char *piece, int more);

/* A message of one piece that starts with '@' is not a warning but a word to this code; unknown ones do nothing. */
static bool obey_control_message(lua_State *L, const char *piece, int more) {
    if (more || piece[0] != '@')
        return false;
    if (strcmp(piece, "@on") == 0)
        lua_setwarnf(L, warn_first, L);
    else if (strcmp(piece, "@off") == 0)
        lua_setwarnf(L, warn_never, L);
    return true;
}

static void warn_never(void *state, const char *piece, int more) {
    (void)obey_control_message(state, piece, more);
}

static void warn_first(void *state, const char *piece, int more) {
    if (obey_control_message(state, piece, more))
        return;
    fputs("Lua warning: ", stderr);
    warn_next(state, piece, more);
}

static void warn_next(void *state, const char *piece, int more) {
    fputs(piece, stderr);
    if (!more) {
        fputc('\n', stderr);
        fflush(stderr);
    }
    lua_setwarnf(state, more ? warn_next : warn_first, state);
}

static int report_panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "PANIC: unprotected error in a call to Lua (%s)\n",
            message != NULL ? message : "error object is not a string");
    fflush(stderr);
    return 0; /* Lua aborts */
}

lua_State *hk_lua_newstate(const hk_arena_config *config) {
    hk_arena_config standard = HK_ARENA_CONFIG_INIT;
    standard.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    standard.min_alignment = 8;
    standard.name = "lua";

    hk_arena *arena;
    if (hk_arena_create(config != NULL ? config : &standard, &arena) != HK_OK)
        return NULL;
    lua_State *L = lua_newstate(hk_lua_alloc, arena);
    if (L == NULL) {
        (void)hk_arena_destroy(arena); /* succeeds, and so leaves hk_last_status() alone */
        return NULL;
    }
    (void)lua_atpanic(L, report_panic);
    lua_setwarnf(L, warn_never, L);
    return L;
}

hk_arena *hk_lua_arena(lua_State *L) {
    void *user_data;
    lua_Alloc function = lua_getallocf(L, &user_data);
    return function == hk_lua_alloc ? user_data : NULL;
}

void hk_lua_close(lua_State *L) {
    if (L == NULL)
        return;
    hk_arena *arena = hk_lua_arena(L);
    lua_close(L);
    if (arena != NULL)
        (void)hk_arena_destroy(arena);
}

void hk_lua_close_fast(lua_State *L) {
    if (L == NULL)
        return;
    hk_arena *arena = hk_lua_arena(L);
    if (arena != NULL)
        (void)hk_arena_destroy(arena);
    else
        lua_close(L);
}
