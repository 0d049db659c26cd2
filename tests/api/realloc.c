/* Reallocation: between all kinds of blocks, at the edges, and when memory is short. */
#include "api_test.h"

/* Of each kind of block, and both sides of each border. */
static const size_t sizes[] = {1,     8,     16,    24,    100,    1000,    1024,        1025,    5000,    16384,
                               16385, 20000, 65536, 65537, 200000, 4 * MIB, 4 * MIB + 1, 9 * MIB, 17 * MIB};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void *filled(const subject *in, size_t size, uint64_t seed) {
    void *block = subject_alloc(in, size);
    cr_assert_not_null(block, "%zu", size);
    fill(block, size, seed);
    return block;
}

/* To another size, by the functions that know the old size and those that do not. */
static void *resize(const subject *in, void *block, size_t from, size_t to, bool sized) {
    return sized ? hk_arena_realloc_sized(in->arena, block, from, to) : subject_realloc(in, block, to);
}

static void one_pair(const subject *in, size_t from, size_t to, bool sized) {
    size_t little = smaller(from, UNIT);
    void *before = filled(in, from, 1), *behind = filled(in, little, 2);
    void *block = resize(in, before, from, to, sized);
    cr_assert_not_null(block, "%zu to %zu", from, to);
    cr_assert_geq(hk_usable_size(block), to);
    cr_assert(is_aligned(block, to <= 8 ? 8 : in->alignment));
    if (!holds(block, smaller(from, to), 1) || !holds(behind, little, 2))
        cr_assert_fail("%zu to %zu: contents have changed", from, to);
    fill(block, to, 3);
    cr_assert(holds(behind, little, 2));
    cr_assert_eq(totals_of(in->arena).live_blocks, 2);
    subject_free_sized(in, block, to);
    subject_free(in, behind);
}

static void all_pairs(int first, int last) {
    for (int i = first; i <= last; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(sizes) * LENGTH_OF(sizes); k++)
            one_pair(&in, sizes[k / LENGTH_OF(sizes)], sizes[k % LENGTH_OF(sizes)], i > 1 && k % 2 == 0);
        end_subject(&in);
    }
}

Test(contents, from_each_size_to_each_in_the_process_heap) {
    all_pairs(0, 1);
}

Test(contents, from_each_size_to_each_in_arenas) {
    all_pairs(2, SUBJECTS - 1);
}

Test(contents, from_each_small_size_to_the_next) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        char *up = filled(&in, 1, 5);
        for (size_t size = 2; size <= 20000; size++) {
            up = subject_realloc(&in, up, size);
            if (up == NULL || hk_usable_size(up) < size || !holds(up, size - 1, 5))
                cr_assert_fail("up to %zu", size);
            fill(up, size, 5);
        }
        for (size_t size = 20000; size-- > 1;) {
            up = hk_arena_realloc_sized(in.arena, up, size + 1, size);
            cr_assert_not_null(up, "down to %zu", size);
            cr_assert(hk_usable_size(up) >= size && holds(up, size, 5), "down to %zu", size);
        }
        subject_free_sized(&in, up, 1);
        end_subject(&in);
    }
}

static void random_walk(const subject *in, uint32_t seed) {
    enum { SLOTS = 40, STEPS = 4000 };
    void *blocks[SLOTS] = {NULL};
    size_t now[SLOTS] = {0};
    uint32_t random = seed;
    for (int step = 0; step < STEPS; step++) {
        size_t slot = next_random(&random) % SLOTS;
        size_t wanted = random_size(&random, step % 16 == 0 ? 22 : 16);
        bool sized = blocks[slot] != NULL && next_random(&random) % 2 == 0;
        void *block = resize(in, blocks[slot], now[slot], wanted, sized);
        cr_assert_not_null(block);
        if (!holds(block, smaller(now[slot], wanted), slot))
            cr_assert_fail("step %d: %zu to %zu", step, now[slot], wanted);
        fill(block, wanted, slot);
        blocks[slot] = block;
        now[slot] = wanted;
    }
    assert_sound(in->arena);
    for (size_t slot = 0; slot < SLOTS; slot++)
        subject_free(in, blocks[slot]);
}

