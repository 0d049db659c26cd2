/* hklua_run: see hklua_run.h. Owns the disposition of SIGINT while a chunk runs, and the pointer through which the
 * signal handler finds the state; both only within hklua_call, on the main thread. */
#include "hklua_run.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lua_State *volatile running_state;

static void raise_interrupt(lua_State *L, lua_Debug *activation) {
    (void)activation;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

/* Setting a hook is all that a signal may do to a state; the hook then raises the error at a safe point. */
static void on_interrupt(int signal_number) {
    (void)signal_number;
    lua_sethook(running_state, raise_interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* Message handler: turns any error object into the text that the user sees. */
static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            return 1; /* the object speaks for itself, without a traceback */
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    return 1;
}

int hklua_call(lua_State *L, int arguments, int results) {
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, handler);

    struct sigaction interrupt = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;
    sigemptyset(&interrupt.sa_mask);
    running_state = L;
    sigaction(SIGINT, &interrupt, &before);
    int status = lua_pcall(L, arguments, results, handler);
    sigaction(SIGINT, &before, NULL);

    lua_remove(L, handler);
    return status;
}

void hklua_message(const char *program, const char *text) {
    if (program != NULL)
        fprintf(stderr, "%s: ", program);
    fprintf(stderr, "%s\n", text);
    fflush(stderr);
}

bool hklua_report(lua_State *L, const char *program, int status) {
    if (status == LUA_OK)
        return true;
    const char *text = lua_tostring(L, -1);
    hklua_message(program, text != NULL ? text : "(error message is not a string)");
    lua_pop(L, 1);
    return false;
}

void hklua_set_arg(lua_State *L, const hklua_options *options) {
    int zero = options->script < options->argc ? options->script : 0;
    lua_createtable(L, options->argc - zero, zero + 1);
    for (int i = 0; i < options->argc; i++) {
        lua_pushstring(L, options->argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
    lua_setglobal(L, "arg");
}

/* `status` is that of loading the chunk on top of the stack. */
static bool run_loaded(lua_State *L, const hklua_options *options, int status) {
    if (status == LUA_OK)
        status = hklua_call(L, 0, 0);
    return hklua_report(L, options->program, status);
}

static bool run_string(lua_State *L, const hklua_options *options, const char *code, const char *chunk_name) {
    return run_loaded(L, options, luaL_loadbuffer(L, code, strlen(code), chunk_name));
}

static bool run_file(lua_State *L, const hklua_options *options, const char *name) {
    return run_loaded(L, options, luaL_loadfile(L, name));
}

bool hklua_run_standard_input(lua_State *L, const hklua_options *options) {
    return run_file(L, options, NULL);
}

bool hklua_run_environment(lua_State *L, const hklua_options *options) {
    const char *chunk_name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
    const char *code = getenv(chunk_name + 1);
    if (code == NULL) {
        chunk_name = "=LUA_INIT";
        code = getenv(chunk_name + 1);
    }
    if (code == NULL)
        return true;
    if (code[0] == '@')
        return run_file(L, options, code + 1);
    return run_string(L, options, code, chunk_name);
}

/* `text` is MODULE or NAME=MODULE. */
static bool run_library(lua_State *L, const hklua_options *options, const char *text) {
    const char *equals = strchr(text, '=');
    const char *module = equals != NULL ? equals + 1 : text;
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int status = hklua_call(L, 1, 1);
    if (status == LUA_OK) {
        lua_pushglobaltable(L);
        lua_pushlstring(L, text, equals != NULL ? (size_t)(equals - text) : strlen(text));
        lua_pushvalue(L, -3);
        lua_settable(L, -3);
        lua_pop(L, 2);
    }
    return hklua_report(L, options->program, status);
}

bool hklua_run_actions(lua_State *L, const hklua_options *options) {
    for (size_t i = 0; i < options->action_count; i++) {
        const hklua_action *action = &options->actions[i];
        bool is_done = true;
        if (action->option == 'e')
            is_done = run_string(L, options, action->text, "=(command line)");
        else if (action->option == 'l')
            is_done = run_library(L, options, action->text);
        else
            lua_warning(L, "@on", 0);
        if (!is_done)
            return false;
    }
    return true;
}

/* Pushes what the table `arg` holds from 1 on, for the script's `...`: the code that ran before may have changed it. */
static int push_arguments(lua_State *L) {
    if (lua_getglobal(L, "arg") != LUA_TTABLE)
        luaL_error(L, "'arg' is not a table");
    int table = lua_gettop(L);
    lua_Integer count = luaL_len(L, table);
    luaL_argcheck(L, count < LUAI_MAXSTACK, 1, "too many arguments to script");
    luaL_checkstack(L, (int)count + 3, "too many arguments to script");
    for (lua_Integer i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return (int)count;
}

bool hklua_run_script(lua_State *L, const hklua_options *options) {
    const char *name = options->argv[options->script];
    bool is_after_double_dash = strcmp(options->argv[options->script - 1], "--") == 0;
    bool is_standard_input = strcmp(name, "-") == 0 && !is_after_double_dash;
    int status = luaL_loadfile(L, is_standard_input ? NULL : name);
    if (status == LUA_OK)
        status = hklua_call(L, push_arguments(L), LUA_MULTRET);
    return hklua_report(L, options->program, status);
}
