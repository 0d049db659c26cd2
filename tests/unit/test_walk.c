/* walk: every live block once, against a model, with several heaps and remote frees; what a visitor may do. */
#include "unit_test.h"

#include "walk.h"

#include <setjmp.h>

enum { SLOTS = 3000, STEPS = 6000, THREADS = 3 };

static hk_arena *handle;

typedef struct slot {
    void *block;
    size_t usable;
    bool seen;
} slot;

static slot slots[SLOTS];

static bool is_free(const slot *of) {
    return of->block == NULL;
}

static int by_address(const void *left, const void *right) {
    const slot *a = left, *b = right;
    return ((uintptr_t)a->block > (uintptr_t)b->block) - ((uintptr_t)a->block < (uintptr_t)b->block);
}

/* ---- the model ---- */

static const void *last_seen;

static bool check_off(const void *block, size_t size, void *user_data) {
    const slot wanted = {.block = (void *)(uintptr_t)block};
    slot *found = bsearch(&wanted, slots, SLOTS, sizeof *slots, by_address);
    cr_assert_not_null(found, "%p is not live", block);
    cr_assert_not(found->seen, "%p is there twice", block);
    cr_assert_eq(size, found->usable);
    cr_assert_lt((uintptr_t)last_seen, (uintptr_t)block);
    last_seen = block;
    found->seen = true;
    ++*(size_t *)user_data;
    return true;
}

/* The walk sees just the slots' blocks, by ascending address. */
static void assert_walk(void) {
    size_t live = 0, seen = 0;
    qsort(slots, SLOTS, sizeof *slots, by_address);
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i].seen = false;
        live += !is_free(&slots[i]);
    }
    last_seen = NULL;
    cr_assert_eq(hk_arena_walk(handle, check_off, &seen), HK_OK);
    cr_assert_eq(seen, live);
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(handle, &totals), HK_OK);
    cr_assert_eq(totals.live_blocks, live);
}

static bool change(slot *of, uint32_t *seed) {
    if (!is_free(of)) {
        bool done = hk_arena_free(handle, of->block) == HK_OK;
        of->block = NULL;
        return done;
    }
    size_t max = next_random(seed) % 100 == 0 ? (size_t)9 << 20 : 60000;
    of->block = hk_arena_alloc(handle, 1 + random_size(seed, max));
    of->usable = of->block == NULL ? 0 : hk_usable_size(of->block);
    return of->block != NULL;
}

static void random_history(uint32_t seed) {
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < STEPS / 12; i++)
            cr_assert(change(&slots[next_random(&seed) % SLOTS], &seed));
        assert_walk();
    }
}

Test(walk, random_histories) {
    static const uint32_t flags[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0};
    for (uint32_t i = 0; i < 4; i++) {
        memset(slots, 0, sizeof slots);
        handle = make_arena(flags[i / 2], i % 2 == 0 ? 8 : 16, 0);
        random_history(i + 1);
        assert_sound(hki_arena_find(handle));
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    }
}

typedef struct share {
    pthread_t thread;
    uint32_t seed;
    bool is_done;
    pthread_barrier_t *together;
} share;

/* Changes every third slot from its own on, then blocks of everybody: so most frees are another heap's. */
static void *change_share(void *argument) {
    share *own = argument;
    size_t from = own->seed % THREADS;
    own->is_done = true;
    for (int round = 0; round < 3; round++) {
        for (size_t i = (from + (size_t)round) % THREADS; i < SLOTS; i += THREADS)
            if (next_random(&own->seed) % 2 == 0)
                own->is_done &= change(&slots[i], &own->seed);
        pthread_barrier_wait(own->together);
    }
    pthread_barrier_wait(own->together); /* the heaps have their owners until the walk is over */
    return NULL;
}

static void walk_among_threads(uint32_t seed) {
    pthread_barrier_t together;
    share shares[THREADS];
    pthread_barrier_init(&together, NULL, THREADS + 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        shares[i] = (share){.seed = seed * THREADS + i, .together = &together};
        cr_assert_eq(pthread_create(&shares[i].thread, NULL, change_share, &shares[i]), 0);
    }
    for (int round = 0; round < 3; round++)
        pthread_barrier_wait(&together);
    assert_walk(); /* nobody has collected what others freed */
    pthread_barrier_wait(&together);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(shares[i].thread, NULL), 0);
        cr_assert(shares[i].is_done);
    }
    assert_walk();
    pthread_barrier_destroy(&together);
}

Test(walk, several_heaps_and_remote_frees) {
    handle = make_arena(0, 16, 0);
    for (uint32_t seed = 1; seed <= 6; seed++)
        walk_among_threads(seed);
    assert_sound(hki_arena_find(handle));
}

/* ---- what a visitor may do ---- */

