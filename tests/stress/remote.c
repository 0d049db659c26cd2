/* Blocks freed by threads that did not allocate them, at full speed: all sizes, units that go back to the pool while
 * notices are on their way, resizing beside remote frees. */
#include "team.h"

enum {
    OPERATIONS = 400000 / STRESS_LESS,
    CELLS = 512,
    UNIT = 65536,
};

typedef struct exchange {
    hk_arena *arenas[8]; /* NULL: the process heap */
    unsigned arena_count;
    team_cell cells[8][CELLS];
    _Atomic unsigned producers; /* that are still at work */
} exchange;

static exchange shared;

/* Mostly small; blocks of whole lines and units now and then. */
static size_t random_size(uint32_t random) {
    if (random % 64 == 0)
        return 16385 + random % (3 * UNIT);
    if (random % 4096 == 1)
        return 5000000 + random % 1000000;
    return 16 + (random >> 8) % (random % 8 == 0 ? 16000 : 400);
}

static size_t size_of(const void *block) {
    stress_head head;
    memcpy(&head, block, sizeof head);
    return head.size;
}

static void free_sized(hk_arena *arena, void *block, size_t size) {
    if (arena == NULL)
        hk_free_sized(block, size);
    else
        REQUIRE(hk_arena_free_sized(arena, block, size) == HK_OK);
}

/* Ends a block, of whatever thread, in one of all possible ways. */
static void end_somehow(hk_arena *arena, void *block, uint32_t random) {
    if (block == NULL)
        return;
    size_t size = size_of(block);
    stress_head head;
    memcpy(&head, block, sizeof head);
    stress_verify(block);
    if (random % 4 == 0) {
        free_sized(arena, block, size);
    } else if (random % 16 == 1) {
        size_t wanted = random_size(random * 2654435761U);
        void *moved = stress_realloc(arena, block, wanted);
        REQUIRE(moved != NULL && stress_holds_first(moved, size < wanted ? size : wanted, size, head.seed));
        stress_free(arena, moved);
    } else {
        stress_free(arena, block);
    }
}

static void trade(team_member *member) {
    exchange *exchange = member->shared;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        unsigned in = random >> 4 & (exchange->arena_count - 1);
        hk_arena *arena = exchange->arenas[in];
        void *block = NULL;
        if (random % 8 != 7)
            REQUIRE((block = stress_new(arena, random_size(stress_random(&member->seed)), i)) != NULL);
        end_somehow(arena, team_exchange(&exchange->cells[in][random >> 8 & (CELLS - 1)], block), random >> 16);
    }
}

static void trade_in(unsigned threads, unsigned arenas) {
    shared.arena_count = arenas;
    team_go(threads, trade, &shared);
    for (unsigned i = 0; i < arenas; i++) {
        stress_check(shared.arenas[i]);
        team_empty(shared.arenas[i], shared.cells[i], CELLS);
        stress_expect_empty(shared.arenas[i]);
        if (shared.arenas[i] != NULL)
            REQUIRE(hk_arena_destroy(shared.arenas[i]) == HK_OK);
    }
}

Test(remote, exchange_in_the_process_heap) {
    trade_in(8, 1);
}

Test(remote, exchange_in_many_arenas) {
    for (unsigned i = 0; i < 8; i++)
        shared.arenas[i] = stress_arena(0, 0);
    trade_in(6, 8);
}

/* ---- few blocks to a unit, so that units come and go with notices on the way ---- */

enum { PING_CELLS = 8 };

static const size_t ping_sizes[] = {UNIT, 16384, 30000, 1024, 64, 8192};

static void ping(team_member *member) {
    exchange *exchange = member->shared;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        unsigned in = random >> 4 & (exchange->arena_count - 1);
        size_t size = ping_sizes[(random >> 8) % (sizeof ping_sizes / sizeof *ping_sizes)];
        stress_head *block = NULL;
        if (random % 2 == 0) {
            REQUIRE((block = hk_arena_alloc(exchange->arenas[in], size)) != NULL);
            *block = (stress_head){size, i};
        }
        block = team_exchange(&exchange->cells[in][random >> 16 & (PING_CELLS - 1)], block);
        if (block != NULL && random >> 30 == 0)
            free_sized(exchange->arenas[in], block, block->size);
        else if (block != NULL)
            stress_free(exchange->arenas[in], block);
    }
}

static void ping_in(unsigned threads, unsigned arenas, size_t limit_bytes) {
    shared.arena_count = arenas;
    for (unsigned i = 0; i < arenas; i++)
        shared.arenas[i] = stress_arena(0, limit_bytes);
    team_go(threads, ping, &shared);
    for (unsigned i = 0; i < arenas; i++) {
        stress_check(shared.arenas[i]);
        for (unsigned j = 0; j < PING_CELLS; j++)
            stress_free(shared.arenas[i], team_exchange(&shared.cells[i][j], NULL));
        stress_expect_empty(shared.arenas[i]);
        REQUIRE(hk_arena_destroy(shared.arenas[i]) == HK_OK);
    }
}

Test(remote, ping_pong_in_one_arena) {
    ping_in(4, 1, 0);
}