Test(contents, random_walk) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        random_walk(&in, 6 + (uint32_t)i);
        end_subject(&in);
    }
}

/* A buffer that grows step by step, as a string builder's does, through all kinds of blocks. */
Test(contents, steady_growth) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        size_t size = 16, next;
        char *block = filled(&in, size, 7);
        for (; size < 40 * MIB; size = next) {
            next = size + size / 2;
            block = subject_realloc(&in, block, next);
            cr_assert_not_null(block);
            cr_assert(holds(block, size, 7), "%zu to %zu", size, next);
            fill(block, next, 7);
        }
        subject_free(&in, block);
        end_subject(&in);
    }
}

/* ---- edges ---- */

Test(edges, of_null_allocates) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            void *block = subject_realloc(&in, NULL, sizes[k]);
            cr_assert_geq(hk_usable_size(block), sizes[k]);
            void *other = hk_arena_realloc_sized(in.arena, NULL, 0, sizes[k]);
            cr_assert_geq(hk_usable_size(other), sizes[k]);
            cr_assert_neq(block, other);
            subject_free_sized(&in, block, sizes[k]);
            subject_free_sized(&in, other, sizes[k]);
        }
        end_subject(&in);
    }
}

Test(edges, to_0_frees) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            void *block = filled(&in, sizes[k], 1);
            cr_assert_null(subject_realloc(&in, block, 0));
            cr_assert_not(hk_arena_owns(in.arena, block));
            block = filled(&in, sizes[k], 1);
            cr_assert_null(hk_arena_realloc_sized(in.arena, block, sizes[k], 0));
            cr_assert_not(hk_arena_owns(in.arena, block));
        }
        cr_assert_eq(hk_last_status(), HK_OK);
        end_subject(&in);
    }
}

Test(edges, within_what_is_usable_stays_in_place) {
    for (int i = 0; i < SUBJECTS; i++) {
        subject in = make_subject(i);
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            void *block = filled(&in, sizes[k], 1);
            size_t usable = hk_usable_size(block);
            cr_assert_eq(subject_realloc(&in, block, usable), block);
            void *again = hk_arena_realloc_sized(in.arena, block, usable, sizes[k]);
            cr_assert(in.lends || (again == block && hk_usable_size(block) == usable));
            block = again;
            cr_assert(holds(block, sizes[k], 1));
            subject_free_sized(&in, block, sizes[k]);
        }
        end_subject(&in);
    }
}

/* ---- when memory is short ---- */

/* An arena whose limit is what it holds with this block. */
static subject short_arena(int which, size_t size, void **block) {
    subject in = make_subject(which);
    *block = filled(&in, size, 9);
    cr_assert_eq(hk_arena_set_limit(in.arena, totals_of(in.arena).held_bytes), HK_OK);
    return in;
}

Test(short_of_memory, failing_growth_leaves_the_block) {
    for (int which = 2; which < SUBJECTS; which++)
        for (size_t k = 0; k < LENGTH_OF(sizes); k++) {
            void *block;
            subject in = short_arena(which, sizes[k], &block);
            size_t usable = hk_usable_size(block), limit = hk_arena_limit(in.arena);
            size_t failures = totals_of(in.arena).limit_failures;
            cr_assert_null(hk_arena_realloc(in.arena, block, limit + 1));
            cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
            cr_assert_null(hk_arena_realloc_sized(in.arena, block, sizes[k], limit + 10 * UNIT));
            cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
            cr_assert_eq(totals_of(in.arena).limit_failures, failures + 2);
            cr_assert(hk_arena_owns(in.arena, block) && hk_usable_size(block) == usable);
            cr_assert(holds(block, sizes[k], 9));
            subject_free_sized(&in, block, sizes[k]);
            end_subject(&in);
        }
}

