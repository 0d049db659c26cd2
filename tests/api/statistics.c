/* Statistics: the figures against a model of what was allocated, which knows nothing but the calls that were made. */
#include "api_test.h"

enum { SLOTS = 800 };

typedef struct model {
    subject in;
    void *blocks[SLOTS];
    size_t sizes[SLOTS]; /* as asked for; the alignment is 16, so what was got is hk_good_size */
    size_t peak_held_bytes;
} model;

static hk_statistics statistics_of(hk_arena *arena) {
    hk_statistics figures;
    memset(&figures, 0xa5, sizeof figures);
    figures.struct_size = sizeof figures;
    cr_assert_eq(hk_arena_statistics(arena, &figures), HK_OK);
    cr_assert_eq(figures.struct_size, sizeof figures);
    return figures;
}

/* What the model says, but for the figures that it does not know. */
static hk_statistics expected_of(const model *known, const hk_statistics *figures) {
    hk_statistics expected = {0};
    for (size_t i = 0; i < SLOTS; i++) {
        size_t size = hk_good_size(known->sizes[i]), class_number = 0;
        if (known->blocks[i] == NULL)
            continue;
        expected.live_blocks++;
        expected.live_bytes += size;
        while (class_number < figures->size_classes && figures->classes[class_number].block_size != size)
            class_number++;
        if (class_number < figures->size_classes) {
            expected.classes[class_number].live_blocks++;
        } else {
            expected.large_blocks++;
            expected.large_bytes += size;
        }
    }
    return expected;
}

static void compare_classes(const hk_statistics *figures, const hk_statistics *expected) {
    size_t held = figures->large_bytes;
    for (size_t i = 0; i < figures->size_classes; i++) {
        const hk_class_statistics *class = &figures->classes[i];
        cr_assert_eq(class->live_blocks, expected->classes[i].live_blocks, "of %zu bytes", class->block_size);
        cr_assert_geq(class->held_bytes, class->live_blocks * class->block_size);
        cr_assert_eq(class->held_bytes % LINE, 0);
        held += class->held_bytes;
    }
    cr_assert_eq(figures->held_bytes, held);
}

static void compare(model *known) {
    hk_statistics figures = statistics_of(known->in.arena);
    hk_statistics expected = expected_of(known, &figures);
    cr_assert_eq(figures.live_blocks, expected.live_blocks);
    cr_assert_eq(figures.live_bytes, expected.live_bytes);
    cr_assert_eq(figures.large_blocks, expected.large_blocks);
    cr_assert_eq(figures.large_bytes, expected.large_bytes);
    compare_classes(&figures, &expected);
    if (figures.held_bytes > known->peak_held_bytes)
        known->peak_held_bytes = figures.held_bytes;
    cr_assert_geq(figures.peak_held_bytes, known->peak_held_bytes);
    cr_assert_geq(figures.units * UNIT, figures.held_bytes);
    cr_assert_eq(figures.heaps, 1);
    cr_assert(figures.limit_bytes == 0 && figures.limit_failures == 0 && figures.system_failures == 0);
}

static void change(model *known, size_t slot, uint32_t *random) {
    size_t size = random_size(random, next_random(random) % 32 == 0 ? 23 : 15);
    void **block = &known->blocks[slot];
    if (*block == NULL)
        *block = subject_alloc(&known->in, size);
    else if (next_random(random) % 3 == 0)
        *block = subject_realloc(&known->in, *block, size);
    else {
        subject_free_sized(&known->in, *block, known->sizes[slot]);
        *block = NULL;
        return;
    }
    cr_assert_not_null(*block);
    known->sizes[slot] = size;
}

static void follow(int which) {
    static model known;
    uint32_t random = 13 + (uint32_t)which;
    memset(&known, 0, sizeof known);
    known.in = make_subject(which);
    cr_assert_eq(known.in.alignment, 16);
    for (int step = 0; step < 20000; step++) {
        change(&known, next_random(&random) % SLOTS, &random);
        if (step % 50 == 0)
            compare(&known);
        if (step % 1000 == 0)
            assert_sound(known.in.arena);
    }
    for (size_t slot = 0; slot < SLOTS; slot++)
        if (known.blocks[slot] != NULL) {
            subject_free(&known.in, known.blocks[slot]);
            known.blocks[slot] = NULL;
        }
    compare(&known);
    end_subject(&known.in);
}

Test(figures, of_the_process_heap) {
    follow(0);
}

Test(figures, of_the_process_heap_by_handle) {
    follow(1);
}

Test(figures, of_a_shared_arena) {
    follow(2);
}

Test(figures, of_a_one_thread_arena) {
    follow(4);
}

