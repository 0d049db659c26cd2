/* rewind: back to the base byte by byte, in both ways; the reserve, fork, a second thread. */
#include "rewind_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* ---- back to the base ---- */

static void run_history(hki_arena *arena, uint32_t seed, size_t max) {
    blocks now = {0}, then;
    change_often(arena, &now, &seed, max, 300);
    for (unsigned round = 0; round < 6; round++) {
        checkpoint(arena);
        assert_sound(arena);
        copy base = copy_of(arena);
        then = now;
        for (unsigned request = 0; request < 4; request++) {
            change_often(arena, &now, &seed, max, 1U << next_random(&seed) % 9);
            roll_back_to(arena, &base);
            now = then;
        }
        free_copy(&base);
        change_often(arena, &now, &seed, max, 60);
    }
    assert_sound(arena);
}

Test(rewind, small_histories, .timeout = 100) {
    for (uint32_t seed = 1; seed <= 6; seed++)
        EACH_WAY (arena, RESERVE) {
            run_history(arena, seed, 3000);
            end_arena(arena);
        }
}

Test(rewind, histories_with_large_and_huge_blocks, .timeout = 100) {
    for (uint32_t seed = 1; seed <= 2; seed++)
        EACH_WAY (arena, 2 * RESERVE) {
            run_history(arena, seed, (size_t)9 << 20);
            end_arena(arena);
        }
}

/* The requests of one are nothing to the other, nor to an ordinary arena. */
Test(rewind, arenas_go_back_one_by_one) {
    hk_arena *plain = make_plain_arena();
    EACH_WAY (first, RESERVE)
        for (hki_arena *second = make_rewindable(ways[way], RESERVE); second != NULL; second = NULL) {
            blocks in_first = {0}, in_second = {0};
            uint32_t seed = 5;
            unsigned char *block = hk_arena_alloc(plain, 3000);
            fill(block, 3000, 7);
            change_often(first, &in_first, &seed, 20000, 200);
            change_often(second, &in_second, &seed, 20000, 200);
            checkpoint(first);
            copy base = copy_of(first);
            change_often(first, &in_first, &seed, 20000, 100);
            change_often(second, &in_second, &seed, 20000, 100);
            copy other = copy_of(second);
            roll_back_to(first, &base);
            cr_assert(is_as_copied(second, &other));
            cr_assert(is_filled(block, 3000, 7));
            assert_sound(second);
            assert_sound(hki_arena_find(plain));
            free_copy(&base);
            free_copy(&other);
            end_arena(second);
            end_arena(first);
        }
}

/* Pages that are looked at in vain again and again are protected anew; what was written before is found all the
 * same. */
Test(rewind, from_many_written_pages_to_few) {
    EACH_WAY (arena, RESERVE) {
        unsigned char *block = hk_arena_calloc(handle_of(arena), 1, 4000000);
        for (size_t at = 0; at < 4000000; at += 500)
            block[at] = 1;
        checkpoint(arena);
        copy base = copy_of(arena);
        memset(block, 2, 4000000);
        roll_back_to(arena, &base);
        for (unsigned i = 0; i < 10; i++) {
            block[i * 390000 + 17] = 3;
            roll_back_to(arena, &base);
        }
        free_copy(&base);
        end_arena(arena);
    }
}

/* What is new since the base goes back to the system, but for a few pages. */
Test(rewind, keeps_few_pages_that_are_not_of_the_base) {
    EACH_WAY (arena, RESERVE) {
        hk_arena *handle = handle_of(arena);
        size_t page = hki_os_page_size(), resident = 0;
        unsigned char seen[(16 << 20) / 4096];
        cr_assert_not_null(hk_arena_alloc(handle, 100));
        checkpoint(arena);
        char *block = hk_arena_alloc(handle, 12 << 20);
        memset(block, 1, 12 << 20);
        char *other = hk_arena_alloc(handle, 2 << 20);
        memset(other, 1, 2 << 20);
        cr_assert_eq(hk_arena_rollback(handle), HK_OK);
        const hki_range *data = &arena->rewind->ranges[HKI_RANGES - 1];
        cr_assert_eq(mincore(data->start, 16 << 20, seen), 0);
        for (size_t i = 0; i < (16 << 20) / page; i++)
            resident += seen[i] & 1;
        cr_assert_leq(resident, 64 + 16);
        cr_assert(is_zero(block, 12 << 20) && is_zero(other, 2 << 20));
        end_arena(arena);
    }
}

/* Memory that the program has locked cannot be dropped. */
Test(rewind, locked_memory_goes_back_as_well) {
    EACH_WAY (arena, RESERVE) {
        blocks in = {0};
        uint32_t seed = 11;
        change_often(arena, &in, &seed, 100000, 200);
        checkpoint(arena);
        copy base = copy_of(arena);
        const hki_range *data = &arena->rewind->ranges[HKI_RANGES - 1];
        if (mlock(data->start, data->bytes_per_segment * 2) == 0) {
            change_often(arena, &in, &seed, 1000000, 200);
            roll_back_to(arena, &base);
            cr_assert_eq(munlock(data->start, data->bytes_per_segment * 2), 0);
        }
        roll_back_to(arena, &base);
        free_copy(&base);
        end_arena(arena);
    }
}