static bool count_to_three(const void *block, size_t size, void *user_data) {
    (void)block, (void)size;
    return ++*(int *)user_data < 3;
}

Test(walk, visitor_stops_it) {
    int count = 0;
    handle = make_plain_arena();
    for (size_t size = 16; size <= (size_t)16 << 20; size *= 16)
        cr_assert_not_null(hk_arena_alloc(handle, size));
    cr_assert_eq(hk_arena_walk(handle, count_to_three, &count), HK_OK);
    cr_assert_eq(count, 3);
    for (int stop_at = 3; stop_at > -2; stop_at--) {
        count = stop_at;
        cr_assert_eq(hk_arena_walk(handle, count_to_three, &count), HK_OK);
        cr_assert_eq(count, stop_at < 2 ? 3 : stop_at + 1);
    }
}

Test(walk, empty_arena) {
    int count = 0;
    handle = make_plain_arena();
    cr_assert_eq(hk_arena_walk(handle, count_to_three, &count), HK_OK);
    cr_assert_eq(hk_arena_free(handle, hk_arena_alloc(handle, 100)), HK_OK);
    cr_assert_eq(hk_arena_walk(handle, count_to_three, &count), HK_OK);
    cr_assert_eq(count, 0);
}

/* Everything that takes a lock, in other arenas; and looks at the block. */
static bool do_other_things(const void *block, size_t size, void *user_data) {
    hk_arena *other;
    void *blocks[40];
    (void)user_data;
    cr_assert_eq(hk_arena_create(NULL, &other), HK_OK);
    for (size_t i = 0; i < LENGTH_OF(blocks); i++)
        cr_assert_not_null(blocks[i] = hk_arena_alloc(other, i % 8 == 0 ? (size_t)5 << 20 : i * 4000));
    for (size_t i = 0; i < LENGTH_OF(blocks); i += 2)
        cr_assert_eq(hk_arena_free(other, blocks[i]), HK_OK);
    cr_assert_eq(hk_arena_check(other), HK_OK);
    cr_assert_eq(hk_arena_destroy(other), HK_OK);
    hk_free(hk_malloc(100000));
    hk_purge();
    cr_assert_eq(hk_usable_size(block), size);
    cr_assert(hk_arena_owns(handle, block));
    return true;
}

Test(walk, visitor_works_elsewhere) {
    handle = make_plain_arena();
    for (size_t size = 16; size <= (size_t)16 << 20; size *= 4)
        cr_assert_not_null(hk_arena_alloc(handle, size));
    cr_assert_eq(hk_arena_walk(handle, do_other_things, NULL), HK_OK);
    assert_sound(hki_arena_find(handle));
}

static jmp_buf out;

static bool leave(const void *block, size_t size, void *user_data) {
    (void)block, (void)size, (void)user_data;
    longjmp(out, 1);
}

Test(walk, visitor_leaves) {
    handle = make_plain_arena();
    void *block = hk_arena_alloc(handle, 100);
    if (setjmp(out) == 0)
        hk_arena_walk(handle, leave, NULL);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    assert_sound(hki_arena_find(handle));
}

/* A thread ends within the visitor: its heap goes on the idle list and gives back what it does not need. */
static struct {
    pthread_t thread;
    pthread_barrier_t together;
    void *kept[50];
    size_t seen;
    bool is_over;
} guest;

static void *visit_as_guest(void *argument) {
    void *others[2000];
    (void)argument;
    for (size_t i = 0; i < LENGTH_OF(others); i++)
        others[i] = hk_arena_alloc(handle, i % 3000 + 8);
    for (size_t i = 0; i < LENGTH_OF(guest.kept); i++)
        guest.kept[i] = hk_arena_alloc(handle, 500);
    for (size_t i = 0; i < LENGTH_OF(others); i++)
        hk_arena_free(handle, others[i]);
    pthread_barrier_wait(&guest.together);
    pthread_barrier_wait(&guest.together);
    return NULL;
}

static bool let_guest_end(const void *block, size_t size, void *user_data) {
    (void)user_data;
    cr_assert_not_null(block);
    cr_assert_eq(size, 512);
    guest.seen++;
    if (guest.is_over)
        return true;
    guest.is_over = true;
    pthread_barrier_wait(&guest.together);
    return pthread_join(guest.thread, NULL) == 0;
}

Test(walk, thread_ends_meanwhile) {
    handle = make_arena(0, 16, 0);
    pthread_barrier_init(&guest.together, NULL, 2);
    cr_assert_eq(pthread_create(&guest.thread, NULL, visit_as_guest, NULL), 0);
    pthread_barrier_wait(&guest.together);
    cr_assert_eq(hk_arena_walk(handle, let_guest_end, NULL), HK_OK);
    cr_assert_eq(guest.seen, LENGTH_OF(guest.kept));
    assert_sound(hki_arena_find(handle));
}