static void *shrink(const subject *in, void *block, size_t from, size_t to) {
    hk_status before = hk_last_status();
    void *shrunk = resize(in, block, from, to, to % 2 == 0);
    cr_assert_not_null(shrunk, "%zu to %zu", from, to);
    cr_assert_eq(hk_last_status(), before);
    cr_assert_geq(hk_usable_size(shrunk), to);
    cr_assert(holds(shrunk, to, 9), "%zu to %zu", from, to);
    cr_assert_leq(totals_of(in->arena).held_bytes, totals_of(in->arena).peak_held_bytes);
    return shrunk;
}

Test(short_of_memory, shrinks_never_fail) {
    for (int which = 2; which < SUBJECTS; which++)
        for (size_t k = 0; k < LENGTH_OF(sizes) * LENGTH_OF(sizes); k++) {
            size_t from = sizes[k / LENGTH_OF(sizes)], to = sizes[k % LENGTH_OF(sizes)];
            void *block;
            if (to > from)
                continue;
            subject in = short_arena(which, from, &block);
            block = shrink(&in, block, from, to);
            assert_sound(in.arena);
            subject_free_sized(&in, block, to);
            end_subject(&in);
        }
}

Test(short_of_memory, shrinks_step_by_step_below_a_low_limit) {
    for (int which = 2; which < SUBJECTS; which++) {
        void *block;
        size_t from = 17 * MIB, to;
        subject in = short_arena(which, from, &block);
        cr_assert_eq(hk_arena_set_limit(in.arena, LINE), HK_OK);
        for (; from > 1; from = to) {
            to = from - (from + 3) / 4;
            to = to == 0 ? 1 : to;
            block = shrink(&in, block, from, to);
        }
        subject_free_sized(&in, block, 1);
        end_subject(&in);
    }
}

/* ---- by a thread that does not own the block ---- */

typedef struct remote_resize {
    const subject *in;
    void *block;
    size_t to;
} remote_resize;

static void *resize_remotely(void *argument) {
    const remote_resize *wanted = argument;
    return subject_realloc(wanted->in, wanted->block, wanted->to);
}

Test(other_threads, blocks_are_resized_with_their_contents) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        for (size_t k = 0; k < LENGTH_OF(sizes) * LENGTH_OF(sizes); k++) {
            size_t from = sizes[k / LENGTH_OF(sizes)], to = sizes[k % LENGTH_OF(sizes)];
            if (from + to > 10 * MIB)
                continue;
            void *block = run_in_thread(resize_remotely, &(remote_resize){&in, filled(&in, from, 8), to});
            cr_assert_geq(hk_usable_size(block), to);
            cr_assert(holds(block, smaller(from, to), 8), "%zu to %zu", from, to);
            subject_free_sized(&in, block, to);
        }
        end_subject(&in);
    }
}

Test(other_threads, shrinks_never_fail_either) {
    for (int which = 2; which < SUBJECTS; which++)
        for (size_t k = 1; k < LENGTH_OF(sizes); k++)
            for (size_t l = 0; l < k; l++) {
                void *block;
                subject in = short_arena(which, sizes[k], &block);
                block = run_in_thread(resize_remotely, &(remote_resize){&in, block, sizes[l]});
                cr_assert_not_null(block, "%zu to %zu", sizes[k], sizes[l]);
                cr_assert(hk_usable_size(block) >= sizes[l] && holds(block, sizes[l], 9));
                subject_free_sized(&in, block, sizes[l]);
                end_subject(&in);
            }
}

/* ---- what is counted ---- */

/* A shrink that succeeds is no request that the limit refused. */
Test(short_of_memory, shrinks_are_not_counted_as_refused) {
    for (size_t k = 1; k < LENGTH_OF(sizes); k++) {
        void *block;
        subject in = short_arena(4, sizes[k], &block);
        block = shrink(&in, block, sizes[k], 1);
        cr_assert_eq(totals_of(in.arena).limit_failures, 0, "%zu to 1", sizes[k]);
        subject_free_sized(&in, block, 1);
        end_subject(&in);
    }
}