/* Swapped out, where there is swap. */
Test(rewind, pages_that_were_paged_out) {
    EACH_WAY (arena, RESERVE) {
        blocks in = {0}, then;
        uint32_t seed = 13;
        change_often(arena, &in, &seed, 100000, 300);
        checkpoint(arena);
        copy base = copy_of(arena);
        then = in;
        for (unsigned i = 0; i < 5; i++) {
            change_often(arena, &in, &seed, 100000, 100);
            for (int r = 0; r < HKI_RANGES; r++)
                (void)madvise(arena->rewind->ranges[r].start, base.used[r], 21 /* MADV_PAGEOUT */);
            roll_back_to(arena, &base);
            in = then;
        }
        change_often(arena, &in, &seed, 100000, 100);
        for (int r = 0; r < HKI_RANGES; r++)
            (void)madvise(arena->rewind->ranges[r].start, base.used[r], 21 /* MADV_PAGEOUT */);
        free_copy(&base);
        checkpoint(arena);
        base = copy_of(arena);
        change_often(arena, &in, &seed, 100000, 100);
        roll_back_to(arena, &base);
        free_copy(&base);
        end_arena(arena);
    }
}

/* ---- the reserve ---- */

Test(reserve, is_whole_segments_and_never_outgrown) {
    EACH_WAY (arena, 5 << 20) {
        hk_arena *handle = handle_of(arena);
        hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
        cr_assert_eq(arena->own_pool.count, 2);
        cr_assert_null(hk_arena_alloc(handle, (8 << 20) + 1));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        void *all = hk_arena_alloc(handle, 8 << 20);
        cr_assert_not_null(all);
        cr_assert_null(hk_arena_alloc(handle, 8));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        cr_assert_eq(hk_arena_statistics(handle, &totals), HK_OK);
        cr_assert_eq(totals.limit_failures, 2);
        cr_assert_eq(totals.system_failures, 0);
        cr_assert_eq(hk_arena_free(handle, all), HK_OK);
        size_t blocks = 0;
        while (hk_arena_alloc(handle, 1000) != NULL)
            blocks++;
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        cr_assert_gt(blocks, 8000);
        assert_sound(arena);
        end_arena(arena);
    }
}

Test(reserve, has_a_default) {
    EACH_WAY (arena, 0) {
        cr_assert_eq(arena->own_pool.count, HKI_RESERVE_BYTES / HKI_SEGMENT_SIZE);
        end_arena(arena);
    }
}

/* Segments that were units become huge blocks and units again; a huge block grows into what is free behind it. */
Test(reserve, huge_blocks_and_units_take_turns) {
    EACH_WAY (arena, 16 << 20) {
        hk_arena *handle = handle_of(arena);
        char *units[4];
        for (size_t i = 0; i < 4; i++)
            cr_assert_not_null(units[i] = hk_arena_alloc(handle, 3 << 20));
        for (size_t i = 0; i < 4; i++)
            memset(units[i], 1, 3 << 20);
        cr_assert_null(hk_arena_alloc(handle, 5 << 20));
        for (size_t i = 1; i < 4; i++)
            cr_assert_eq(hk_arena_free(handle, units[i]), HK_OK);
        char *huge = hk_arena_calloc(handle, 1, 7 << 20);
        cr_assert(huge != NULL && is_zero(huge, 7 << 20));
        cr_assert_eq(hk_arena_realloc(handle, huge, 12 << 20), huge);
        cr_assert_null(hk_arena_realloc(handle, huge, 13 << 20));
        cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
        assert_sound(arena);
        cr_assert_eq(hk_arena_realloc(handle, huge, 5 << 20), huge);
        cr_assert_not_null(hk_arena_alloc(handle, 4 << 20));
        assert_sound(arena);
        end_arena(arena);
    }
}

Test(reserve, aligns_huge_blocks) {
    EACH_WAY (arena, (size_t)48 << 20) {
        hk_arena *handle = handle_of(arena);
        char *block = hk_arena_aligned_alloc(handle, 16 << 20, 5 << 20);
        cr_assert(block != NULL && (uintptr_t)block % (16 << 20) == 0);
        cr_assert_not_null(hk_arena_alloc(handle, 100));
        assert_sound(arena);
        checkpoint(arena);
        cr_assert_eq(hk_arena_free(handle, block), HK_OK);
        cr_assert_eq(hk_arena_rollback(handle), HK_OK);
        cr_assert(hk_arena_owns(handle, block));
        cr_assert_eq(hk_usable_size(block), 5 << 20);
        assert_sound(arena);
        end_arena(arena);
    }
}

