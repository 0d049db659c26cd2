/* Arenas that can be rewound: what the header promises of checkpoint and rollback. */
#include "api_test.h"

#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>

static hk_arena *make_rewindable(size_t reserve_bytes, uint32_t min_alignment) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.flags = HK_ARENA_REWINDABLE;
    config.reserve_bytes = reserve_bytes;
    config.min_alignment = min_alignment;
    config.name = "rewindable";
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    return arena;
}

static hk_statistics statistics_of(hk_arena *arena) {
    hk_statistics all;
    memset(&all, 0, sizeof all);
    all.struct_size = sizeof all;
    cr_assert_eq(hk_arena_statistics(arena, &all), HK_OK);
    return all;
}

/* ---- histories against a saved copy ---- */

enum { BLOCKS = 150 };

typedef struct world {
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
} world;

static void change(hk_arena *arena, world *in, uint32_t *seed, unsigned bits) {
    unsigned i = next_random(seed) % BLOCKS, what = next_random(seed) % 4;
    size_t size = random_size(seed, bits);
    unsigned char *block = in->block[i];
    if (block == NULL) {
        block = what == 0 ? hk_arena_aligned_alloc(arena, (size_t)1 << next_random(seed) % 17, size)
                          : hk_arena_alloc(arena, size);
    } else if (what == 0) {
        cr_assert_eq(hk_arena_free(arena, block), HK_OK);
        block = NULL;
    } else if (what == 1) {
        block = hk_arena_realloc(arena, block, size);
        if (block == NULL)
            return;
    } else {
        size = in->size[i];
    }
    in->block[i] = block;
    in->size[i] = size;
    if (block != NULL)
        fill(block, size, next_random(seed));
}

/* The bytes of all blocks, one after the other. */
static unsigned char *save(const world *in, size_t *bytes) {
    *bytes = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        *bytes += in->block[i] != NULL ? in->size[i] : 0;
    unsigned char *copy = malloc(*bytes + 1), *at = copy;
    for (unsigned i = 0; i < BLOCKS; i++)
        if (in->block[i] != NULL) {
            memcpy(at, in->block[i], in->size[i]);
            at += in->size[i];
        }
    return copy;
}

static void assert_is_saved(hk_arena *arena, const world *in, const unsigned char *copy) {
    for (unsigned i = 0; i < BLOCKS; i++)
        if (in->block[i] != NULL) {
            cr_assert(hk_arena_owns(arena, in->block[i]));
            cr_assert(memcmp(in->block[i], copy, in->size[i]) == 0);
            copy += in->size[i];
        }
}

static void run_history(hk_arena *arena, uint32_t seed, unsigned bits) {
    world now = {0};
    for (unsigned i = 0; i < 100; i++)
        change(arena, &now, &seed, bits);
    for (unsigned base = 0; base < 3; base++) {
        size_t bytes;
        cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
        const world then = now;
        unsigned char *copy = save(&now, &bytes);
        hk_statistics before = statistics_of(arena);
        for (unsigned request = 0; request < 3; request++) {
            for (unsigned i = next_random(&seed) % 100; i > 0; i--)
                change(arena, &now, &seed, bits);
            cr_assert_eq(hk_arena_rollback(arena), HK_OK);
            now = then;
            assert_is_saved(arena, &now, copy);
            hk_statistics after = statistics_of(arena);
            cr_assert(memcmp(&before, &after, sizeof after) == 0);
            assert_sound(arena);
        }
        free(copy);
        for (unsigned i = 0; i < 50; i++)
            change(arena, &now, &seed, bits);
    }
}

Test(rewind, hundred_histories, .timeout = 200) {
    for (uint32_t seed = 1; seed <= 100; seed++) {
        hk_arena *arena = make_rewindable((size_t)32 << 20, seed % 2 == 0 ? 8 : 16);
        run_history(arena, seed, seed % 10 == 0 ? 23 : 15);
        cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    }
}

