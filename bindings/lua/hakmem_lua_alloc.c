/* hakmem_lua_alloc: the function that Lua calls for each of its blocks. No state, no Lua symbol: the calls go straight
 * on to the arena, without a PLT between (see CMakeLists.txt). */
#include "hakmem_lua_internal.h"

void *hk_lua_alloc(void *arena, void *pointer, size_t old_size, size_t new_size) {
    if (pointer == NULL) /* Lua often "frees" NULL */
        return new_size == 0 ? NULL : hk_arena_alloc(arena, new_size);
    if (new_size != 0)
        return hk_arena_realloc_sized(arena, pointer, old_size, new_size);
    hki_lua_free(arena, pointer, old_size); /* lua_Alloc has no way to tell; misuse has been reported */
    return NULL;
}
