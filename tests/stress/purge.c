/* hk_purge in a thread that has heaps in arenas which another thread ends: it is no use of these. */
#include "team.h"

enum {
    ROUNDS = 1000 / STRESS_LESS,
    ARENAS = 16,
    BLOCKS = 40,
};

typedef struct purge {
    hk_arena *arenas[ARENAS];
    pthread_barrier_t made, used, ended;
} purge;

static purge shared;

static void use_and_purge(purge *purge) {
    pthread_barrier_wait(&purge->made);
    for (unsigned i = 0; i < ARENAS; i++)
        for (unsigned block = 0; block < BLOCKS; block++)
            REQUIRE(stress_new(purge->arenas[i], 4096, block) != NULL);
    pthread_barrier_wait(&purge->used);
    for (unsigned i = 0; i < 4; i++)
        hk_purge();
    pthread_barrier_wait(&purge->ended);
}

static void make_and_end(purge *purge) {
    for (unsigned i = 0; i < ARENAS; i++)
        purge->arenas[i] = stress_arena(0, 0);
    pthread_barrier_wait(&purge->made);
    pthread_barrier_wait(&purge->used);
    for (unsigned i = 0; i < ARENAS; i++)
        REQUIRE(hk_arena_destroy(purge->arenas[i]) == HK_OK);
    pthread_barrier_wait(&purge->ended);
}

static void purge_rounds(team_member *member) {
    for (unsigned round = 0; round < ROUNDS; round++)
        (member->index == 0 ? make_and_end : use_and_purge)(member->shared);
}

Test(purge, while_arenas_end) {
    pthread_barrier_t *barriers[] = {&shared.made, &shared.used, &shared.ended};
    for (size_t i = 0; i < sizeof barriers / sizeof *barriers; i++)
        REQUIRE(pthread_barrier_init(barriers[i], NULL, 2) == 0);
    team_go(2, purge_rounds, &shared);
    stress_check(NULL);
}
