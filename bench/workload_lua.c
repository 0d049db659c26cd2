/* workload_lua: a Lua program, its whole state in the allocator under test. The interpreter is the static library.
 *
 * hakmem is used as its Lua users do: hk_lua_alloc over an arena of one thread at a time, when libhakmem_lua.so lies
 * beside libhakmem.so. The others, and hakmem without it, get what lauxlib.c gives: realloc and free. The time is that of
 * the state's whole life, from making the arena to closing the state. `print` goes to the result, not to the terminal. */
#include "support.h"
#include "workloads.h"

#include <dlfcn.h>
#include <hakmem.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct lua_memory {
    lua_Alloc allocate;
    void *user_data;
    hk_arena *arena;
    hk_status (*create_arena)(const hk_arena_config *config, hk_arena **arena); /* NULL: no arena is used */
    hk_status (*destroy_arena)(hk_arena *arena);
} lua_memory;

static void *plain_allocate(void *user_data, void *block, size_t old_size, size_t new_size) {
    const allocator *a = user_data;
    (void)old_size;
    if (new_size == 0) {
        a->release(block);
        return NULL;
    }
    return a->reallocate(block, new_size);
}

/* dlsym for functions: ISO C has no cast for it. */
static void find_function(void *handle, const char *name, void *function) {
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
}

static void choose_memory(const allocator *a, lua_memory *memory, run_result *result) {
    *memory = (lua_memory){.allocate = plain_allocate, .user_data = (void *)(uintptr_t)a};
    if (strcmp(a->name, "hakmem") != 0)
        return;
    lua_memory ours = *memory;
    void *core = dlopen(a->path, RTLD_NOW | RTLD_LOCAL);
    void *lua = allocator_open_companion(a, "libhakmem_lua.so");
    if (lua == NULL)
        lua = allocator_open_companion(a, "libhakmem_lua.so.0");
    if (core != NULL && lua != NULL) {
        find_function(lua, "hk_lua_alloc", &ours.allocate);
        find_function(core, "hk_arena_create", &ours.create_arena);
        find_function(core, "hk_arena_destroy", &ours.destroy_arena);
    }
    if (ours.create_arena != NULL && ours.destroy_arena != NULL && ours.allocate != plain_allocate &&
        ours.allocate != NULL)
        *memory = ours;
    snprintf(result->note, sizeof result->note, "%s",
             memory->create_arena != NULL ? "hk_lua_alloc over an arena"
                                          : "hk_realloc and hk_free, no libhakmem_lua.so");
}

static void open_arena(lua_memory *memory) {
    if (memory->create_arena == NULL)
        return;
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    config.name = "hkbench";
    if (memory->create_arena(&config, &memory->arena) != HK_OK)
        die(EXIT_FAILED, "hk_arena_create failed");
    memory->user_data = memory->arena;
}

/* The Lua function `print`; its upvalue is the result. What does not fit is cut off. */
static int print_to_result(lua_State *L) {
    run_result *result = lua_touserdata(L, lua_upvalueindex(1));
    size_t used = strlen(result->output);
    for (int i = 1; i <= lua_gettop(L); i++) {
        const char *text = luaL_tolstring(L, i, NULL);
        used += (size_t)snprintf(result->output + used, sizeof result->output - used, "%s%s",
                                 i > 1 ? "\t" : (used > 0 ? "\n" : ""), text);
        used = used < sizeof result->output ? used : sizeof result->output - 1;
        lua_pop(L, 1);
    }
    return 0;
}

static void run_program(const lua_memory *memory, const char *path, uint64_t size, run_result *result) {
    lua_State *L = lua_newstate(memory->allocate, memory->user_data);
    if (L == NULL)
        die(EXIT_FAILED, "the allocator gave no memory for a Lua state");
    luaL_openlibs(L);
    lua_pushlightuserdata(L, result);
    lua_pushcclosure(L, print_to_result, 1);
    lua_setglobal(L, "print");
    result->output[0] = '\0';
    int status = luaL_loadfile(L, path);
    int arguments = 0;
    if (status == LUA_OK && size > 0) {
        lua_pushfstring(L, "%I", (LUAI_UACINT)size);
        arguments = 1;
    }
    if (status == LUA_OK)
        status = lua_pcall(L, arguments, 0, 0);
    if (status != LUA_OK)
        die(EXIT_FAILED, "the Lua program failed: %s", lua_tostring(L, -1));
    lua_close(L);
}

/* Looks where an installed hkbench keeps its programs, then in the source tree that this one was built from. */
static void find_script(const char *name, char *path, size_t size) {
    snprintf(path, size, "%s", name);
    if (strchr(name, '/') != NULL || strstr(name, ".lua") != NULL) {
        if (access(path, R_OK) != 0)
            die(EXIT_USAGE, "cannot read the Lua program %s", path);
        return;
    }
    char folder[512];
    program_directory(folder, sizeof folder);
    snprintf(path, size, "%s/../share/hakmem/bench/lua/%s.lua", folder, name);
    if (access(path, R_OK) != 0)
        snprintf(path, size, "%s/%s.lua", HKBENCH_LUA_DIR, name);
    if (access(path, R_OK) != 0)
        die(EXIT_USAGE, "there is no Lua program '%s'; give the path of a .lua file, or one of %s", name,
            "binary_trees, strings, nbody, json");
}

void run_lua(const allocator *allocator, const run_options *options, run_result *result) {
    char path[640];
    lua_memory memory;
    find_script(options->script, path, sizeof path);
    choose_memory(allocator, &memory, result);
    double start = seconds_now();
    for (uint64_t i = 0; i < options->operations; i++) {
        open_arena(&memory);
        run_program(&memory, path, options->blocks, result);
        if (memory.arena != NULL && memory.destroy_arena(memory.arena) != HK_OK)
            die(EXIT_FAILED, "hk_arena_destroy failed");
    }
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
}
