/* Large pages, as of other machines: the same loads with a page size of 16 or 64 KiB by injection. Calls to the system
 * that are not in whole pages of that size are refused (debug builds abort), and what is read back is as on any machine.
 * usage: stress_pages BYTES */
#include "slots.h"
#include "team.h"

#include "os.h"

#include <stdlib.h>

enum { OPERATIONS = 60000, THREADS = 4, SLOTS = 500, ROUNDS = 3 };

/* hakmem starts before main: the page size is set before that. */
__attribute__((constructor(101))) static void set_page_size(int argc, char **argv) {
    if (argc == 2)
        hki_os_set_page_size(strtoul(argv[1], NULL, 10));
}

static size_t size_of(uint32_t random) {
    if (random % 2048 == 0)
        return 16 + (random >> 8) % (12 << 20);
    if (random % 32 == 0)
        return 16 + (random >> 12) % 200000;
    return 16 + (random >> 12) % 2000;
}

static void run(hk_arena *arena, uint32_t seed) {
    void **slots = calloc(SLOTS, sizeof *slots);
    uint32_t state = seed;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&state);
        void **slot = &slots[random % SLOTS];
        if (*slot != NULL) {
            stress_end(arena, *slot);
            *slot = NULL;
        } else {
            *slot = stress_new(arena, size_of(stress_random(&state)), random);
            REQUIRE(*slot != NULL);
        }
        if (i % 10000 == 0)
            REQUIRE(hk_arena_trim(arena) == HK_OK);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        stress_end(arena, slots[i]);
    free(slots);
}

static void work(team_member *member) {
    run(member->shared, member->seed);
}

static void one_by_one(uint32_t flags) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.flags = flags;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        REQUIRE(hk_arena_create(&config, &arena) == HK_OK);
        run(arena, round + 1);
        REQUIRE(hk_arena_check(arena) == HK_OK && hk_arena_reset(arena) == HK_OK);
        run(arena, round + 1);
        REQUIRE(hk_arena_check(arena) == HK_OK && hk_arena_destroy(arena) == HK_OK);
    }
}

static void rewind_once(hk_arena *arena) {
    void *kept = stress_new(arena, 5000, 1);
    REQUIRE(kept != NULL && hk_arena_checkpoint(arena) == HK_OK);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        run(arena, round + 5);
        REQUIRE(hk_arena_rollback(arena) == HK_OK && hk_arena_check(arena) == HK_OK);
    }
    stress_end(arena, kept);
    REQUIRE(hk_arena_destroy(arena) == HK_OK);
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2 && hki_os_page_size() == strtoul(argv[1], NULL, 10));
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    one_by_one(0);
    one_by_one(HK_ARENA_ONE_THREAD_AT_A_TIME);
    one_by_one(HK_ARENA_HARDENED);
    REQUIRE(hk_arena_create(&config, &arena) == HK_OK);
    team_go(THREADS, work, arena);
    team_go(THREADS, work, hk_arena_default());
    REQUIRE(hk_arena_check(arena) == HK_OK && hk_arena_destroy(arena) == HK_OK);
    hk_purge();
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    /* What rewinding needs, the tables of each segment in whole pages, holds with pages of 4 KiB. */
    config.flags = HK_ARENA_REWINDABLE;
    bool fits = hki_os_page_size() == 4096;
    REQUIRE(hk_arena_create(&config, &arena) == (fits ? HK_OK : HK_ERR_UNSUPPORTED));
    if (fits)
        rewind_once(arena);
    return EXIT_SUCCESS;
}