Test(figures, of_an_arena_of_alignment_8) {
    hk_arena *arena = make_named_arena("eight", 0, 8);
    size_t blocks = 0, bytes = 0;
    for (size_t size = 8; size <= 128; size += 8, blocks++) {
        cr_assert_not_null(hk_arena_alloc(arena, size));
        bytes += size;
    }
    hk_statistics figures = statistics_of(arena);
    cr_assert(figures.live_blocks == blocks && figures.live_bytes == bytes && figures.large_blocks == 0);
    for (size_t i = 0; i < figures.size_classes; i++)
        cr_assert_eq(figures.classes[i].live_blocks, figures.classes[i].block_size <= 128);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(figures, size_classes_grow) {
    hk_statistics figures = statistics_of(hk_arena_default());
    cr_assert(figures.size_classes > 0 && figures.size_classes <= HK_SIZE_CLASSES_MAX);
    for (size_t i = 0; i < HK_SIZE_CLASSES_MAX; i++) {
        size_t size = figures.classes[i].block_size;
        cr_assert(i < figures.size_classes ? size % 8 == 0 && size > 0 : size == 0);
        cr_assert(i == 0 || size == 0 || size > figures.classes[i - 1].block_size);
        cr_assert(size == 0 || size % 16 != 0 || hk_good_size(size) == size);
    }
}

/* ---- failures ---- */

Test(failures, are_counted_by_their_cause) {
    hk_arena *arena = make_arena(100 * LINE);
    void *block = hk_arena_alloc(arena, 50 * LINE);
    cr_assert_null(hk_arena_alloc(arena, 51 * LINE));
    cr_assert_null(hk_arena_calloc(arena, 60, LINE));
    cr_assert_null(hk_arena_aligned_alloc(arena, UNIT, 60 * LINE));
    cr_assert_null(hk_arena_realloc(arena, block, 101 * LINE));
    cr_assert_null(hk_arena_alloc(arena, SIZE_MAX)); /* which no limit refuses */
    cr_assert_null(hk_arena_aligned_alloc(arena, 3, 1));
    cr_assert(totals_of(arena).limit_failures == 4 && totals_of(arena).system_failures == 0);
    cr_assert_eq(hk_arena_set_limit(arena, 0), HK_OK);
    cr_assert_null(hk_arena_alloc(arena, (size_t)1 << 40));
    cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
    cr_assert(totals_of(arena).limit_failures == 4 && totals_of(arena).system_failures == 1);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* ---- threads ---- */

enum { THREADS = 4, EACH = 500 };

typedef struct worker {
    hk_arena *arena;
    void *blocks[EACH];
    pthread_barrier_t *all_there;
} worker;

static void *work(void *argument) {
    worker *self = argument;
    pthread_barrier_wait(self->all_there);
    for (size_t i = 0; i < EACH; i++)
        self->blocks[i] = hk_arena_alloc(self->arena, i % 50 == 0 ? 20 * LINE : 16 + i);
    pthread_barrier_wait(self->all_there);
    return NULL;
}

/* Frees every other block, none of which is this thread's own; returns the usable bytes that live on. */
static size_t free_half(worker *of) {
    size_t left = 0;
    for (size_t i = 0; i < EACH; i++) {
        if (i % 2 == 0)
            cr_assert_eq(hk_arena_free(of->arena, of->blocks[i]), HK_OK);
        else
            left += hk_usable_size(of->blocks[i]);
    }
    return left;
}

Test(threads, figures_include_all_heaps) {
    static worker workers[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t all_there;
    hk_arena *arena = make_named_arena("shared", 0, 16);
    cr_assert_eq(pthread_barrier_init(&all_there, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i].arena = arena;
        workers[i].all_there = &all_there;
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(statistics_of(arena).live_blocks, (size_t)THREADS * EACH);
    cr_assert_eq(statistics_of(arena).heaps, THREADS);
    size_t left = 0;
    for (int i = 0; i < THREADS; i++)
        left += free_half(&workers[i]);
    hk_statistics figures = statistics_of(arena);
    cr_assert(figures.live_blocks == (size_t)THREADS * EACH / 2 && figures.live_bytes == left);
    cr_assert_eq(figures.large_blocks, 0);
    assert_sound(arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    pthread_barrier_destroy(&all_there);
}

/* ---- the structure ---- */

Test(structure, is_written_as_far_as_is_asked_for) {
    static union {
        hk_statistics figures;
        unsigned char bytes[sizeof(hk_statistics) + 64];
    } all, part;
    hk_arena *arena = make_arena(MIB);
    cr_assert_not_null(hk_arena_alloc(arena, 100));
    all.figures = statistics_of(arena);
    for (size_t size = 0; size <= sizeof part; size++) {
        memset(&part, 0x5a, sizeof part);
        part.figures.struct_size = size;
        hk_status status = hk_arena_statistics(arena, &part.figures);
        cr_assert_eq(status, size < sizeof(size_t) ? HK_ERR_INVALID_ARGUMENT : HK_OK, "%zu", size);
        cr_assert_eq(part.figures.struct_size, size);
        size_t written = status != HK_OK ? sizeof size : size < sizeof all.figures ? size : sizeof all.figures;
        cr_assert_arr_eq(part.bytes + sizeof size, all.bytes + sizeof size, written - sizeof size);
        size_t i = written;
        while (i < sizeof part && part.bytes[i] == 0x5a)
            i++;
        cr_assert_eq(i, sizeof part, "byte %zu is written for a size of %zu", i, size);
    }
    cr_assert_eq(hk_arena_statistics(arena, NULL), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}
