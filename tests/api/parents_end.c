/* How arenas with arenas below them end, in every order, and with threads below that contend for what the parent may
 * hold. */
#include "parents_test.h"

#include <stdatomic.h>

static unsigned reports;

static void count_report(const hk_error_info *info, void *user_data) {
    (void)info;
    (void)user_data;
    reports++;
}

static void count_reports(void) {
    hk_set_error_handler(count_report, NULL);
}

/* ---- how they end ---- */

Test(ends, parents_are_busy, .init = count_reports) {
    hk_arena *parent = make_arena(0), *child = make_child(parent, 0), *grandchild = make_child(child, 0);
    void *block = hk_arena_alloc(parent, 100), *below = hk_arena_alloc(grandchild, 100);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(hk_arena_destroy(parent), HK_ERR_BUSY);
        cr_assert_eq(hk_last_status(), HK_ERR_BUSY);
        cr_assert_eq(hk_arena_destroy(child), HK_ERR_BUSY);
    }
    cr_assert_eq(reports, 0);
    cr_assert(hk_arena_owns(parent, block) && hk_arena_owns(grandchild, below));
    assert_sound(parent);
    end_arena(grandchild);
    cr_assert_eq(hk_arena_destroy(parent), HK_ERR_BUSY);
    end_arena(child);
    end_arena(parent);
    cr_assert_eq(hk_arena_destroy(parent), HK_ERR_BAD_ARENA);
    cr_assert_eq(reports, 1);
}

Test(ends, retired_child_is_charged_until_its_last_block) {
    hk_arena *parent = make_arena(100 * LINE), *child = make_child(parent, 0);
    void *large = hk_arena_alloc(child, 70 * LINE), *lines = hk_arena_alloc(child, 20 * LINE);
    cr_assert_eq(hk_arena_retire(child), HK_OK);
    cr_assert(held_bytes_of(parent) == 90 * LINE && children_bytes_of(parent) == 90 * LINE);
    assert_sound(parent);
    assert_refused(parent, 11 * LINE);
    cr_assert_eq(hk_arena_destroy(parent), HK_ERR_BUSY);
    hk_free(large);
    cr_assert_eq(held_bytes_of(parent), 20 * LINE);
    assert_sound(parent);
    cr_assert_eq(hk_arena_destroy(parent), HK_ERR_BUSY);
    hk_free(lines);
    cr_assert(held_bytes_of(parent) == 0 && children_bytes_of(parent) == 0);
    end_arena(parent);
}

Test(ends, retired_parent_bounds_its_children_still, .init = count_reports) {
    hk_arena *root = make_arena(0), *parent = make_child(root, 100 * LINE), *child = make_child(parent, 0);
    void *block = hk_arena_alloc(parent, 40 * LINE);
    cr_assert_eq(hk_arena_retire(parent), HK_OK);
    cr_assert_eq(hk_arena_set_limit(parent, 0), HK_ERR_BAD_ARENA);
    cr_assert_not_null(hk_arena_alloc(child, 60 * LINE));
    assert_refused(child, 1);
    cr_assert_eq(held_bytes_of(root), 100 * LINE);
    assert_sound(root);
    hk_free(block);
    cr_assert_eq(held_bytes_of(root), 60 * LINE);
    cr_assert_not_null(hk_arena_alloc(child, 40 * LINE));
    assert_refused(child, 1);
    assert_sound(root);
    cr_assert_eq(hk_arena_destroy(root), HK_ERR_BUSY);
    end_arena(child);
    cr_assert_eq(held_bytes_of(root), 0);
    end_arena(root);
    cr_assert_eq(reports, 1);
}

/* Six steps in any order: the retirement of each of a chain of three arenas, and the end of the one block of each. */
static void end_in_order(const int *order, uint32_t flags) {
    hk_arena *root = make_arena(0), *all[3];
    void *blocks[3];
    bool is_retired[3] = {false};
    for (int i = 0; i < 3; i++) {
        all[i] = make_child_of_kind(i == 0 ? root : all[i - 1], flags, 0);
        cr_assert_not_null(blocks[i] = hk_arena_alloc(all[i], i == 1 ? 500 : 70 * LINE));
    }
    for (int step = 0; step < 6; step++) {
        int which = order[step] / 2;
        if (order[step] % 2 == 0) {
            cr_assert_eq(hk_arena_retire(all[which]), HK_OK);
            is_retired[which] = true;
        } else if (is_retired[which]) {
            hk_free(blocks[which]);
        } else {
            cr_assert_eq(hk_arena_free(all[which], blocks[which]), HK_OK);
        }
        assert_sound(root);
        cr_assert_eq(hk_arena_destroy(root), step < 5 ? HK_ERR_BUSY : HK_OK);
    }
}

static void permute(int *order, int from, uint32_t flags) {
    if (from == 6)
        end_in_order(order, flags);
    for (int i = from; i < 6; i++) {
        int kept = order[from];
        order[from] = order[i];
        order[i] = kept;
        permute(order, from + 1, flags);
        order[i] = order[from];
        order[from] = kept;
    }
}

Test(ends, in_every_order, .init = count_reports) {
    static const uint32_t kinds[] = {0, HK_ARENA_ONE_THREAD_AT_A_TIME, HK_ARENA_HARDENED};
    for (size_t i = 0; i < LENGTH_OF(kinds); i++) {
        int order[] = {0, 1, 2, 3, 4, 5};
        permute(order, 0, kinds[i]);
    }
    cr_assert_eq(reports, 0);
}

