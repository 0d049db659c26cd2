/* In a program without Lua: libhakmem_lua.so loads, and hk_lua_alloc serves an arena of the program.
 * usage: test_hk_lua_without_lua LIBRARY */
#include <dlfcn.h>
#include <hakmem.h>
#include <stdio.h>
#include <string.h>

typedef void *(*lua_allocate)(void *arena, void *pointer, size_t old_size, size_t new_size);

static int fail(const char *what) {
    fprintf(stderr, "failed: %s\n", what);
    return 1;
}

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL) : NULL;
    void *address = library != NULL ? dlsym(library, "hk_lua_alloc") : NULL;
    if (address == NULL)
        return fail("dlopen and dlsym");
    lua_allocate allocate;
    memcpy(&allocate, &address, sizeof allocate);

    hk_arena *arena;
    if (hk_arena_create(NULL, &arena) != HK_OK)
        return fail("hk_arena_create");
    char *block = allocate(arena, NULL, 0, 100);
    if (block == NULL || hk_arena_of(block) != arena)
        return fail("allocation");
    memset(block, 1, 100);
    block = allocate(arena, block, 100, 5000);
    if (block == NULL || block[99] != 1)
        return fail("growth");
    if (allocate(arena, block, 5000, 0) != NULL || hk_arena_of(block) != NULL)
        return fail("release");
    return hk_arena_destroy(arena) == HK_OK ? 0 : fail("hk_arena_destroy");
}
