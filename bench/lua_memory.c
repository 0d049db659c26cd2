/* lua_memory: see lua_memory.h. */
#include "lua_memory.h"

#include "support.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *plain_allocate(void *user_data, void *block, size_t old_size, size_t new_size) {
    const allocator *a = user_data;
    (void)old_size;
    if (new_size == 0) {
        a->release(block);
        return NULL;
    }
    return a->reallocate(block, new_size);
}

void lua_memory_choose(const allocator *a, lua_memory *memory, run_result *result) {
    *memory = (lua_memory){.allocator = a, .allocate = plain_allocate};
    if (a->is_preloaded || strcmp(a->name, "hakmem") != 0)
        return;
    lua_memory ours = *memory;
    void *lua = allocator_open_companion(a, "libhakmem_lua.so");
    if (lua == NULL)
        lua = allocator_open_companion(a, "libhakmem_lua.so.0");
    if (lua != NULL && find_function(lua, "hk_lua_alloc", &ours.allocate) &&
        allocator_find(a, "hk_arena_create", &ours.create_arena) &&
        allocator_find(a, "hk_arena_destroy", &ours.destroy_arena))
        *memory = ours;
    snprintf(result->note, sizeof result->note, "%s",
             memory->create_arena != NULL ? "hk_lua_alloc over an arena"
                                          : "hk_realloc and hk_free, no libhakmem_lua.so");
}

void lua_memory_choose_arenas(const allocator *a, lua_memory *memory, run_result *result) {
    lua_memory_choose(a, memory, result);
    if (memory->create_arena == NULL && strcmp(a->name, "hakmem") == 0 && !a->is_preloaded)
        die(EXIT_UNABLE, "libhakmem_lua.so is not beside %s", a->path);
}

hk_arena_config lua_arena_config(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = 8;
    config.name = "hkbench";
    return config;
}

lua_State *lua_open(const lua_memory *memory, hk_arena *arena) {
    void *user_data = arena != NULL ? (void *)arena : (void *)(uintptr_t)memory->allocator;
    lua_State *L = lua_newstate(memory->allocate, user_data);
    if (L == NULL)
        die(EXIT_FAILED, "the allocator gave no memory for a Lua state");
    luaL_openlibs(L);
    return L;
}

lua_owner lua_owner_open(const lua_memory *memory) {
    lua_owner owner = {0};
    if (memory->create_arena != NULL) {
        hk_arena_config config = lua_arena_config();
        if (memory->create_arena(&config, &owner.arena) != HK_OK)
            die(EXIT_FAILED, "hk_arena_create failed");
    }
    owner.state = lua_open(memory, owner.arena);
    return owner;
}

void lua_owner_close(const lua_memory *memory, const lua_owner *owner) {
    lua_close(owner->state);
    lua_end_arena(memory, owner->arena);
}

void lua_end_arena(const lua_memory *memory, hk_arena *arena) {
    if (arena != NULL && memory->destroy_arena(arena) != HK_OK)
        die(EXIT_FAILED, "hk_arena_destroy failed");
}

void lua_run_text(lua_State *L, const char *text) {
    if (luaL_dostring(L, text))
        die(EXIT_FAILED, "the Lua program failed: %s", lua_tostring(L, -1));
}

void lua_call_global(lua_State *L, const char *name) {
    lua_getglobal(L, name);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        die(EXIT_FAILED, "%s failed: %s", name, lua_tostring(L, -1));
}

void lua_find_program(const char *name, char *path, size_t size) {
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
            "binary_trees, closures, coroutines, deltablue, json, nbody, richards, strings, tables");
}
