/* Hardened arenas, by the public interface: exact sizes, overflows, double frees, realloc, alignment, figures,
 * threads. */
#include "../misuse/misuse_test.h"

#include <stdatomic.h>

static const uint32_t kinds[] = {HK_ARENA_HARDENED, HK_ARENA_HARDENED | HK_ARENA_ONE_THREAD_AT_A_TIME};

/* 0..3: for any thread and for one, of alignment 16 and 8. */
enum { HARDENED_SUBJECTS = 4 };

static subject make_hardened(int which) {
    subject made = {.alignment = which % 2 == 0 ? 16 : 8};
    made.arena = make_named_arena("hardened", kinds[which / 2], (uint32_t)made.alignment);
    return made;
}

static const size_t some_sizes[] = {1,    7,    8,     9,     24,    100,   200,   505,     1000,    4000,
                                    8000, 9000, 16376, 16377, 20000, 65528, 70000, 1 * MIB, 5 * MIB, 9 * MIB};

static size_t held_bytes_of(hk_arena *arena) {
    return totals_of(arena).held_bytes;
}

/* ---- sizes ---- */

Test(sizes, are_those_that_were_asked_for, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t size = 0; size < 90000; size += 1 + size / 60) {
            void *block = subject_alloc(&in, size);
            cr_assert(is_aligned(block, size > 8 ? in.alignment : 8), "%zu", size);
            cr_assert(is_zero(block, size));
            fill(block, size, size);
            cr_assert_eq(hk_usable_size(block), size);
            cr_assert_eq(classify(block).block_size, size);
            cr_assert_eq(classify((char *)block + size / 2).block_start, block);
            subject_free_sized(&in, block, size);
        }
        cr_assert_eq(seen.count, 0);
        end_subject(&in);
    }
}

Test(sizes, of_sized_calls_are_exact, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
            size_t size = some_sizes[i];
            void *block = subject_alloc(&in, size);
            fill(block, size, i);
            for (size_t k = 0; k < LENGTH_OF(misuse_calls); k++)
                for (size_t wrong = size - 1; wrong <= size + 1; wrong += 2)
                    if (is_for(&misuse_calls[k], &in) && misuse_calls[k].is_told)
                        assert_misuse(&misuse_calls[k], (arguments){.arena = in.arena, .pointer = block, .size = wrong},
                                      (expectation){HK_ERR_SIZE_MISMATCH, size, wrong, "hardened"});
            cr_assert(holds(block, size, i));
            subject_free_sized(&in, block, size);
        }
        end_subject(&in);
    }
}

Test(sizes, that_no_block_can_have) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t less = 0; less < 20; less++) {
            cr_assert_null(subject_alloc(&in, SIZE_MAX - less));
            cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
            cr_assert_null(hk_arena_calloc(in.arena, SIZE_MAX - less, 1));
        }
        cr_assert_null(subject_alloc(&in, (size_t)1 << 40));
        cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
        end_subject(&in);
    }
}

Test(sizes, of_calloc_and_aligned_blocks) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t alignment = 1; alignment <= 16 * MIB; alignment *= 2)
            for (size_t size = 0; size <= 100000; size = size * 3 + 1) {
                void *block = subject_aligned_alloc(&in, alignment, size);
                void *zeros = subject_calloc(&in, size, 1);
                cr_assert(is_aligned(block, alignment) && is_zero(block, size), "%zu, %zu", alignment, size);
                cr_assert_eq(hk_usable_size(block), size);
                cr_assert(is_zero(zeros, size));
                fill(block, size, 1);
                fill(zeros, size, 2);
                subject_free_sized(&in, block, size);
                subject_free_sized(&in, zeros, size);
            }
        end_subject(&in);
    }
}

/* ---- overflows ---- */

/* All calls refuse a block whose neighbourhood was written to, time and again; and then, whole again, it can be
 * freed. */
static void assert_overflow(const subject *in, unsigned char *block, size_t size, size_t from, size_t length) {
    unsigned char saved[64];
    memcpy(saved, block + from, length);
    for (size_t i = 0; i < length; i++)
        block[from + i] = (unsigned char)~block[from + i];
    for (size_t k = 0; k < LENGTH_OF(misuse_calls); k++) {
        if (!is_for(&misuse_calls[k], in))
            continue;
        expectation expected = {HK_ERR_OVERFLOW, hk_usable_size(block), 0, "hardened"};
        assert_misuse(&misuse_calls[k], (arguments){.arena = in->arena, .pointer = block, .size = size}, expected);
        cr_assert(hk_arena_owns(in->arena, block));
    }
    memcpy(block + from, saved, length);
}

