/* lua_paths: calls of a Lua allocator function, one kind of them over and over, for bench/lua_instructions to count.
 * The function is hk_lua_alloc, or with l_alloc that of lauxlib.c on whatever malloc there is.
 *
 * usage: lua_paths hk_lua_alloc|l_alloc pair|same|move|null COUNT */
#include <hakmem_lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_BYTES = 56, STRING_BYTES = 41, LIVE = 64 };

static void *l_alloc(void *user_data, void *pointer, size_t old_size, size_t new_size) {
    (void)user_data;
    (void)old_size;
    if (new_size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, new_size);
}

/* A table is made where another one has been freed. */
static void make_pairs(lua_Alloc allocate, void *user_data, size_t count) {
    void *live[LIVE] = {NULL};
    for (size_t i = 0; i < count + LIVE; i++) {
        void **at = &live[i % LIVE];
        if (*at != NULL)
            (void)allocate(user_data, *at, TABLE_BYTES, 0);
        *at = i < count ? allocate(user_data, NULL, LUA_TTABLE, TABLE_BYTES) : NULL;
    }
}

/* A block goes back and forth between two sizes. */
static void reallocate(lua_Alloc allocate, void *user_data, size_t first, size_t second, size_t count) {
    void *block = allocate(user_data, NULL, 0, first);
    for (size_t i = 0; i < count && block != NULL; i++)
        block = i % 2 == 0 ? allocate(user_data, block, first, second) : allocate(user_data, block, second, first);
    (void)allocate(user_data, block, count % 2 == 0 ? first : second, 0);
}

static void free_nothing(lua_Alloc allocate, void *user_data, size_t count) {
    for (size_t i = 0; i < count; i++)
        (void)allocate(user_data, NULL, 0, 0);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: lua_paths hk_lua_alloc|l_alloc pair|same|move|null COUNT\n");
        return 2;
    }
    size_t count = strtoul(argv[3], NULL, 10);
    hk_arena *arena = NULL;
    lua_Alloc allocate = l_alloc;
    if (strcmp(argv[1], "hk_lua_alloc") == 0) {
        hk_arena_config config = HK_ARENA_CONFIG_INIT;
        config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
        config.min_alignment = 8;
        if (hk_arena_create(&config, &arena) != HK_OK)
            return 1;
        allocate = hk_lua_alloc;
    }
    if (strcmp(argv[2], "pair") == 0)
        make_pairs(allocate, arena, count);
    else if (strcmp(argv[2], "same") == 0)
        reallocate(allocate, arena, STRING_BYTES, STRING_BYTES + 1, count);
    else if (strcmp(argv[2], "move") == 0)
        reallocate(allocate, arena, STRING_BYTES, 2 * STRING_BYTES, count);
    else
        free_nothing(allocate, arena, count);
    return 0;
}
