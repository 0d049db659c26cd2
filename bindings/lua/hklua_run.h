/* hklua_run: carries out chunks, scripts and libraries in a state, and tells their errors. */
#ifndef HKLUA_RUN_H
#define HKLUA_RUN_H

#include "hklua_options.h"

#include <lua.h>
#include <stdbool.h>

/* Calls as lua_pcall does, with a traceback added to the message of an error, and so that SIGINT ends the call with an
 * error (a second SIGINT ends the process). */
int hklua_call(lua_State *L, int arguments, int results);

/* If `status` is an error, pops its message and writes it to standard error, after "program: " unless that is NULL.
 * Returns whether there was no error. */
bool hklua_report(lua_State *L, const char *program, int status);

/* Writes a message in the same form. */
void hklua_message(const char *program, const char *text);

/* Sets the global `arg`: the script at 0, its arguments after it, what stands before it at negative indices. */
void hklua_set_arg(lua_State *L, const hklua_options *options);

/* Each runs something, reports its errors, and returns whether there was none. */
bool hklua_run_environment(lua_State *L, const hklua_options *options); /* LUA_INIT_5_4 or LUA_INIT */
bool hklua_run_actions(lua_State *L, const hklua_options *options);     /* -e, -l, -W in their order */
bool hklua_run_script(lua_State *L, const hklua_options *options);
bool hklua_run_standard_input(lua_State *L, const hklua_options *options);

#endif
