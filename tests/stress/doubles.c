/* The same block freed twice, by two threads that do not own it, at the same moment: one free counts, the other one is
 * reported, and the books stay whole. */
#include "team.h"

enum {
    ROUNDS = 1500 / STRESS_LESS,
    BLOCKS = 128,
};

typedef struct race {
    hk_arena *arena;
    void *blocks[BLOCKS];
    unsigned freers;
    bool owner_collects;
    _Atomic unsigned done; /* freers, in all rounds */
    pthread_barrier_t ready, over;
} race;

static race shared;

/* A segment that went back to the system is foreign by then. */
static unsigned second_frees(void) {
    return team_reported(HK_ERR_DOUBLE_FREE) + team_reported(HK_ERR_FOREIGN_POINTER);
}

static void owner_round(race *race, unsigned round, size_t size) {
    for (unsigned i = 0; i < BLOCKS; i++)
        REQUIRE((race->blocks[i] = stress_new(race->arena, size, i)) != NULL);
    pthread_barrier_wait(&race->ready);
    while (race->owner_collects && atomic_load(&race->done) < (round + 1) * race->freers)
        stress_totals(race->arena); /* takes in what others have freed, and hands out nothing */
    pthread_barrier_wait(&race->over);
    REQUIRE(second_frees() == (round + 1) * BLOCKS * (race->freers - 1));
    stress_expect_empty(race->arena);
}

static void free_round(race *race, team_member *member) {
    pthread_barrier_wait(&race->ready);
    unsigned stride = member->index == 1 ? 1 : 3; /* all of them, in another order */
    for (unsigned i = 0; i < BLOCKS; i++) {
        void *block = race->blocks[i * stride % BLOCKS];
        hk_status status = hk_arena_free(race->arena, block);
        REQUIRE(status == HK_OK || status == HK_ERR_DOUBLE_FREE || status == HK_ERR_FOREIGN_POINTER);
    }
    atomic_fetch_add(&race->done, 1);
    pthread_barrier_wait(&race->over);
}

static size_t size_of_round(unsigned round) {
    static const size_t sizes[] = {16, 64, 1024, 16384, 30000, 65536, 100000, 200};
    return sizes[round % (sizeof sizes / sizeof *sizes)];
}

static void race_rounds(team_member *member) {
    race *race = member->shared;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (member->index == 0)
            owner_round(race, round, size_of_round(round));
        else
            free_round(race, member);
    }
}

static void run(unsigned freers, bool owner_collects) {
    hk_set_error_handler(team_count_report, NULL);
    shared.arena = stress_arena(0, 0);
    shared.freers = freers;
    shared.owner_collects = owner_collects;
    REQUIRE(pthread_barrier_init(&shared.ready, NULL, freers + 1) == 0);
    REQUIRE(pthread_barrier_init(&shared.over, NULL, freers + 1) == 0);
    team_go(freers + 1, race_rounds, &shared);
    REQUIRE(hk_arena_destroy(shared.arena) == HK_OK);
    for (int status = 0; status <= HK_ERR_WRITE_AFTER_FREE; status++)
        REQUIRE(team_reported((hk_status)status) == 0 || status == HK_ERR_DOUBLE_FREE ||
                status == HK_ERR_FOREIGN_POINTER);
}

Test(doubles, two_race) {
    run(2, false);
}

Test(doubles, two_race_and_the_owner_collects) {
    run(2, true);
}

Test(doubles, four_race_and_the_owner_collects) {
    run(4, true);
}

/* ---- large blocks, whose memory is at once another arena's ---- */

enum { LARGE_ROUNDS = 20000 / STRESS_LESS };

static const size_t large_sizes[] = {70000, 5000000};

/* One thread is too late, and by then the address may be a live block of the other arena: which must not suffer. */
static void free_late(race *race) {
    for (unsigned round = 0; round < LARGE_ROUNDS; round++) {
        pthread_barrier_wait(&race->ready);
        hk_arena_free(race->arena, race->blocks[0]);
        pthread_barrier_wait(&race->over);
    }
}

static void free_and_use_again(race *race, unsigned first) {
    hk_arena *other = stress_arena(0, 0);
    for (unsigned round = 0; round < LARGE_ROUNDS; round++) {
        size_t size = large_sizes[round % 2];
        if (first)
            REQUIRE((race->blocks[0] = hk_arena_alloc(race->arena, size)) != NULL);
        pthread_barrier_wait(&race->ready);
        if (first)
            hk_arena_free(race->arena, race->blocks[0]);
        void *block = hk_arena_alloc(other, size);
        *(volatile char *)block = 1;
        pthread_barrier_wait(&race->over);
        REQUIRE(hk_arena_owns(other, block) && hk_arena_free(other, block) == HK_OK);
        REQUIRE(stress_totals(race->arena).live_blocks == 0 && stress_totals(other).live_blocks == 0);
        if (round % 64 == 0)
            stress_check(other);
    }
    REQUIRE(hk_arena_destroy(other) == HK_OK);
}

static void large_member(team_member *member) {
    race *race = member->shared;
    if (member->index == 0)
        free_and_use_again(race, true);
    else
        free_late(race);
}

Test(doubles, large_block_of_another_arena_by_now) {
    hk_set_error_handler(team_count_report, NULL);
    shared.arena = stress_arena(0, 0);
    REQUIRE(pthread_barrier_init(&shared.ready, NULL, 2) == 0 && pthread_barrier_init(&shared.over, NULL, 2) == 0);
    team_go(2, large_member, &shared);
    stress_expect_empty(shared.arena);
}
