/* hklua_repl: the interactive mode. */
#ifndef HKLUA_REPL_H
#define HKLUA_REPL_H

#include <lua.h>

/* Reads, runs and prints until the end of the input. Errors are told and end nothing but their line. */
void hklua_repl(lua_State *L);

#endif