/* ---- statuses ---- */

Test(rewind, statuses) {
    hk_arena *plain = make_arena(0), *arena = make_rewindable(0, 16);
    cr_assert_eq(hk_arena_checkpoint(plain), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_arena_rollback(plain), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_arena_checkpoint(hk_arena_default()), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_arena_rollback(hk_arena_default()), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_last_status(), HK_ERR_UNSUPPORTED);
    cr_assert_eq(hk_arena_rollback(arena), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    cr_assert_eq(hk_arena_rollback(arena), HK_OK);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    cr_assert_eq(hk_set_error_policy(HK_ON_ERROR_IGNORE), HK_OK);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_arena_rollback(arena), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_arena_rollback(NULL), HK_ERR_BAD_ARENA);
}

Test(rewind, reserves_that_cannot_be) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.flags = HK_ARENA_REWINDABLE | HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.reserve_bytes = SIZE_MAX;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_ERR_INVALID_ARGUMENT);
    config.reserve_bytes = (size_t)1 << 40;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_ERR_NO_MEMORY);
    cr_assert_null(arena);
    config.reserve_bytes = 1;
    cr_assert_eq(hk_arena_create(&config, &arena), HK_OK);
    cr_assert_not_null(hk_arena_alloc(arena, 3 << 20));
    cr_assert_null(hk_arena_alloc(arena, 3 << 20));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    cr_assert_eq(totals_of(arena).limit_failures, 1);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* ---- what goes back ---- */

Test(rewind, limit_and_figures) {
    hk_arena *arena = make_rewindable(0, 16);
    cr_assert_eq(hk_arena_set_limit(arena, 1 << 20), HK_OK);
    cr_assert_not_null(hk_arena_alloc(arena, 100000));
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    hk_statistics before = statistics_of(arena);
    cr_assert_null(hk_arena_alloc(arena, 2 << 20));
    cr_assert_eq(hk_arena_set_limit(arena, 4 << 20), HK_OK);
    cr_assert_not_null(hk_arena_alloc(arena, 2 << 20));
    cr_assert_eq(hk_arena_rollback(arena), HK_OK);
    cr_assert_eq(hk_arena_limit(arena), 1 << 20);
    hk_statistics after = statistics_of(arena);
    cr_assert(memcmp(&before, &after, sizeof after) == 0);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

static hk_status reported;

static void note_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reported = info->status;
}

