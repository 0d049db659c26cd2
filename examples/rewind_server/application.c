/* application: see application.h. This is where hakmem comes in: arena, limit, checkpoint, rollback. */
#include "application.h"

#include <hakmem_lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Address space, not memory: room for what the limit allows however it is scattered. */
#define RESERVE_PER_LIMIT 4
#define RESERVE_BYTES ((size_t)64 << 20)

/* Lua's message for a lack of memory; luaL_Buffer and wrapped coroutines raise it as an ordinary error. */
static const char no_memory[] = "not enough memory";

/* io and os are left out: open files, the environment and the locale would not go back. */
static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},       {LUA_LOADLIBNAME, luaopen_package}, {LUA_COLIBNAME, luaopen_coroutine},
    {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},   {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8}, {LUA_DBLIBNAME, luaopen_debug},
};

static const char *const isolation_names[] = {
    [APPLICATION_REWOUND] = "rewind",
    [APPLICATION_REOPENED] = "reopen",
    [APPLICATION_KEPT] = "none",
};

static hk_status totals_of(lua_State *L, hk_statistics *totals) {
    totals->struct_size = offsetof(hk_statistics, classes);
    return hk_arena_statistics(hk_lua_arena(L), totals);
}

/* ---- what the application can ask of its host: require("host") ---- */

static void set_count(lua_State *L, const char *name, size_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static int host_statistics(lua_State *L) {
    hk_statistics totals;
    hk_status status = totals_of(L, &totals);
    if (status != HK_OK)
        return luaL_error(L, "statistics: %s", hk_status_message(status));
    lua_createtable(L, 0, 6);
    set_count(L, "held_bytes", totals.held_bytes);
    set_count(L, "peak_held_bytes", totals.peak_held_bytes);
    set_count(L, "limit_bytes", totals.limit_bytes);
    set_count(L, "limit_failures", totals.limit_failures);
    set_count(L, "live_blocks", totals.live_blocks);
    set_count(L, "live_bytes", totals.live_bytes);
    return 1;
}

static void add_host_module(lua_State *L, application_isolation isolation) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, host_statistics);
    lua_setfield(L, -2, "statistics");
    lua_pushstring(L, isolation_names[isolation]);
    lua_setfield(L, -2, "isolation");
    lua_setfield(L, -2, "host");
    lua_pop(L, 1);
}

/* ---- loading ---- */

static void set_module_path(lua_State *L, const char *application) {
    const char *slash = strrchr(application, '/');
    lua_getglobal(L, LUA_LOADLIBNAME);
    if (slash != NULL)
        lua_pushlstring(L, application, (size_t)(slash - application));
    else
        lua_pushstring(L, ".");
    lua_pushstring(L, "/?.lua");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
}

static int load(lua_State *L) {
    const application_settings *settings = lua_touserdata(L, 1);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    set_module_path(L, settings->path);
    add_host_module(L, settings->isolation);
    if (luaL_loadfilex(L, settings->path, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "%s returned a %s, not a function that answers requests", settings->path,
                          luaL_typename(L, -1));
    return 1;
}

static bool set_limit(lua_State *L, size_t limit_bytes) {
    hk_statistics totals;
    hk_status status = totals_of(L, &totals);
    if (status == HK_OK && totals.held_bytes > limit_bytes) {
        fprintf(stderr, "rewind_server: --limit: the application alone holds %zuK\n", totals.held_bytes / 1024);
        return false;
    }
    if (status == HK_OK)
        status = hk_arena_set_limit(hk_lua_arena(L), limit_bytes);
    if (status != HK_OK)
        fprintf(stderr, "rewind_server: --limit: %s\n", hk_status_message(status));
    return status == HK_OK;
}

static bool load_into(lua_State *L, const application_settings *settings) {
    lua_pushcfunction(L, load);
    lua_pushlightuserdata(L, (void *)(uintptr_t)settings);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "rewind_server: %s\n", message != NULL ? message : "error that is no text");
        return false;
    }
    if (!set_limit(L, settings->limit_bytes))
        return false;
    if (settings->isolation != APPLICATION_REWOUND)
        return true;
    hk_status status = hk_lua_checkpoint(L);
    if (status != HK_OK)
        fprintf(stderr, "rewind_server: checkpoint: %s\n", hk_status_message(status));
    return status == HK_OK;
}

bool application_open(application *app, const application_settings *settings) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8; /* all that Lua needs */
    config.name = "application";
    if (settings->isolation == APPLICATION_REWOUND) {
        config.flags = HK_ARENA_REWINDABLE;
        config.reserve_bytes = RESERVE_PER_LIMIT * settings->limit_bytes + RESERVE_BYTES;
    }
    app->settings = *settings;
    app->lua = hk_lua_newstate(&config);
    if (app->lua == NULL) {
        fprintf(stderr, "rewind_server: no Lua state: %s\n", hk_status_message(hk_last_status()));
        return false;
    }
    if (!load_into(app->lua, &app->settings)) {
        application_close(app);
        return false;
    }
    return true;
}

void application_close(application *app) {
    hk_lua_close(app->lua);
    app->lua = NULL;
}

/* ---- requests ---- */

/* An error's message, with where it happened. Runs before the stack unwinds; not for errors of memory, mostly. */
static int explain(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL)
        message = lua_pushfstring(L, "error that is a %s", luaL_typename(L, 1));
    if (strcmp(message, no_memory) == 0)
        return 1;
    luaL_traceback(L, L, message, 1);
    return 1;
}

application_result application_run(application *app, lua_CFunction work, void *argument, const char **message) {
    lua_State *L = app->lua;
    *message = NULL;
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, work);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, argument);
    int status = lua_pcall(L, 2, 0, 2);
    if (status == LUA_OK)
        return APPLICATION_DONE;
    *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "error while an error was handled";
    bool is_memory = status == LUA_ERRMEM || strcmp(*message, no_memory) == 0;
    return is_memory ? APPLICATION_NO_MEMORY : APPLICATION_FAILED;
}

/* Each request draws numbers of its own from math.random. */
static bool rewind_state(lua_State *L) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        perror("rewind_server: getrandom");
        return false;
    }
    hk_status status = hk_lua_rollback_seed(L, seed);
    if (status != HK_OK)
        fprintf(stderr, "rewind_server: rollback: %s\n", hk_status_message(status));
    return status == HK_OK;
}

bool application_renew(application *app) {
    switch (app->settings.isolation) {
    case APPLICATION_REWOUND:
        return rewind_state(app->lua);
    case APPLICATION_REOPENED: {
        application_settings settings = app->settings;
        hk_lua_close_fast(app->lua);
        return application_open(app, &settings);
    }
    case APPLICATION_KEPT:
        lua_settop(app->lua, 1);
        return true;
    }
    return false;
}
