/* hk_arena_walk: every live block of an arena once, in all kinds of arenas; its statuses. */
#include "api_test.h"

enum { BLOCKS = 1500 };

typedef struct tally {
    subject in;
    void *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    size_t visits[BLOCKS];
    size_t strangers; /* blocks that the test does not know */
    const void *last;
    bool ascends;
} tally;

static size_t index_of(const tally *known, const void *block) {
    size_t i = 0;
    while (i < BLOCKS && known->blocks[i] != block)
        i++;
    return i;
}

static bool note(const void *block, size_t size, void *user_data) {
    tally *known = user_data;
    size_t i = index_of(known, block);
    known->ascends &= (uintptr_t)known->last < (uintptr_t)block;
    known->last = block;
    if (i == BLOCKS || size != hk_usable_size(block) || !holds(block, known->sizes[i], i))
        known->strangers++;
    else
        known->visits[i]++;
    return true;
}

static void assert_each_once(tally *known) {
    memset(known->visits, 0, sizeof known->visits);
    known->strangers = 0;
    known->last = NULL;
    known->ascends = true;
    cr_assert_eq(hk_arena_walk(known->in.arena, note, known), HK_OK);
    cr_assert_eq(known->strangers, 0);
    cr_assert(known->ascends);
    for (size_t i = 0; i < BLOCKS; i++)
        cr_assert_eq(known->visits[i], known->blocks[i] != NULL);
}

static void change(tally *known, size_t i, uint32_t *seed) {
    if (known->blocks[i] != NULL) {
        subject_free(&known->in, known->blocks[i]);
        known->blocks[i] = NULL;
        return;
    }
    known->sizes[i] = random_size(seed, next_random(seed) % 200 == 0 ? 23 : 13);
    known->blocks[i] = subject_alloc(&known->in, known->sizes[i]);
    cr_assert_not_null(known->blocks[i]);
    fill(known->blocks[i], known->sizes[i], i);
}

/* The process heap has blocks of others as well: there only the test's own are counted on. */
Test(walk, each_live_block_once) {
    for (int which = 2; which < SUBJECTS; which++) {
        static tally known;
        uint32_t seed = (uint32_t)which;
        known = (tally){.in = make_subject(which)};
        for (int round = 0; round < 4; round++) {
            for (size_t i = 0; i < BLOCKS; i++)
                if (round == 0 || next_random(&seed) % 2 == 0)
                    change(&known, i, &seed);
            assert_each_once(&known);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            if (known.blocks[i] != NULL)
                change(&known, i, &seed);
        end_subject(&known.in);
    }
}

static bool is_wanted(const void *block, size_t size, void *user_data) {
    const void **wanted = user_data;
    (void)size;
    if (block != *wanted)
        return true;
    *wanted = NULL;
    return false;
}

Test(walk, process_heap) {
    const void *wanted[] = {hk_malloc(10), hk_malloc(1000000), hk_malloc((size_t)50 << 20)};
    for (size_t i = 0; i < LENGTH_OF(wanted); i++) {
        const void *looked_for = wanted[i];
        cr_assert_eq(hk_arena_walk(hk_arena_default(), is_wanted, &looked_for), HK_OK);
        cr_assert_null(looked_for);
        hk_free((void *)(uintptr_t)wanted[i]);
        looked_for = wanted[i];
        cr_assert_eq(hk_arena_walk(hk_arena_default(), is_wanted, &looked_for), HK_OK);
        cr_assert_not_null(looked_for);
    }
}

static void *free_it(void *block) {
    hk_free(block);
    return block;
}

/* What another thread has freed is not live, though its owner has not collected it. */
Test(walk, freed_remotely) {
    void *small = hk_malloc(50), *lines = hk_malloc(20000), *neighbour = hk_malloc(50);
    const void *looked_for = small;
    run_in_thread(free_it, small);
    run_in_thread(free_it, lines);
    cr_assert_eq(hk_arena_walk(hk_arena_default(), is_wanted, &looked_for), HK_OK);
    cr_assert_not_null(looked_for);
    looked_for = lines;
    cr_assert_eq(hk_arena_walk(hk_arena_default(), is_wanted, &looked_for), HK_OK);
    cr_assert_not_null(looked_for);
    looked_for = neighbour;
    cr_assert_eq(hk_arena_walk(hk_arena_default(), is_wanted, &looked_for), HK_OK);
    cr_assert_null(looked_for);
}

Test(walk, statuses) {
    hk_arena *arena = make_arena(0);
    cr_assert_eq(hk_arena_walk(arena, NULL, NULL), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    cr_assert_eq(hk_arena_walk(arena, note, NULL), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_arena_walk(NULL, note, NULL), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_last_status(), HK_ERR_BAD_ARENA);
}

/* An arena's blocks can be freed by a list that a walk has made. */
typedef struct list {
    void *blocks[100];
    size_t count;
} list;

static bool add(const void *block, size_t size, void *user_data) {
    list *all = user_data;
    (void)size;
    all->blocks[all->count++] = (void *)(uintptr_t)block;
    return all->count < LENGTH_OF(all->blocks);
}

Test(walk, free_by_list) {
    hk_arena *arena = make_arena(0);
    list all;
    for (size_t i = 0; i < 950; i++)
        cr_assert_not_null(hk_arena_alloc(arena, 1 + i * 77 % 70000));
    do {
        all.count = 0;
        cr_assert_eq(hk_arena_walk(arena, add, &all), HK_OK);
        for (size_t i = 0; i < all.count; i++)
            cr_assert_eq(hk_arena_free(arena, all.blocks[i]), HK_OK);
    } while (all.count > 0);
    assert_empty(arena);
}
