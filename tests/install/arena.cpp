// The contract from C++: constants, an arena, a container's worth of blocks, and the statistics.
#include <hakmem.h>

#include <cstdio>
#include <cstring>

int main() {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = "c++";
    hk_arena *arena = nullptr;
    if (hk_arena_create(&config, &arena) != HK_OK)
        return 1;
    void *block = hk_arena_alloc(arena, 40);
    if (block == nullptr || !hk_arena_owns(arena, block))
        return 1;
    hk_statistics statistics = {};
    statistics.struct_size = sizeof statistics;
    const bool counted = hk_arena_statistics(arena, &statistics) == HK_OK && statistics.live_blocks == 1;
    const bool named = std::strcmp(hk_version(), HK_VERSION_STRING) == 0;
    std::printf("hakmem %s from C++\n", hk_version());
    return counted && named && hk_arena_free(arena, block) == HK_OK && hk_arena_destroy(arena) == HK_OK ? 0 : 1;
}
