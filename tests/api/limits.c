/* Limits: exact to a line, never overstepped by any number of threads, counted when they refuse. */
#include "api_test.h"

#include <stdatomic.h>

/* ---- setting ---- */

Test(setting, rounds_down_to_lines) {
    hk_arena *arena = make_arena(0);
    static const size_t limits[] = {LINE,         LINE + 1,     2 * LINE - 1,   2 * LINE,
                                    10 * MIB + 5, SIZE_MAX / 2, SIZE_MAX - LINE};
    for (size_t i = 0; i < LENGTH_OF(limits); i++) {
        cr_assert_eq(hk_arena_set_limit(arena, limits[i]), HK_OK);
        cr_assert_eq(hk_arena_limit(arena), limits[i] / LINE * LINE);
        cr_assert_eq(totals_of(arena).limit_bytes, limits[i] / LINE * LINE);
    }
}

Test(setting, less_than_a_line_is_invalid_and_0_is_none) {
    hk_arena *arena = make_arena(5 * LINE);
    for (size_t limit = 1; limit < LINE; limit++)
        cr_assert_eq(hk_arena_set_limit(arena, limit), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_limit(arena), 5 * LINE);
    cr_assert_null(hk_arena_alloc(arena, 10 * MIB));
    cr_assert_eq(hk_arena_set_limit(arena, 0), HK_OK);
    cr_assert_eq(hk_arena_limit(arena), 0);
    cr_assert_eq(totals_of(arena).limit_bytes, 0);
    cr_assert_not_null(hk_arena_alloc(arena, 10 * MIB));
}

/* ---- exact to a line ---- */

static void assert_refused(hk_arena *arena, size_t size) {
    size_t failures = totals_of(arena).limit_failures;
    cr_assert_null(hk_arena_alloc(arena, size), "%zu", size);
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(totals_of(arena).limit_failures, failures + 1);
    cr_assert_leq(totals_of(arena).held_bytes, hk_arena_limit(arena));
}

Test(exact, for_one_block_of_whole_lines) {
    static const size_t lines[] = {17, 18, 20, 63, 64, 65, 100, 128, 1000, 4096, 4097, 10000};
    for (size_t i = 0; i < LENGTH_OF(lines); i++) {
        hk_arena *arena = make_arena(lines[i] * LINE);
        assert_refused(arena, lines[i] * LINE + 1);
        void *block = hk_arena_alloc(arena, lines[i] * LINE);
        cr_assert_not_null(block, "%zu lines", lines[i]);
        cr_assert_eq(totals_of(arena).held_bytes, lines[i] * LINE);
        assert_refused(arena, 1);
        assert_refused(arena, LINE);
        assert_refused(arena, 20 * LINE);
        cr_assert_eq(hk_arena_free(arena, block), HK_OK);
        cr_assert_eq(hk_arena_set_limit(arena, lines[i] * LINE - 1), HK_OK);
        assert_refused(arena, lines[i] * LINE);
        cr_assert_not_null(hk_arena_alloc(arena, (lines[i] - 1) * LINE));
        cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    }
}

Test(exact, for_many_blocks_of_whole_lines) {
    hk_arena *arena = make_arena(1000 * LINE);
    void *blocks[50];
    for (int i = 0; i < 50; i++)
        blocks[i] = hk_arena_alloc(arena, 20 * LINE);
    cr_assert_eq(totals_of(arena).held_bytes, 1000 * LINE);
    for (int i = 0; i < 50; i++) {
        assert_refused(arena, 20 * LINE);
        cr_assert_not_null(blocks[i]);
        cr_assert_eq(hk_arena_free(arena, blocks[i]), HK_OK);
        assert_refused(arena, 21 * LINE);
        cr_assert_not_null(blocks[i] = hk_arena_alloc(arena, 20 * LINE));
    }
    assert_refused(arena, 1);
    assert_sound(arena);
}

