/* An arena with a limit: what does not fit is refused, everything is counted, and one call frees it all. */
#include <hakmem.h>
#include <stdio.h>

int main(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = "request";
    config.limit_bytes = 1 << 20;
    hk_arena *arena = NULL;
    hk_status status = hk_arena_create(&config, &arena);
    if (status != HK_OK) {
        fprintf(stderr, "no arena: %s\n", hk_status_message(status));
        return 1;
    }

    size_t blocks = 0;
    while (hk_arena_alloc(arena, 1000) != NULL)
        blocks++;
    printf("after %zu blocks of 1000 bytes: %s\n", blocks, hk_status_name(hk_last_status()));

    hk_statistics statistics = {.struct_size = sizeof statistics};
    if (hk_arena_statistics(arena, &statistics) == HK_OK)
        printf("holds %zu of %zu bytes in %zu blocks; refused %zu requests\n", statistics.held_bytes,
               statistics.limit_bytes, statistics.live_blocks, statistics.limit_failures);

    return hk_arena_destroy(arena) == HK_OK && blocks > 900 && blocks <= 1024 ? 0 : 1;
}