Test(overflow, is_found_at_any_distance, .init = watch) {
    static const size_t lengths[] = {1, 8, 32};
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
            size_t size = some_sizes[i];
            unsigned char *block = subject_alloc(&in, size), *neighbour = subject_alloc(&in, size);
            fill(block, size, i);
            for (size_t k = 0; k < LENGTH_OF(lengths); k++)
                if (lengths[k] <= 8)
                    assert_overflow(&in, block, size, size, lengths[k]);
            assert_overflow(&in, block, size, size + 7, 1);
            cr_assert(holds(block, size, i));
            subject_free(&in, block);
            subject_free(&in, neighbour);
        }
        end_subject(&in);
    }
}

/* 32 bytes reach over the eight of slack into the next block: both blocks tell. */
Test(overflow, reaches_into_the_neighbour, .init = watch) {
    subject in = make_hardened(2);
    enum { BLOCKS = 64, SIZE = 120 };
    unsigned char *blocks[BLOCKS], *block = NULL, *next = NULL;
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = subject_alloc(&in, SIZE);
    for (int i = 0; i < BLOCKS; i++)
        for (int k = 0; k < BLOCKS; k++)
            if (blocks[k] == blocks[i] + 128) {
                block = blocks[i];
                next = blocks[k];
            }
    cr_assert_not_null(block);
    assert_overflow(&in, block, SIZE, SIZE, 32);
    /* An underflow of `next` by one byte is an overflow of the block before it. */
    next[-1]++;
    cr_assert_eq(hk_arena_free(in.arena, next), HK_OK);
    cr_assert_eq(hk_arena_free(in.arena, block), HK_ERR_OVERFLOW);
    next[-1]--;
    cr_assert_eq(hk_arena_free(in.arena, block), HK_OK);
    cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
}

Test(overflow, of_a_string_by_its_zero, .init = watch) {
    subject in = make_hardened(0);
    for (size_t size = 1; size < 20000; size += 1 + size / 40) {
        char *block = subject_alloc(&in, size);
        memset(block, 'x', size);
        char saved = block[size];
        block[size] = '\0';
        cr_assert_eq(hk_arena_free(in.arena, block), HK_ERR_OVERFLOW);
        block[size] = saved;
        subject_free(&in, block);
    }
    end_subject(&in);
}

Test(overflow, ends_with_its_arena, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
            unsigned char *block = subject_alloc(&in, some_sizes[i]);
            block[some_sizes[i]] ^= 1;
            cr_assert_eq(hk_arena_free(in.arena, block), HK_ERR_OVERFLOW);
        }
        cr_assert_eq(totals_of(in.arena).live_blocks, LENGTH_OF(some_sizes));
        assert_sound(in.arena);
        cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
    }
}

/* ---- double frees and the rest ---- */

Test(misuse, is_told_as_exactly_as_elsewhere, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        hk_arena *other = make_arena(0);
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
            size_t size = some_sizes[i];
            char *block = subject_alloc(&in, size);
            cr_assert_eq(hk_arena_free(other, block), HK_ERR_WRONG_ARENA);
            hk_free(block);
            cr_assert_eq(seen.status, HK_ERR_WRONG_ARENA);
            cr_assert_eq(seen.block_size, size);
            cr_assert_eq(hk_arena_free(in.arena, block + 1), HK_ERR_INTERIOR_POINTER);
            cr_assert_eq(hk_arena_free(in.arena, block + size / 2 + 1), HK_ERR_INTERIOR_POINTER);
            subject_free(&in, block);
            for (int again = 0; again < 3; again++) {
                hk_status status = hk_arena_free(in.arena, block);
                cr_assert(status == HK_ERR_DOUBLE_FREE || (size > 4 * MIB && status == HK_ERR_FOREIGN_POINTER), "%zu",
                          size);
            }
        }
        cr_assert_eq(hk_arena_free(in.arena, NULL), HK_OK);
        cr_assert_eq(hk_arena_free(in.arena, &in), HK_ERR_FOREIGN_POINTER);
        void *foreign = hk_arena_alloc(other, 100);
        cr_assert_eq(hk_arena_free(in.arena, foreign), HK_ERR_WRONG_ARENA);
        cr_assert_eq(hk_arena_destroy(other), HK_OK);
        end_subject(&in);
        cr_assert_null(hk_arena_alloc(in.arena, 10));
        cr_assert_eq(hk_last_status(), HK_ERR_BAD_ARENA);
    }
}

/* ---- realloc ---- */

static void assert_resized(const subject *in, size_t from, size_t to, bool sized) {
    void *block = subject_alloc(in, from);
    fill(block, from, from);
    unsigned char *resized =
        sized ? hk_arena_realloc_sized(in->arena, block, from, to) : subject_realloc(in, block, to);
    cr_assert_not_null(resized);
    cr_assert(holds(resized, from < to ? from : to, from), "%zu to %zu", from, to);
    cr_assert_eq(hk_usable_size(resized), to);
    resized[to] ^= 0x10;
    cr_assert_eq(hk_arena_free(in->arena, resized), HK_ERR_OVERFLOW, "%zu to %zu", from, to);
    resized[to] ^= 0x10;
    subject_free_sized(in, resized, to);
}

