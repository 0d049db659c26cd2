/* hklua: a stand-alone Lua interpreter, all of whose state lives in one hakmem arena. Behaves as lua5.4 does, and adds
 * a limit of memory, statistics and a picture of it.
 *
 *   hklua.c             from the command line to the exit status
 *   hklua_options.c     what the command line says
 *   hklua_run.c         chunks, scripts, libraries, errors, SIGINT
 *   hklua_repl.c        the interactive mode
 *   hklua_end.c         the moment of --stats and --heap-map
 *   hklua_statistics.c  --stats
 *   hklua_heap_map.c    --heap-map
 *
 * Exit status: 0, 1 for an error of the command line or of Lua or a picture that could not be written, or what the
 * script gives to os.exit. */
#include "hakmem_lua.h"
#include "hklua_end.h"
#include "hklua_heap_map.h"
#include "hklua_options.h"
#include "hklua_repl.h"
#include "hklua_run.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REPEAT_RESERVE_BYTES ((size_t)4 << 30)

static void print_version(void) {
    printf("%s, on hakmem %s\n", LUA_COPYRIGHT, hk_version());
    fflush(stdout);
}

/* The limit is for what the script adds; one that the bare interpreter does not fit in is a mistake, said at once. */
static bool apply_limit(const hklua_options *options, hk_arena *arena) {
    if (options->limit_bytes == 0)
        return true;
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    hk_status status = hk_arena_statistics(arena, &totals);
    if (status == HK_OK && options->limit_bytes < totals.held_bytes) {
        fprintf(stderr, "%s: --limit: '%s' is too small: Lua and its libraries alone hold %zuK\n", options->program,
                options->limit_text, (totals.held_bytes + 1023) / 1024);
        return false;
    }
    if (status == HK_OK)
        status = hk_arena_set_limit(arena, options->limit_bytes);
    if (status != HK_OK)
        fprintf(stderr, "%s: --limit: %s\n", options->program, hk_status_message(status));
    return status == HK_OK;
}

static bool run_program(lua_State *L, const hklua_options *options) {
    bool has_script = options->script < options->argc;
    if (!options->ignore_environment && !hklua_run_environment(L, options))
        return false;
    if (!hklua_run_actions(L, options))
        return false;
    if (options->repeat > 0)
        return true; /* the script comes later, when no call is active */
    if (has_script && !hklua_run_script(L, options))
        return false;
    if (options->interactive) {
        hklua_repl(L);
        return true;
    }
    if (has_script || options->has_statements || options->show_version)
        return true;
    if (!isatty(STDIN_FILENO))
        return hklua_run_standard_input(L, options);
    print_version();
    hklua_repl(L);
    return true;
}

/* The interpreter within a protected call. Takes the options as light userdata, returns whether all went well. */
static int interpret(lua_State *L) {
    const hklua_options *options = lua_touserdata(L, 1);
    hk_arena *arena = hk_lua_arena(L);
    luaL_checkversion(L);
    if (options->show_version)
        print_version();
    if (options->ignore_environment) {
        lua_pushboolean(L, 1); /* what the library `package` looks for */
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    bool is_done = apply_limit(options, arena);
    if (is_done) {
        hklua_set_arg(L, options);
        lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 */
        is_done = run_program(L, options);
    }
    lua_pushboolean(L, is_done);
    return 1;
}

/* Leaves the function's one result on the stack, or reports its error. */
static bool call_with_options(lua_State *L, lua_CFunction function, hklua_options *options) {
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, options);
    return hklua_report(L, options->program, lua_pcall(L, 1, 1, 0));
}

static int run_script(lua_State *L) {
    lua_pushboolean(L, hklua_run_script(L, lua_touserdata(L, 1)));
    return 1;
}

static bool report_status(const hklua_options *options, const char *what, hk_status status) {
    if (status != HK_OK)
        fprintf(stderr, "%s: --repeat: cannot %s the state: %s\n", options->program, what, hk_status_message(status));
    return status == HK_OK;
}

/* Runs the script again and again, each time from the same state. */
static bool repeat_script(lua_State *L, hklua_options *options) {
    bool is_done = report_status(options, "keep", hk_lua_checkpoint(L));
    for (size_t i = 0; is_done && i < options->repeat; i++) {
        is_done = call_with_options(L, run_script, options) && lua_toboolean(L, -1);
        is_done = report_status(options, "rewind", hk_lua_rollback(L)) && is_done;
    }
    return is_done;
}

static void close_state(lua_State *L, const hklua_options *options) {
    if (options->fast_close) {
        hklua_end_now();
        hk_lua_close_fast(L);
    } else {
        hk_lua_close(L);
    }
}

static bool run(hklua_options *options) {
    if (options->heap_map != NULL && !hklua_heap_map_open(options))
        return false;
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = options->repeat > 0 ? HK_ARENA_REWINDABLE : HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.reserve_bytes = options->repeat > 0 ? REPEAT_RESERVE_BYTES : 0;
    config.min_alignment = 8;
    config.name = "hklua";
    lua_State *L = hk_lua_newstate(&config);
    if (L == NULL) {
        fprintf(stderr, "%s: cannot make a state: %s\n", options->program, hk_status_message(hk_last_status()));
        return false;
    }
    bool is_done = true;
    if (options->statistics != HKLUA_STATISTICS_NONE || options->heap_map != NULL)
        is_done = call_with_options(L, hklua_end_arrange, options);
    is_done = is_done && call_with_options(L, interpret, options) && lua_toboolean(L, -1);
    if (is_done && options->repeat > 0)
        is_done = repeat_script(L, options);
    close_state(L, options);
    return is_done && !hklua_heap_map_has_failed();
}

int main(int argc, char **argv) {
    static hklua_options options; /* the exit handler looks at it */
    hklua_parse_result parsed = hklua_options_parse(argc, argv, &options);
    bool is_done = parsed == HKLUA_PARSE_DONE || (parsed == HKLUA_PARSE_RUN && run(&options));
    hklua_options_free(&options);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
