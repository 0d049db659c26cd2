/* A module for dlopen that uses hakmem by itself: built once with the shared and once with the static library. */
#include "hakmem.h"

#include <string.h>

int module_work(void);

/* Allocates in an arena of its own and in the process heap; leaves a block behind there. 0 if all went well. */
__attribute__((visibility("default"))) int module_work(void) {
    hk_arena *arena;
    if (hk_arena_create(NULL, &arena) != HK_OK)
        return 1;
    for (size_t size = 1; size < 100000; size *= 3) {
        char *block = hk_arena_alloc(arena, size);
        char *other = hk_malloc(size);
        if (block == NULL || other == NULL)
            return 2;
        memset(block, 1, size);
        memset(other, 2, size);
        hk_free(other);
    }
    if (hk_arena_destroy(arena) != HK_OK || hk_malloc(40) == NULL)
        return 3;
    return 0;
}