Test(resized, in_all_directions, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++)
            for (size_t k = 0; k < LENGTH_OF(some_sizes); k++)
                assert_resized(&in, some_sizes[i], some_sizes[k], (i + k) % 2 == 0);
        for (size_t from = 1; from < 200; from++)
            for (size_t to = 1; to < 200; to++)
                assert_resized(&in, from, to, from % 2 == 0);
        end_subject(&in);
    }
}

Test(resized, leaves_no_secret_behind) {
    subject in = make_hardened(2);
    for (size_t size = 16; size < 60000; size *= 2) {
        unsigned char *block = subject_alloc(&in, size);
        memset(block, 0xa5, size);
        block = subject_realloc(&in, block, size - 8);
        block = subject_realloc(&in, block, size);
        cr_assert(is_zero(block + size - 8, 8), "%zu", size);
        subject_free(&in, block);
    }
    end_subject(&in);
}

/* At the limit a shrink keeps its block; its size is known all the same. */
Test(resized, shrinks_never_fail, .init = watch) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++)
        for (size_t i = 5; i < LENGTH_OF(some_sizes); i++) {
            subject in = make_hardened(which);
            size_t size = some_sizes[i];
            unsigned char *block = subject_alloc(&in, size);
            fill(block, size, i);
            hk_arena_set_limit(in.arena, LINE);
            for (size_t to = size / 2; to > 0; to /= 2) {
                block = subject_realloc(&in, block, to);
                cr_assert_not_null(block);
                cr_assert(holds(block, to, i));
                cr_assert_eq(hk_usable_size(block), to);
                block[to]++;
                cr_assert_eq(hk_arena_free(in.arena, block), HK_ERR_OVERFLOW);
                block[to]--;
            }
            cr_assert_null(subject_realloc(&in, block, size + 100000));
            cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
            assert_sound(in.arena);
            subject_free(&in, block);
            end_subject(&in);
        }
}

/* A random history beside a copy of what every block should hold. */
Test(resized, over_a_long_time, .init = watch) {
    enum { SLOTS = 100, STEPS = 40000 };
    static struct {
        void *block;
        size_t size;
    } slots[SLOTS];
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        uint32_t random = (uint32_t)which + 1;
        for (unsigned i = 0; i < STEPS; i++) {
            unsigned k = next_random(&random) % SLOTS;
            size_t size = random_size(&random, 17), keep = size < slots[k].size ? size : slots[k].size;
            slots[k].block = subject_realloc(&in, slots[k].block, size);
            cr_assert_not_null(slots[k].block);
            cr_assert(holds(slots[k].block, keep, k));
            fill(slots[k].block, size, k);
            slots[k].size = size;
            if (i % 5000 == 0)
                assert_sound(in.arena);
        }
        for (unsigned k = 0; k < SLOTS; k++) {
            subject_free_sized(&in, slots[k].block, slots[k].size);
            slots[k].block = NULL;
            slots[k].size = 0;
        }
        cr_assert_eq(seen.count, 0);
        end_subject(&in);
    }
}

/* ---- figures ---- */

static bool add_visited(const void *block, size_t size, void *user_data) {
    size_t *sum = user_data;
    *sum += size;
    return hk_usable_size(block) == size;
}

Test(figures, of_walks_are_exact) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        size_t sum = 0, visited = 0;
        for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
            cr_assert_not_null(subject_alloc(&in, some_sizes[i]));
            sum += some_sizes[i];
        }
        cr_assert_eq(hk_arena_walk(in.arena, add_visited, &visited), HK_OK);
        cr_assert_eq(visited, sum);
        cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
    }
}

Test(figures, count_live_blocks_and_hold_a_limit) {
    for (int which = 0; which < HARDENED_SUBJECTS; which++) {
        subject in = make_hardened(which);
        void *blocks[1000];
        hk_arena_set_limit(in.arena, 300 * LINE);
        size_t count = 0;
        while (count < LENGTH_OF(blocks) && (blocks[count] = subject_alloc(&in, 1000)) != NULL)
            count++;
        cr_assert_geq(count, 290);
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        cr_assert_eq(totals_of(in.arena).live_blocks, count);
        cr_assert_leq(held_bytes_of(in.arena), 300 * LINE);
        for (size_t i = 0; i < count; i++)
            subject_free(&in, blocks[i]);
        cr_assert_not_null(subject_alloc(&in, 290 * LINE));
        assert_sound(in.arena);
        cr_assert_eq(hk_arena_destroy(in.arena), HK_OK);
    }
}

