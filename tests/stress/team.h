/* team: threads that start together, and cells through which they hand blocks to each other. No state. */
#ifndef HAKMEM_STRESS_TEAM_H
#define HAKMEM_STRESS_TEAM_H

#include "slots.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { TEAM_MAX = 64 };

typedef struct team_member {
    unsigned index; /* 0.. */
    uint32_t seed;  /* not 0 */
    void *shared;   /* what the whole team works on */
    void (*work)(struct team_member *member);
    pthread_barrier_t *start;
    pthread_t thread;
} team_member;

static inline void *team_run(void *argument) {
    team_member *member = argument;
    pthread_barrier_wait(member->start);
    member->work(member);
    return NULL;
}

/* Runs `work` in `count` threads that all start at once, and waits for their end. */
static inline void team_go(unsigned count, void (*work)(team_member *), void *shared) {
    static team_member members[TEAM_MAX];
    pthread_barrier_t start;
    REQUIRE(count <= TEAM_MAX && pthread_barrier_init(&start, NULL, count) == 0);
    for (unsigned i = 0; i < count; i++) {
        members[i] = (team_member){.index = i, .seed = 0x9e3779b9U * (i + 1) + 1, .shared = shared, .work = work};
        members[i].start = &start;
        REQUIRE(pthread_create(&members[i].thread, NULL, team_run, &members[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        REQUIRE(pthread_join(members[i].thread, NULL) == 0);
    pthread_barrier_destroy(&start);
}

/* ---- cells ---- */

typedef _Atomic(void *) team_cell;

/* Puts a block (or NULL) into a cell; what was there before is the caller's. */
static inline void *team_exchange(team_cell *cell, void *block) {
    return atomic_exchange_explicit(cell, block, memory_order_acq_rel);
}

/* Frees what is in the cells. */
static inline void team_empty(hk_arena *arena, team_cell *cells, size_t count) {
    for (size_t i = 0; i < count; i++)
        stress_end(arena, team_exchange(&cells[i], NULL));
}

/* ---- counted misuse ---- */

static _Atomic unsigned team_reports[HK_ERR_WRITE_AFTER_FREE + 1];

static inline void team_count_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    atomic_fetch_add_explicit(&team_reports[info->status], 1, memory_order_relaxed);
}

static inline unsigned team_reported(hk_status status) {
    return atomic_load_explicit(&team_reports[status], memory_order_relaxed);
}

#endif
