/* The seed's matrix: working sets of slots, of fixed and of mixed sizes, by one thread and by many. Every block is
 * verified when it is freed, and in the end the books agree and nothing is live. */
#include "team.h"

enum {
    OPERATIONS = 200000,
#ifdef STRESS_TSAN
    THREAD_OPERATIONS = OPERATIONS / 20,
#else
    THREAD_OPERATIONS = OPERATIONS,
#endif
    SLOTS_MAX = 8192,
    RING = 256,
    TEAM_BIGGEST = 16,
};

typedef struct workload {
    size_t size; /* 0: 16..1039 */
    unsigned slots;
} workload;

static const workload workloads[] = {{128, 128}, {256, 128}, {512, 128}, {1024, 128}, {0, 128}, {0, 512}, {0, 8192}};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

static size_t size_of(const workload *load, uint32_t random) {
    return load->size != 0 ? load->size : 16 + (random >> 16 & 1023);
}

static void free_slot(hk_arena *arena, void **slot, uint64_t number) {
    stress_head head;
    memcpy(&head, *slot, sizeof head);
    REQUIRE(head.seed == number);
    stress_end(arena, *slot);
    *slot = NULL;
}

static void run_alone(hk_arena *arena, const workload *load) {
    static void *slots[SLOTS_MAX];
    uint32_t state = 2463534242U;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t random = stress_random(&state);
        unsigned slot = random % load->slots;
        if (slots[slot] != NULL)
            free_slot(arena, &slots[slot], slot);
        else
            REQUIRE((slots[slot] = stress_new(arena, size_of(load, random), slot)) != NULL);
    }
    stress_check(arena);
    for (unsigned slot = 0; slot < load->slots; slot++)
        if (slots[slot] != NULL)
            free_slot(arena, &slots[slot], slot);
    stress_expect_empty(arena);
}

static void run_all_alone(hk_arena *arena) {
    for (unsigned i = 0; i < WORKLOADS; i++)
        run_alone(arena, &workloads[i]);
}

Test(matrix, process_heap) {
    run_all_alone(NULL);
}

Test(matrix, thread_safe_arena) {
    hk_arena *arena = stress_arena(0, 0);
    run_all_alone(arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(matrix, one_thread_arena) {
    hk_arena *arena = stress_arena(HK_ARENA_ONE_THREAD_AT_A_TIME, 0);
    run_all_alone(arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* ---- many threads: each hands a quarter of its blocks to the next one, which frees them ---- */

typedef struct ring {
    void *blocks[RING];
    _Alignas(64) _Atomic unsigned put;
    _Alignas(64) _Atomic unsigned taken;
} ring;

typedef struct table {
    hk_arena *arena;
    const workload *load;
    unsigned threads;
    _Atomic unsigned finished;
    ring rings[TEAM_BIGGEST]; /* ring i is filled by thread i */
} table;

static bool ring_put(ring *ring, void *block) {
    unsigned put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    if (put - atomic_load_explicit(&ring->taken, memory_order_acquire) == RING)
        return false;
    ring->blocks[put % RING] = block;
    atomic_store_explicit(&ring->put, put + 1, memory_order_release);
    return true;
}

static void free_handed(table *table, unsigned index) {
    ring *from = &table->rings[(index + table->threads - 1) % table->threads];
    unsigned taken = atomic_load_explicit(&from->taken, memory_order_relaxed);
    while (taken != atomic_load_explicit(&from->put, memory_order_acquire)) {
        stress_end(table->arena, from->blocks[taken % RING]);
        atomic_store_explicit(&from->taken, ++taken, memory_order_release);
    }
}

static void hand_on(table *table, unsigned index, void *block) {
    while (!ring_put(&table->rings[index], block)) {
        free_handed(table, index);
        sched_yield();
    }
}

static void leave(table *table, unsigned index) {
    atomic_fetch_add(&table->finished, 1);
    bool all;
    do {
        all = atomic_load(&table->finished) == table->threads;
        free_handed(table, index);
        sched_yield();
    } while (!all);
}

static void work(team_member *member) {
    table *table = member->shared;
    void **slots = calloc(SLOTS_MAX, sizeof *slots);
    for (unsigned i = 0; i < THREAD_OPERATIONS; i++) {
        uint32_t random = stress_random(&member->seed);
        unsigned slot = random % table->load->slots;
        if (slots[slot] == NULL) {
            REQUIRE((slots[slot] = stress_new(table->arena, size_of(table->load, random), slot)) != NULL);
        } else if (random >> 30 != 0) {
            free_slot(table->arena, &slots[slot], slot);
        } else {
            hand_on(table, member->index, slots[slot]);
            slots[slot] = NULL;
        }
        if (i % 16 == 0)
            free_handed(table, member->index);
    }
    for (unsigned slot = 0; slot < table->load->slots; slot++)
        stress_end(table->arena, slots[slot]);
    leave(table, member->index);
    free(slots);
}

static void run_together(hk_arena *arena, unsigned threads) {
    static table shared;
    for (unsigned i = 0; i < WORKLOADS; i++) {
        memset(&shared, 0, sizeof shared);
        shared.arena = arena;
        shared.load = &workloads[i];
        shared.threads = threads;
        team_go(threads, work, &shared);
        stress_expect_empty(arena);
        REQUIRE(stress_totals(arena).heaps <= TEAM_BIGGEST + 1);
    }
}

static void run_teams(hk_arena *arena) {
    run_together(arena, 2);
    run_together(arena, 4);
    run_together(arena, 16);
}

Test(matrix, process_heap_by_many) {
    run_teams(NULL);
}

Test(matrix, thread_safe_arena_by_many) {
    hk_arena *arena = stress_arena(0, 0);
    run_teams(arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}