/* ---- threads ---- */

enum { THREADS = 4, RING = 256, TURNS = 6000 };

/* Blocks go round through these places; whoever puts one in frees the one that was there, of whatever thread. */
static _Atomic(unsigned char *) places[RING];
static hk_arena *shared;
static _Atomic unsigned wrong;

static void put(unsigned place, unsigned char *block) {
    unsigned char *before = atomic_exchange_explicit(&places[place], block, memory_order_acq_rel);
    if (before == NULL)
        return;
    size_t size = hk_usable_size(before);
    bool whole = holds(before + 8, size - 8, (uintptr_t)before);
    if (!whole || hk_arena_free(shared, before) != HK_OK)
        atomic_fetch_add(&wrong, 1);
}

static void *go_round(void *argument) {
    uint32_t random = (uint32_t)(uintptr_t)argument;
    for (unsigned i = 0; i < TURNS; i++) {
        size_t size = 8 + random_size(&random, i % 50 == 0 ? 18 : 12);
        unsigned char *block = hk_arena_alloc(shared, size);
        if (block == NULL || !is_zero(block, size)) {
            atomic_fetch_add(&wrong, 1);
            continue;
        }
        fill(block + 8, size - 8, (uintptr_t)block);
        if (i % 7 == 0 && (block = hk_arena_realloc(shared, block, size + i % 100)) != NULL)
            fill(block + 8, size + i % 100 - 8, (uintptr_t)block);
        put(next_random(&random) % RING, block);
    }
    return NULL;
}

Test(threads, free_each_others_blocks, .init = watch) {
    shared = make_named_arena("hardened", HK_ARENA_HARDENED, 16);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, go_round, (void *)(i + 1)), 0);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        assert_sound(shared);
    }
    for (unsigned i = 0; i < RING; i++)
        put(i, NULL);
    cr_assert_eq(atomic_load(&wrong), 0);
    cr_assert_eq(seen.count, 0);
    assert_empty(shared);
    cr_assert_eq(hk_arena_destroy(shared), HK_OK);
}

/* Of threads that free the same blocks, none of which owns them, each block is freed by one and refused to the
 * others. */
enum { DOUBLES = 400, FREERS = 3 };
static unsigned char *doubles[DOUBLES];
static _Atomic unsigned freed, refused;

static void *free_all(void *argument) {
    for (unsigned i = 0; i < DOUBLES; i++)
        if (hk_arena_free(shared, doubles[i]) == HK_OK)
            atomic_fetch_add(&freed, 1);
    return argument;
}

static void count_refused(const hk_error_info *info, void *user_data) {
    (void)user_data;
    atomic_fetch_add(info->status == HK_ERR_DOUBLE_FREE || info->status == HK_ERR_FOREIGN_POINTER ? &refused : &wrong,
                     1);
}

Test(threads, free_a_block_once) {
    hk_set_error_handler(count_refused, NULL);
    shared = make_named_arena("hardened", HK_ARENA_HARDENED, 16);
    for (unsigned round = 1; round <= 20; round++) {
        pthread_t threads[FREERS];
        for (unsigned i = 0; i < DOUBLES; i++)
            doubles[i] = hk_arena_alloc(shared, i % 20 == 0 ? 20000 : i % 29 == 0 ? 70000 : i);
        for (int i = 0; i < FREERS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, free_all, NULL), 0);
        for (int i = 0; i < FREERS; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(atomic_load(&freed), round * DOUBLES);
        cr_assert_eq(atomic_load(&refused), round * DOUBLES * (FREERS - 1));
        cr_assert_eq(atomic_load(&wrong), 0);
        assert_empty(shared);
    }
    cr_assert_eq(hk_arena_destroy(shared), HK_OK);
}

/* An overflow that another thread finds: nothing has happened to the block. */
static void *free_first(void *argument) {
    *(hk_status *)argument = hk_arena_free(shared, doubles[0]);
    return NULL;
}

Test(threads, find_overflows_of_others, .init = watch) {
    shared = make_named_arena("hardened", HK_ARENA_HARDENED, 16);
    for (size_t i = 0; i < LENGTH_OF(some_sizes); i++) {
        hk_status status = HK_OK;
        doubles[0] = hk_arena_alloc(shared, some_sizes[i]);
        doubles[0][some_sizes[i]]++;
        run_in_thread(free_first, &status);
        cr_assert_eq(status, HK_ERR_OVERFLOW);
        doubles[0][some_sizes[i]]--;
        run_in_thread(free_first, &status);
        cr_assert_eq(status, HK_OK);
        cr_assert_neq(hk_arena_free(shared, doubles[0]), HK_OK);
    }
    assert_empty(shared);
}