Test(rewind, pointers_are_valid_as_they_were) {
    hk_arena *arena = make_rewindable(0, 16);
    hk_set_error_handler(note_report, NULL);
    char *old = hk_arena_alloc(arena, 100);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    char *new = hk_arena_alloc(arena, 50), *huge = hk_arena_alloc(arena, 20 << 20);
    cr_assert_eq(hk_arena_free(arena, old), HK_OK);
    cr_assert_eq(hk_arena_rollback(arena), HK_OK);
    cr_assert(hk_arena_owns(arena, old));
    cr_assert_not(hk_arena_owns(arena, new));
    cr_assert_eq(hk_arena_free(arena, huge), HK_ERR_FOREIGN_POINTER);
    cr_assert_eq(hk_arena_free(arena, new), HK_ERR_DOUBLE_FREE);
    cr_assert_eq(reported, HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hk_arena_free(arena, old), HK_OK);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* The kernel writes into blocks as well as the program. */
Test(rewind, what_system_calls_wrote) {
    hk_arena *arena = make_rewindable(0, 16);
    int ends[2];
    char *block = hk_arena_alloc(arena, 20000);
    fill(block, 20000, 1);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    cr_assert_eq(pipe(ends), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(write(ends[1], "0123456789", 10), 10);
        cr_assert_eq(read(ends[0], block + 4090 + 4096 * i, 10), 10);
        cr_assert(memcmp(block + 4090 + 4096 * i, "0123456789", 10) == 0);
        cr_assert_eq(hk_arena_rollback(arena), HK_OK);
        cr_assert(holds(block, 20000, 1));
    }
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

Test(rewind, of_an_arena_that_was_reset) {
    hk_arena *arena = make_rewindable(0, 8);
    char *block = hk_arena_alloc(arena, 5000);
    fill(block, 5000, 2);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    cr_assert_eq(hk_arena_reset(arena), HK_OK);
    assert_empty(arena);
    cr_assert_eq(hk_arena_trim(arena), HK_OK);
    memset(hk_arena_alloc(arena, 60000), 1, 60000);
    hk_purge();
    cr_assert_eq(hk_arena_rollback(arena), HK_OK);
    cr_assert(hk_arena_owns(arena, block) && holds(block, 5000, 2));
    assert_sound(arena);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

/* ---- misuse ---- */

static jmp_buf out;
static hk_arena *handled;
static char *foreign = "no block";

static void use_arena(const hk_error_info *info, void *user_data) {
    (void)info;
    cr_assert_not_null(hk_arena_alloc(handled, 100000));
    cr_assert_eq(hk_arena_checkpoint(handled), HK_OK);
    cr_assert_eq(hk_arena_rollback(handled), HK_OK);
    if (user_data != NULL)
        longjmp(out, 1);
}

Test(rewind, error_handlers_may_come_in_and_may_leave) {
    handled = make_rewindable(0, 16);
    hk_set_error_handler(use_arena, NULL);
    cr_assert_eq(hk_arena_free(handled, foreign), HK_ERR_FOREIGN_POINTER);
    cr_assert_null(hk_arena_realloc(handled, foreign, 10));
    hk_set_error_handler(use_arena, handled);
    if (setjmp(out) == 0) {
        (void)hk_arena_free(handled, foreign);
        cr_assert_fail();
    }
    if (setjmp(out) == 0) {
        cr_assert_null(hk_arena_realloc(handled, foreign, 10));
        cr_assert_fail();
    }
    cr_assert_not_null(hk_arena_alloc(handled, 100000));
    cr_assert_eq(hk_arena_rollback(handled), HK_OK);
    assert_sound(handled);
    cr_assert_eq(hk_arena_destroy(handled), HK_OK);
}

/* ---- threads and processes ---- */

static void *roll_back(void *arena) {
    return hk_arena_rollback(arena) == HK_OK ? arena : NULL;
}

Test(rewind, any_thread_one_after_the_other) {
    hk_arena *arena = make_rewindable(0, 16);
    char *block = hk_arena_alloc(arena, 1000);
    fill(block, 1000, 3);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    memset(block, 0, 1000);
    cr_assert_eq(run_in_thread(roll_back, arena), arena);
    cr_assert(holds(block, 1000, 3));
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}

static int in_child(hk_arena *arena, char *block) {
    memset(block, 1, 100000);
    if (hk_arena_rollback(arena) != HK_OK || !holds(block, 100000, 4))
        return 1;
    memset(block, 2, 100000);
    if (hk_arena_checkpoint(arena) != HK_OK)
        return 2;
    memset(block, 3, 100000);
    if (hk_arena_rollback(arena) != HK_OK || block[0] != 2 || block[99999] != 2)
        return 3;
    return hk_arena_check(arena) == HK_OK ? 0 : 4;
}

Test(rewind, children_have_a_base_of_their_own) {
    hk_arena *arena = make_rewindable(0, 16);
    char *block = hk_arena_alloc(arena, 100000);
    int status;
    fill(block, 100000, 4);
    cr_assert_eq(hk_arena_checkpoint(arena), HK_OK);
    memset(block + 50000, 5, 50000);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(in_child(arena, block));
    memset(block, 6, 50000);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
    cr_assert(block[0] == 6 && block[99999] == 5);
    cr_assert_eq(hk_arena_rollback(arena), HK_OK);
    cr_assert(holds(block, 100000, 4));
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
}