Test(exact, for_small_blocks) {
    for (size_t lines = 1; lines <= 300; lines += lines / 3 + 1) {
        hk_arena *arena = make_arena(lines * LINE);
        for (size_t i = 0; i < lines * LINE / 64; i++)
            cr_assert_not_null(hk_arena_alloc(arena, 64), "block %zu of %zu lines", i, lines);
        cr_assert_eq(totals_of(arena).held_bytes, lines * LINE);
        assert_refused(arena, 64);
        assert_refused(arena, 1);
        assert_sound(arena);
        cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    }
}

/* Free blocks of one class are not in the way of another class's. */
Test(exact, what_is_cached_is_given_back_when_needed) {
    hk_arena *arena = make_arena(64 * LINE);
    static void *blocks[64 * LINE / 16];
    for (size_t size = 16; size <= LINE; size *= 2) {
        size_t count = 64 * LINE / size;
        for (size_t i = 0; i < count; i++)
            cr_assert_not_null(blocks[i] = hk_arena_alloc(arena, size), "%zu of %zu", i, size);
        assert_refused(arena, size);
        for (size_t i = 0; i < count; i++)
            cr_assert_eq(hk_arena_free(arena, blocks[i]), HK_OK);
    }
    cr_assert_not_null(hk_arena_alloc(arena, 64 * LINE));
}

Test(exact, for_growth_in_place_and_by_copying) {
    static const size_t lines[] = {20, 60, 100, 1000, 5000};
    for (size_t i = 0; i < LENGTH_OF(lines); i++) {
        size_t from = lines[i] * LINE;
        hk_arena *arena = make_arena(2 * from + LINE);
        char *block = hk_arena_alloc(arena, from);
        fill(block, from, 1);
        cr_assert_not_null(block = hk_arena_realloc(arena, block, from + LINE));
        cr_assert_leq(totals_of(arena).peak_held_bytes, hk_arena_limit(arena));
        cr_assert_null(hk_arena_realloc(arena, block, 2 * from + LINE + 1));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        cr_assert(holds(block, from, 1));
        cr_assert_eq(totals_of(arena).held_bytes, from + LINE);
        assert_sound(arena);
        cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    }
}

/* ---- a limit below what is held ---- */

Test(below_what_is_held, stops_growth_and_takes_nothing_away) {
    hk_arena *arena = make_arena(0);
    void *small = hk_arena_alloc(arena, 64), *lines = hk_arena_alloc(arena, 20 * LINE);
    void *units = hk_arena_alloc(arena, 300 * LINE), *huge = hk_arena_alloc(arena, 6 * MIB);
    fill(small, 64, 1);
    fill(lines, 20 * LINE, 2);
    fill(units, 300 * LINE, 3);
    fill(huge, 6 * MIB, 4);
    size_t held = totals_of(arena).held_bytes;
    cr_assert_eq(hk_arena_set_limit(arena, LINE), HK_OK);
    cr_assert_null(hk_arena_alloc(arena, 4096));
    cr_assert_null(hk_arena_alloc(arena, 20 * LINE));
    cr_assert_null(hk_arena_calloc(arena, 100, LINE));
    cr_assert_null(hk_arena_aligned_alloc(arena, 4096, 6 * MIB));
    cr_assert_null(hk_arena_realloc(arena, huge, 10 * MIB));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(totals_of(arena).limit_failures, 5);
    cr_assert_leq(totals_of(arena).held_bytes, held);
    cr_assert(holds(small, 64, 1) && holds(lines, 20 * LINE, 2) && holds(units, 300 * LINE, 3) &&
              holds(huge, 6 * MIB, 4));
    cr_assert_eq(hk_arena_free(arena, huge), HK_OK);
    cr_assert_null(hk_arena_alloc(arena, 20 * LINE));
    cr_assert_eq(hk_arena_free(arena, units), HK_OK);
    cr_assert_eq(hk_arena_free(arena, lines), HK_OK);
    cr_assert_eq(hk_arena_free(arena, small), HK_OK);
    cr_assert_not_null(hk_arena_alloc(arena, 64));
    assert_sound(arena);
}