Test(ends, slots_begin_anew_without_a_parent) {
    hk_arena *parent = make_arena(100 * LINE);
    for (int i = 0; i < 300; i++) {
        hk_arena *child = make_child(parent, 0);
        cr_assert_not_null(hk_arena_alloc(child, 50 * LINE));
        end_arena(child);
        hk_arena *alone = make_arena(0);
        cr_assert_not_null(hk_arena_alloc(alone, 200 * LINE));
        cr_assert_eq(held_bytes_of(parent), 0);
        end_arena(alone);
    }
    end_arena(parent);
}

Test(ends, of_a_long_chain) {
    enum { DEPTH = 2000 };
    static hk_arena *all[DEPTH];
    for (int i = 0; i < DEPTH; i++)
        all[i] = make_child(i == 0 ? NULL : all[i - 1], 0);
    cr_assert_eq(hk_arena_set_limit(all[0], 10 * LINE), HK_OK);
    void *block = hk_arena_alloc(all[DEPTH - 1], 100);
    assert_refused(all[DEPTH - 1], 10 * LINE);
    cr_assert_eq(limit_failures_of(all[0]), 1);
    cr_assert_eq(limit_failures_of(all[DEPTH / 2]), 0);
    assert_sound(all[0]);
    for (int i = 1; i < DEPTH; i++)
        cr_assert_eq(hk_arena_retire(all[i]), HK_OK);
    cr_assert_eq(hk_arena_destroy(all[0]), HK_ERR_BUSY);
    hk_free(block);
    end_arena(all[0]);
}

/* ---- threads ---- */

enum { THREADS = 4, SLOTS = 60, ROUNDS = 6, STEPS = 800, SHARED_LIMIT = 300 * LINE };

typedef struct contest {
    hk_arena *parent;
    bool one_thread;           /* the parent is, so that its figures are no thread's business */
    _Atomic size_t live_bytes; /* counted down before a free and up after an allocation: never above what is held */
    _Atomic size_t refused;
    _Atomic bool failed;
    _Atomic uint32_t threads;
    pthread_barrier_t all_there;
} contest;

static void require(contest *of, bool condition) {
    if (!condition)
        atomic_store(&of->failed, true);
}

static void look(contest *of) {
    hk_statistics all = {.struct_size = sizeof all};
    require(of, of->one_thread || hk_arena_statistics(of->parent, &all) == HK_OK);
    require(of, all.held_bytes <= SHARED_LIMIT && all.peak_held_bytes <= SHARED_LIMIT);
    require(of, all.children_bytes <= all.held_bytes);
    require(of, atomic_load(&of->live_bytes) <= SHARED_LIMIT);
}

static void step(contest *of, hk_arena *child, void **block, uint32_t *random) {
    if (*block != NULL) {
        atomic_fetch_sub(&of->live_bytes, hk_usable_size(*block));
        require(of, hk_arena_free(child, *block) == HK_OK);
        *block = NULL;
        return;
    }
    *block = hk_arena_alloc(child, random_size(random, next_random(random) % 16 == 0 ? 18 : 12));
    if (*block != NULL) {
        atomic_fetch_add(&of->live_bytes, hk_usable_size(*block));
        return;
    }
    atomic_fetch_add(&of->refused, 1);
    require(of, hk_last_status() == HK_ERR_LIMIT);
}

/* In an arena that is retired, or will be destroyed. */
static void drop(contest *of, void **blocks, bool retired) {
    for (int i = 0; i < SLOTS; i++) {
        if (blocks[i] == NULL)
            continue;
        atomic_fetch_sub(&of->live_bytes, hk_usable_size(blocks[i]));
        if (retired)
            hk_free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* Each thread has a child of its own, which it ends and makes anew now and then. */
static void *contend(void *argument) {
    static const uint32_t kinds[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0, HK_ARENA_HARDENED};
    contest *of = argument;
    uint32_t number = atomic_fetch_add(&of->threads, 1), random = 31 + number;
    void *blocks[SLOTS] = {NULL};
    hk_arena *child;
    pthread_barrier_wait(&of->all_there);
    for (unsigned round = 0; round < ROUNDS; round++) {
        require(of, try_child(of->parent, kinds[(number + round) % 3], 0, &child) == HK_OK);
        for (int i = 0; i < STEPS; i++) {
            step(of, child, &blocks[next_random(&random) % SLOTS], &random);
            if (i % 8 == 0)
                look(of);
        }
        require(of, hk_arena_destroy(of->parent) == HK_ERR_BUSY);
        require(of, hk_arena_check(child) == HK_OK);
        if (round % 2 == 0)
            require(of, hk_arena_retire(child) == HK_OK);
        drop(of, blocks, round % 2 == 0);
        if (round % 2 != 0)
            require(of, hk_arena_destroy(child) == HK_OK);
    }
    return NULL;
}

Test(threads, siblings_never_hold_more_than_their_parent_may) {
    static const uint32_t kinds[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0, HK_ARENA_HARDENED};
    for (size_t kind = 0; kind < LENGTH_OF(kinds); kind++) {
        contest of = {.parent = make_named_arena("parent", kinds[kind], 16), .one_thread = kinds[kind] == 1};
        pthread_t threads[THREADS];
        cr_assert_eq(hk_arena_set_limit(of.parent, SHARED_LIMIT), HK_OK);
        cr_assert_eq(pthread_barrier_init(&of.all_there, NULL, THREADS), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, contend, &of), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_not(atomic_load(&of.failed));
        cr_assert_gt(atomic_load(&of.refused), 0);
        cr_assert_eq(limit_failures_of(of.parent), atomic_load(&of.refused));
        cr_assert_eq(held_bytes_of(of.parent), 0);
        cr_assert_leq(totals_of(of.parent).peak_held_bytes, SHARED_LIMIT);
        assert_empty(of.parent);
        cr_assert_not_null(hk_arena_alloc(of.parent, SHARED_LIMIT - 2 * LINE));
        end_arena(of.parent);
        pthread_barrier_destroy(&of.all_there);
    }
}