Test(remote, ping_pong_in_many_arenas) {
    ping_in(6, 8, 0);
}

/* ---- arenas that end beside remote frees in another one, with which they share units ---- */

static void free_all(team_member *member) {
    exchange *exchange = member->shared;
    while (atomic_load(&exchange->producers) != 0) {
        uint32_t random = stress_random(&member->seed);
        void *block = team_exchange(&exchange->cells[0][random >> 8 & (PING_CELLS - 1)], NULL);
        stress_free(exchange->arenas[0], block);
    }
}

static void live_short(uint32_t *seed) {
    hk_arena *arena = stress_arena(0, 0);
    for (unsigned i = 0; i < 8; i++)
        REQUIRE(hk_arena_alloc(arena, ping_sizes[stress_random(seed) % 4]) != NULL);
    stress_check(arena);
    REQUIRE(hk_arena_destroy(arena) == HK_OK);
}

static void make_and_end(team_member *member) {
    exchange *exchange = member->shared;
    if (member->index > 2) {
        free_all(member);
        return;
    }
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        if (random % 32 == 0)
            live_short(&member->seed);
        void *block = hk_arena_alloc(exchange->arenas[0], ping_sizes[random % 4]);
        REQUIRE(block != NULL);
        stress_free(exchange->arenas[0], team_exchange(&exchange->cells[0][random >> 8 & (PING_CELLS - 1)], block));
    }
    atomic_fetch_sub(&exchange->producers, 1);
}

Test(remote, arenas_end_beside) {
    shared.arenas[0] = stress_arena(0, 0);
    shared.producers = 3;
    team_go(6, make_and_end, &shared);
    for (unsigned i = 0; i < PING_CELLS; i++)
        stress_free(shared.arenas[0], team_exchange(&shared.cells[0][i], NULL));
    stress_expect_empty(shared.arenas[0]);
}

/* ---- no block is freed by its owner ---- */

static void produce(hk_arena *arena, team_member *member, exchange *exchange) {
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        void *block = stress_new(arena, 16 + random % 200, i);
        REQUIRE(block != NULL);
        while ((block = team_exchange(&exchange->cells[0][random >> 8 & (CELLS - 1)], block)) != NULL) {
            random = stress_random(&member->seed);
            if (random % 64 == 0)
                sched_yield();
        }
    }
    atomic_fetch_sub(&exchange->producers, 1);
}

static void consume(hk_arena *arena, team_member *member, exchange *exchange) {
    while (atomic_load(&exchange->producers) != 0) {
        uint32_t random = stress_random(&member->seed);
        void *block = team_exchange(&exchange->cells[0][random >> 8 & (CELLS - 1)], NULL);
        if (block == NULL)
            continue;
        stress_verify(block);
        if (random % 2 == 0)
            stress_free(arena, block);
        else
            free_sized(arena, block, size_of(block));
    }
}

static void produce_or_consume(team_member *member) {
    exchange *exchange = member->shared;
    if (member->index % 3 == 0)
        produce(exchange->arenas[0], member, exchange);
    else
        consume(exchange->arenas[0], member, exchange);
}

static void all_remote(hk_arena *arena) {
    shared.arenas[0] = arena;
    shared.producers = 2;
    team_go(6, produce_or_consume, &shared);
    team_empty(arena, shared.cells[0], CELLS);
    stress_expect_empty(arena);
    REQUIRE(stress_totals(arena).heaps <= 7);
}

Test(remote, all_frees_in_the_process_heap) {
    all_remote(NULL);
}

Test(remote, all_frees_in_an_arena) {
    all_remote(stress_arena(0, 0));
}

/* ---- hk_arena_realloc_sized in lines where others free ---- */

static void grow_and_shrink(hk_arena *arena, team_member *member, exchange *exchange) {
    static const size_t sizes[] = {100, 2000, 300, 120, 4000, 16000, 200};
    size_t size = sizes[0];
    void *own = stress_new(arena, size, 0);
    for (unsigned i = 1; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        size_t wanted = sizes[random % (sizeof sizes / sizeof *sizes)];
        void *other = stress_new(arena, wanted, i);
        own = hk_arena_realloc_sized(arena, own, size, wanted);
        REQUIRE(own != NULL && other != NULL);
        REQUIRE(stress_holds_first(own, size < wanted ? size : wanted, size, i - 1));
        stress_fill(own, wanted, i);
        size = wanted;
        stress_end(arena, team_exchange(&exchange->cells[0][random >> 8 & (CELLS - 1)], other));
    }
    stress_end(arena, own);
    atomic_fetch_sub(&exchange->producers, 1);
}

static void resize_or_consume(team_member *member) {
    exchange *exchange = member->shared;
    if (member->index < 2)
        grow_and_shrink(exchange->arenas[0], member, exchange);
    else
        consume(exchange->arenas[0], member, exchange);
}

Test(remote, realloc_sized_beside) {
    shared.arenas[0] = stress_arena(0, 0);
    shared.producers = 2;
    team_go(4, resize_or_consume, &shared);
    team_empty(shared.arenas[0], shared.cells[0], CELLS);
    stress_expect_empty(shared.arenas[0]);
}