/* ---- fork ---- */

static int in_child(hki_arena *arena, blocks in, const copy *base) {
    uint32_t seed = 37;
    hk_arena *handle = handle_of(arena);
    change_often(arena, &in, &seed, 50000, 50);
    if (hk_arena_rollback(handle) != HK_OK || !is_as_copied(arena, base))
        return 1;
    unsigned char *block = hk_arena_calloc(handle, 1, 1000000);
    memset(block, 1, 1000000);
    if (hk_arena_checkpoint(handle) != HK_OK)
        return 2;
    memset(block, 2, 1000000);
    if (hk_arena_rollback(handle) != HK_OK || block[0] != 1 || block[999999] != 1)
        return 3;
    memset(block + 5000, 3, 10);
    if (hk_arena_rollback(handle) != HK_OK || block[5000] != 1 || hk_arena_check(handle) != HK_OK)
        return 4;
    return hk_arena_destroy(handle) == HK_OK ? 0 : 5;
}

/* The child's first rollbacks may find that the kernel refuses a tracker of its own. */
static void fork_with_refusals(hki_arena *arena, const blocks *in, const copy *base, unsigned long refused) {
    fflush(stdout);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        hki_os_fail_calls(0, refused);
        _exit(in_child(arena, *in, base));
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "refused %lu: %x", refused, (unsigned)status);
}

Test(fork, neither_process_sees_the_other, .timeout = 100) {
    EACH_WAY (arena, RESERVE) {
        blocks in = {0}, then;
        uint32_t seed = 41;
        change_often(arena, &in, &seed, 50000, 200);
        checkpoint(arena);
        copy base = copy_of(arena);
        then = in;
        for (unsigned long refused = 0; refused < 4; refused++) {
            change_often(arena, &in, &seed, 50000, 50);
            copy now = copy_of(arena);
            fork_with_refusals(arena, &in, &base, refused);
            cr_assert(is_as_copied(arena, &now));
            free_copy(&now);
            roll_back_to(arena, &base);
            in = then;
            change_often(arena, &in, &seed, 50000, 50);
            roll_back_to(arena, &base);
            in = then;
        }
        free_copy(&base);
        end_arena(arena);
    }
}

/* ---- a second thread ---- */

Test(busy, every_slow_path_says_so) {
    EACH_WAY (arena, RESERVE) {
        hk_arena *handle = handle_of(arena);
        void *block = hk_arena_alloc(handle, 100000);
        checkpoint(arena);
        atomic_store(&arena->rewind->busy, true);
        cr_assert_eq(hk_arena_checkpoint(handle), HK_ERR_BUSY);
        cr_assert_eq(hk_arena_rollback(handle), HK_ERR_BUSY);
        cr_assert_eq(hk_last_status(), HK_ERR_BUSY);
        cr_assert_null(hk_arena_alloc(handle, 100000));
        cr_assert_null(hk_arena_calloc(handle, 1, 8));
        cr_assert_null(hk_arena_realloc(handle, block, 200000));
        cr_assert_null(hk_arena_aligned_alloc(handle, 4096, 1));
        cr_assert_eq(hk_arena_free(handle, block), HK_ERR_BUSY);
        cr_assert_eq(hk_arena_trim(handle), HK_ERR_BUSY);
        cr_assert(hk_arena_owns(handle, block));
        atomic_store(&arena->rewind->busy, false);
        cr_assert_eq(hk_arena_free(handle, block), HK_OK);
        cr_assert_eq(hk_arena_rollback(handle), HK_OK);
        cr_assert(hk_arena_owns(handle, block));
        end_arena(arena);
    }
}

static void *allocate_large(void *of) {
    hki_arena *arena = of;
    size_t wrong = 0;
    for (unsigned i = 0; i < 20000; i++)
        if (hk_arena_alloc(handle_of(arena), 100000) == NULL)
            wrong += hk_last_status() != HK_ERR_BUSY && hk_last_status() != HK_ERR_LIMIT;
    return (void *)wrong;
}

Test(busy, two_threads_that_meet_do_no_harm) {
    EACH_WAY (arena, RESERVE) {
        pthread_t thread;
        void *wrong;
        checkpoint(arena);
        cr_assert_eq(pthread_create(&thread, NULL, allocate_large, arena), 0);
        for (unsigned i = 0; i < 5000; i++) {
            hk_status status = hk_arena_rollback(handle_of(arena));
            cr_assert(status == HK_OK || status == HK_ERR_BUSY);
        }
        cr_assert_eq(pthread_join(thread, &wrong), 0);
        cr_assert_null(wrong);
        cr_assert_eq(hk_arena_rollback(handle_of(arena)), HK_OK);
        assert_sound(arena);
        cr_assert_eq(held_lines(arena), 0);
        end_arena(arena);
    }
}