Test(process_heap, can_be_limited_too) {
    hk_arena *arena = hk_arena_default();
    size_t held = totals_of(arena).held_bytes;
    cr_assert_eq(hk_arena_set_limit(arena, held + 100 * LINE), HK_OK);
    cr_assert_null(hk_malloc(101 * LINE));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    void *block = hk_malloc(100 * LINE);
    cr_assert_not_null(block);
    hk_free(block);
    cr_assert_eq(hk_arena_set_limit(arena, 0), HK_OK);
    cr_assert_not_null(block = hk_malloc(101 * LINE));
    hk_free(block);
}

/* ---- threads ---- */

enum { THREADS = 4, SLOTS = 200, STEPS = 6000 };

typedef struct contest {
    hk_arena *arena;
    size_t limit;
    _Atomic size_t live_bytes; /* counted down before a free and up after an allocation: never above what is held */
    _Atomic size_t refused;
    pthread_barrier_t all_there;
    _Atomic bool overstepped;
} contest;

static void look(contest *of) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    hk_arena_statistics(of->arena, &totals);
    if (totals.held_bytes > of->limit || totals.peak_held_bytes > of->limit || atomic_load(&of->live_bytes) > of->limit)
        atomic_store(&of->overstepped, true);
}

static void *take(contest *of, size_t size) {
    void *block = hk_arena_alloc(of->arena, size);
    if (block != NULL)
        atomic_fetch_add(&of->live_bytes, hk_usable_size(block));
    else if (hk_last_status() == HK_ERR_LIMIT)
        atomic_fetch_add(&of->refused, 1);
    else
        atomic_store(&of->overstepped, true);
    return block;
}

static void step(contest *of, void **block, uint32_t *random) {
    if (*block == NULL) {
        *block = take(of, random_size(random, next_random(random) % 16 == 0 ? 18 : 11));
        return;
    }
    atomic_fetch_sub(&of->live_bytes, hk_usable_size(*block));
    hk_arena_free(of->arena, *block);
    *block = NULL;
}

static _Atomic uint32_t next_seed = 11;

static void *contend(void *argument) {
    contest *of = argument;
    uint32_t random = atomic_fetch_add(&next_seed, 1);
    void *blocks[SLOTS] = {NULL};
    pthread_barrier_wait(&of->all_there);
    if (take(of, of->limit + 1) != NULL)
        atomic_store(&of->overstepped, true);
    for (int i = 0; i < STEPS; i++) {
        step(of, &blocks[next_random(&random) % SLOTS], &random);
        if (i % 16 == 0)
            look(of);
    }
    for (int i = 0; i < SLOTS; i++)
        if (blocks[i] != NULL)
            step(of, &blocks[i], &random);
    return NULL;
}

Test(threads, never_hold_more_than_the_limit) {
    static const size_t limits[] = {30 * LINE, 200 * LINE, 500 * LINE};
    for (size_t k = 0; k < LENGTH_OF(limits); k++) {
        contest of = {.arena = make_named_arena("contest", 0, 16), .limit = limits[k]};
        pthread_t threads[THREADS];
        cr_assert_eq(hk_arena_set_limit(of.arena, of.limit), HK_OK);
        cr_assert_eq(pthread_barrier_init(&of.all_there, NULL, THREADS), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, contend, &of), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_not(atomic_load(&of.overstepped));
        cr_assert_geq(atomic_load(&of.refused), THREADS);
        cr_assert_eq(totals_of(of.arena).limit_failures, atomic_load(&of.refused));
        cr_assert_leq(totals_of(of.arena).peak_held_bytes, of.limit);
        assert_empty(of.arena);
        cr_assert_not_null(hk_arena_alloc(of.arena, of.limit));
        cr_assert_eq(hk_arena_destroy(of.arena), HK_OK);
        pthread_barrier_destroy(&of.all_there);
    }
}
