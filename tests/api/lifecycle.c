/* How arenas end, begin anew and shrink: hk_arena_reset, hk_arena_retire, hk_arena_trim, hk_purge. */
#include "api_test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 3000, THREADS = 4 };

static const size_t sizes[] = {8, 24, 64, 100, 500, 1024, 3000, 16000, 16385, 40000, 65537, 300000, 5000000};

typedef struct many {
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
} many;

static many held_blocks;

static void fill_arena(hk_arena *arena, many *blocks, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        blocks->sizes[i] = i % 100 == 0 ? sizes[i / 100 % (sizeof sizes / sizeof *sizes)] : 1 + i * 37 % 2000;
        cr_assert_not_null(blocks->blocks[i] = hk_arena_alloc(arena, blocks->sizes[i]));
        memset(blocks->blocks[i], (int)(i & 255), blocks->sizes[i]);
    }
}

static bool is_intact(const many *blocks, unsigned i) {
    for (size_t k = 0; k < blocks->sizes[i]; k++)
        if (blocks->blocks[i][k] != (i & 255))
            return false;
    return true;
}

static hk_arena *make(uint32_t flags) {
    return make_named_arena("lifecycle", flags, 16);
}

/* How many of the blocks lie in pages that have memory; what is not mapped has none. */
static size_t count_resident(unsigned char *const *blocks, size_t count) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t resident = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned char is_resident = 0;
        void *start = (void *)((uintptr_t)blocks[i] & ~(page - 1));
        resident += mincore(start, page, &is_resident) == 0 && (is_resident & 1) != 0;
    }
    return resident;
}

static unsigned reports;
static hk_status last_report;

static void count_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reports++;
    last_report = info->status;
}

static void count_reports(void) {
    hk_set_error_handler(count_report, NULL);
}

/* ---- reset ---- */

static void reset_again_and_again(uint32_t flags) {
    hk_arena *arena = make(flags);
    cr_assert_eq(hk_arena_set_limit(arena, 64 << 20), HK_OK);
    for (int round = 0; round < 20; round++) {
        fill_arena(arena, &held_blocks, BLOCKS);
        cr_assert_eq(hk_arena_check(arena), HK_OK);
        cr_assert_eq(hk_arena_reset(arena), HK_OK);
        cr_assert_eq(hk_arena_check(arena), HK_OK);
        hk_statistics now = totals_of(arena);
        cr_assert(now.held_bytes == 0 && now.live_blocks == 0 && now.live_bytes == 0 && now.large_blocks == 0);
        cr_assert_gt(now.peak_held_bytes, 0);
        cr_assert_leq(now.units, 16);
        cr_assert_eq(hk_arena_limit(arena), 64 << 20);
        cr_assert_str_eq(hk_arena_name(arena), "lifecycle");
    }
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(lifecycle, reset_empties_a_one_thread_arena) {
    reset_again_and_again(HK_ARENA_ONE_THREAD_AT_A_TIME);
}

Test(lifecycle, reset_empties_a_shared_arena) {
    reset_again_and_again(0);
}

Test(lifecycle, old_blocks_are_dead_after_a_reset, .init = count_reports) {
    hk_arena *arena = make(0);
    fill_arena(arena, &held_blocks, 64);
    cr_assert_eq(hk_arena_reset(arena), HK_OK);
    for (unsigned i = 0; i < 64; i++) {
        hk_status status = hk_arena_free(arena, held_blocks.blocks[i]);
        cr_assert(status == HK_ERR_DOUBLE_FREE || status == HK_ERR_FOREIGN_POINTER);
    }
    cr_assert_eq(reports, 64);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
}

/* ---- retire ---- */

static void retire_and_free(uint32_t flags) {
    hk_arena *arena = make(flags);
    fill_arena(arena, &held_blocks, BLOCKS);
    cr_assert_eq(hk_arena_retire(arena), HK_OK);
    cr_assert_eq(hk_arena_reset(arena), HK_ERR_BAD_ARENA);
    cr_assert_eq(last_report, HK_ERR_BAD_ARENA);
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_assert(is_intact(&held_blocks, i));
        cr_assert_geq(hk_usable_size(held_blocks.blocks[i]), held_blocks.sizes[i]);
        cr_assert_null(hk_arena_of(held_blocks.blocks[i]));
        hk_free(held_blocks.blocks[i]);
    }
    cr_assert_eq(reports, 1);
    hk_free(held_blocks.blocks[1]);
    cr_assert_eq(reports, 2);
    cr_assert(last_report == HK_ERR_DOUBLE_FREE || last_report == HK_ERR_FOREIGN_POINTER);
    cr_assert_eq(hk_arena_check(hk_arena_default()), HK_OK);
}

Test(lifecycle, blocks_outlive_a_retired_one_thread_arena, .init = count_reports) {
    retire_and_free(HK_ARENA_ONE_THREAD_AT_A_TIME);
}

Test(lifecycle, blocks_outlive_a_retired_shared_arena, .init = count_reports) {
    retire_and_free(0);
}

