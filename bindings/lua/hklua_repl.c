/* hklua_repl: see hklua_repl.h. The stack of L belongs to it while it runs. Input comes through readline, whose buffers
 * and history are taken from malloc: they are not the script's and do not count against its limit. readline is loaded
 * when somebody types, and not before: scripts would pay for it with half a MB and a third of the time that hklua needs
 * to start. Where it is not installed, lines are read without it. */
#include "hklua_repl.h"

#include "hklua_run.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <readline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char chunk_name[] = "=stdin";

#define TEXT_OF(number) TEXT_OF_VALUE(number)
#define TEXT_OF_VALUE(number) #number
static const char readline_library[] = "libreadline.so." TEXT_OF(RL_VERSION_MAJOR);

/* ---- lines ---- */

static struct {
    char *(*read)(const char *prompt);
    void (*remember)(const char *text);
} input;

static char *read_plainly(const char *prompt) {
    char *line = NULL;
    size_t size = 0;
    fputs(prompt, stdout);
    fflush(stdout);
    ssize_t length = getline(&line, &size, stdin);
    if (length < 0) {
        free(line);
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\n')
        line[length - 1] = '\0';
    return line;
}

static void forget(const char *text) {
    (void)text;
}

/* ISO C has no cast from dlsym's object pointer to a function pointer. */
static bool find(void *library, const char *name, void *function) {
    void *address = library != NULL ? dlsym(library, name) : NULL;
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static void open_input(void) {
    void *library = dlopen(readline_library, RTLD_NOW | RTLD_LOCAL);
    const char **name;
    if (!find(library, "readline", &input.read) || !find(library, "add_history", &input.remember)) {
        input.read = read_plainly;
        input.remember = forget;
    } else if (find(library, "rl_readline_name", &name)) {
        *name = "lua"; /* so that `$if lua` in the user's inputrc holds */
    }
}

/* ---- chunks ---- */

/* Pushes the prompt as a string: the value of the global, or the usual text. */
static const char *push_prompt(lua_State *L, const char *global, const char *usual) {
    if (lua_getglobal(L, global) == LUA_TNIL) {
        lua_pop(L, 1);
        return lua_pushstring(L, usual);
    }
    const char *prompt = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
    return prompt;
}

/* Pushes a line of input as text of Lua and returns true, or pushes nothing and returns false at the end of the input.
 * "=x" is short for "return x" at the start of a chunk. */
static bool push_line(lua_State *L, bool is_first) {
    const char *prompt = is_first ? push_prompt(L, "_PROMPT", "> ") : push_prompt(L, "_PROMPT2", ">> ");
    char *line = input.read(prompt);
    lua_pop(L, 1);
    if (line == NULL)
        return false;
    if (is_first && line[0] == '=')
        lua_pushfstring(L, "return %s", line + 1);
    else
        lua_pushstring(L, line);
    free(line);
    return true;
}

static void remember(const char *text) {
    if (text[0] != '\0')
        input.remember(text);
}

/* Whether the error message on top of the stack says that the chunk stopped in the middle. */
static bool wants_more(lua_State *L, int status) {
    static const char mark[] = "<eof>";
    size_t length;
    const char *message = lua_tolstring(L, -1, &length);
    size_t mark_length = sizeof mark - 1;
    return status == LUA_ERRSYNTAX && length >= mark_length && strcmp(message + length - mark_length, mark) == 0;
}

/* With the text of a line at index 1: pushes it as a function if it is an expression, or else pushes nothing. */
static int load_expression(lua_State *L) {
    const char *line = lua_tostring(L, 1);
    const char *code = lua_pushfstring(L, "return %s", line);
    int status = luaL_loadbuffer(L, code, strlen(code), chunk_name);
    if (status == LUA_OK)
        lua_remove(L, -2);
    else
        lua_pop(L, 2);
    return status;
}

/* With the text of a line at index 1: pushes a function or an error message, and reads on for as long as the text is
 * the beginning of a statement. The text at 1 becomes all that was read. */
static int load_statement(lua_State *L) {
    for (;;) {
        size_t length;
        const char *code = lua_tolstring(L, 1, &length);
        int status = luaL_loadbuffer(L, code, length, chunk_name);
        if (!wants_more(L, status) || !push_line(L, false))
            return status;
        lua_remove(L, -2); /* the message; the new line is on top */
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, 1), lua_tostring(L, -1));
        lua_replace(L, 1);
        lua_settop(L, 1);
    }
}

/* Reads a chunk and leaves it, or what is wrong with it, alone on the stack. The status of loading; -1: no input. */
static int read_chunk(lua_State *L) {
    lua_settop(L, 0);
    if (!push_line(L, true))
        return -1;
    int status = load_expression(L);
    if (status != LUA_OK)
        status = load_statement(L);
    remember(lua_tostring(L, 1));
    lua_remove(L, 1);
    return status;
}

/* Prints all values on the stack with the global `print`, as far as there are any. */
static void print_results(lua_State *L) {
    int count = lua_gettop(L);
    if (count == 0)
        return;
    luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    if (lua_pcall(L, count, 0, 0) != LUA_OK)
        hklua_message(NULL, lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1)));
}

void hklua_repl(lua_State *L) {
    open_input();
    int status;
    while ((status = read_chunk(L)) != -1) {
        if (status == LUA_OK)
            status = hklua_call(L, 0, LUA_MULTRET);
        if (hklua_report(L, NULL, status))
            print_results(L);
    }
    lua_settop(L, 0);
    fputc('\n', stdout);
    fflush(stdout);
}
