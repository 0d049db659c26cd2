/* hakmem_lua_warnings: what luaL_newstate does with warnings, in Lua that has them. No data of its own: the state is in
 * which function Lua has for them. Under the Lua state's own rule, one thread at a time. */
#include "hakmem_lua_internal.h"

#if LUA_VERSION_NUM >= 504

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

void hki_lua_start_warnings(lua_State *L) {
    lua_setwarnf(L, warn_never, L);
}

#endif