Test(lifecycle, retired_blocks_are_checked_as_all_are, .init = count_reports) {
    hk_arena *arena = make(0), *other = make(0);
    char *block = hk_arena_alloc(arena, 100), *large = hk_arena_alloc(arena, 100000);
    cr_assert_eq(hk_arena_retire(arena), HK_OK);
    hk_free(block + 8);
    cr_assert_eq(last_report, HK_ERR_INTERIOR_POINTER);
    cr_assert_eq(hk_arena_free(other, block), HK_ERR_WRONG_ARENA);
    hk_free_sized(block, 200);
    cr_assert_eq(last_report, HK_ERR_SIZE_MISMATCH);
    cr_assert_eq(reports, 3);
    hk_free_sized(block, 100);
    cr_assert_eq(reports, 3);
    hk_free(block);
    cr_assert_eq(last_report, HK_ERR_DOUBLE_FREE);
    hk_free_sized(large, 100000);
    cr_assert_eq(reports, 4);
    cr_assert_eq(hk_arena_destroy(other), HK_OK);
}

Test(lifecycle, retired_blocks_can_be_reallocated) {
    hk_arena *arena = make(0);
    fill_arena(arena, &held_blocks, 1400);
    cr_assert_eq(hk_arena_retire(arena), HK_OK);
    for (unsigned i = 0; i < 1400; i++) {
        size_t smaller = 1 + held_blocks.sizes[i] / 3, larger = held_blocks.sizes[i] + 2000;
        held_blocks.blocks[i] = hk_realloc(held_blocks.blocks[i], i % 2 == 0 ? smaller : larger);
        cr_assert_not_null(held_blocks.blocks[i]);
        if (i % 2 == 0)
            held_blocks.sizes[i] = smaller;
        cr_assert(is_intact(&held_blocks, i));
    }
    for (unsigned i = 0; i < 1400; i++)
        hk_free(held_blocks.blocks[i]);
    cr_assert_eq(hk_arena_check(hk_arena_default()), HK_OK);
}

Test(lifecycle, empty_arena_is_gone_when_it_is_retired) {
    for (int i = 0; i < 10000; i++) {
        hk_arena *arena = make(i % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : 0);
        void *block = hk_arena_alloc(arena, 40);
        cr_assert_eq(hk_arena_free(arena, block), HK_OK);
        cr_assert_eq(hk_arena_retire(arena), HK_OK);
    }
}

static void *free_a_share(void *argument) {
    for (unsigned i = (unsigned)(uintptr_t)argument; i < BLOCKS; i += THREADS)
        hk_free(held_blocks.blocks[i]);
    return NULL;
}

Test(lifecycle, any_thread_frees_retired_blocks, .init = count_reports) {
    for (int round = 0; round < 10; round++) {
        pthread_t threads[THREADS];
        hk_arena *arena = make(round % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : 0);
        fill_arena(arena, &held_blocks, BLOCKS);
        cr_assert_eq(hk_arena_retire(arena), HK_OK);
        for (uintptr_t i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, free_a_share, (void *)i), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    cr_assert_eq(reports, 0);
}

Test(lifecycle, default_arena_stays) {
    hk_arena *process = hk_arena_default();
    cr_assert_eq(hk_arena_reset(process), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_retire(process), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_trim(process), HK_OK);
}

/* ---- trim and purge ---- */

static void burst(hk_arena *arena, unsigned char **blocks, unsigned count, unsigned keep) {
    for (unsigned i = 0; i < count; i++) {
        cr_assert_not_null(blocks[i] = hk_arena_alloc(arena, 1024));
        memset(blocks[i], 7, 1024);
    }
    for (unsigned i = 0; i < count; i++)
        if (i % keep != 0)
            cr_assert_eq(hk_arena_free(arena, blocks[i]), HK_OK);
}

static void memory_comes_back(hk_arena *arena, void (*give_back)(hk_arena *)) {
    enum { COUNT = 100000, KEEP = 500 };
    static unsigned char *blocks[COUNT];
    size_t blocks_per_page = (size_t)sysconf(_SC_PAGESIZE) / 1024;
    burst(arena, blocks, COUNT, KEEP);
    give_back(arena);
    cr_assert_leq(count_resident(blocks, COUNT), COUNT / KEEP * blocks_per_page);
    for (unsigned i = 0; i < COUNT; i += KEEP)
        cr_assert(blocks[i][0] == 7 && blocks[i][1023] == 7);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
    hk_statistics now = totals_of(arena);
    cr_assert_eq(now.live_blocks, COUNT / KEEP);
}

static void trim(hk_arena *arena) {
    cr_assert_eq(hk_arena_trim(arena), HK_OK);
}

static void purge_all(hk_arena *arena) {
    (void)arena;
    hk_purge();
}

Test(lifecycle, trim_gives_pages_back_between_live_blocks) {
    memory_comes_back(make(HK_ARENA_ONE_THREAD_AT_A_TIME), trim);
}

Test(lifecycle, trim_of_a_shared_arena) {
    memory_comes_back(make(0), trim);
}

Test(lifecycle, purge_of_the_process) {
    memory_comes_back(hk_arena_default(), purge_all);
}

Test(lifecycle, purge_reaches_heaps_of_others_at_their_next_refill) {
    static unsigned char *blocks[40000];
    hk_arena *arena = make(HK_ARENA_ONE_THREAD_AT_A_TIME);
    burst(arena, blocks, 40000, 500);
    size_t units = totals_of(arena).units;
    hk_purge();
    for (int i = 0; i < 100; i++) /* a class of its own: a refill at least */
        cr_assert_not_null(hk_arena_alloc(arena, 48));
    cr_assert_leq(totals_of(arena).units, units);
    cr_assert_eq(hk_arena_check(arena), HK_OK);
}

Test(lifecycle, purge_before_anything_else) {
    hk_purge();
    cr_assert_not_null(hk_malloc(1));
}
