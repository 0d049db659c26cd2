/* Counts the arenas of the process: the program's own hk_arena_create and hk_arena_destroy come before the library's,
 * also for the module that Lua loads. In one file of each program. */
#ifndef HAKMEM_TESTS_ARENA_COUNT_H
#define HAKMEM_TESTS_ARENA_COUNT_H

#include <dlfcn.h>
#include <hakmem.h>
#include <stdatomic.h>
#include <string.h>

static atomic_int arena_count;

/* dlsym gives a pointer to data, which C does not turn into one to a function. */
#define FIND_NEXT(pointer, name)                                                                                       \
    do {                                                                                                               \
        void *found = dlsym(RTLD_NEXT, name);                                                                          \
        memcpy(&(pointer), &found, sizeof found);                                                                      \
    } while (0)

HK_API hk_status hk_arena_create(const hk_arena_config *config, hk_arena **arena) {
    hk_status (*create)(const hk_arena_config *, hk_arena **);
    FIND_NEXT(create, "hk_arena_create");
    hk_status status = create(config, arena);
    if (status == HK_OK)
        atomic_fetch_add(&arena_count, 1);
    return status;
}

HK_API hk_status hk_arena_destroy(hk_arena *arena) {
    hk_status (*destroy)(hk_arena *);
    FIND_NEXT(destroy, "hk_arena_destroy");
    hk_status status = destroy(arena);
    if (status == HK_OK)
        atomic_fetch_sub(&arena_count, 1);
    return status;
}

#endif
