/* alloc, when the system refuses: each history is run with its first call of the OS refused, then its second, and so
 * on, until there is none left; once with that call alone refused, and once with all that come after it too. Every run
 * has a process of its own, so that what hakmem keeps of an earlier one (tables, segments, slots) makes no call
 * needless. */
#include "unit_test.h"

#include <sys/wait.h>

START_LATE()

enum { SLOTS = 64, ARENAS = 3, CALLS_MAX = 2000, STAMP_STEP = 32 << 10 };

/* What a run's process says by its exit code. */
enum { RUN_MET_THE_FAULT = 0, RUN_MET_NONE = 7, RUN_FAILED = 1 };

/* In a run's process, where Criterion is not. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            _exit(RUN_FAILED);                                                                                         \
        }                                                                                                              \
    } while (0)

/* ---- blocks, and what is known of them ---- */

/* At the start of a block, at its end, and at every STAMP_STEP bytes: so most pages of large ones stay untouched. */
static void stamp(unsigned char *block, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i += STAMP_STEP)
        block[i] = (unsigned char)(seed + i / STAMP_STEP);
    if (size > 0)
        block[size - 1] = (unsigned char)(seed + (size - 1) / STAMP_STEP);
}

/* Whether the first `kept` of `size` stamped bytes are as they were. */
static bool is_stamped(const unsigned char *block, size_t size, size_t kept, unsigned seed) {
    for (size_t i = 0; i < kept; i += STAMP_STEP)
        if (block[i] != (unsigned char)(seed + i / STAMP_STEP))
            return false;
    return kept < size || size == 0 || block[size - 1] == (unsigned char)(seed + (size - 1) / STAMP_STEP);
}

typedef struct slot {
    unsigned char *block;
    size_t size;
    unsigned seed;
} slot;

static slot slots[SLOTS];
static hk_arena *arena; /* NULL: the process heap, by its own functions */
static size_t refused;  /* requests that found no memory */

static hki_arena *inner(void) {
    return hki_arena_find(arena != NULL ? arena : hk_arena_default());
}

static size_t counted(void) {
    return atomic_load(&inner()->quota.system_failures);
}

static void begin_call(void) {
    hki_last_status = HK_OK;
}

/* A refusal has its status and is counted once. Success leaves the status alone, and is none of the failures. */
static bool is_given(const void *block, size_t counted_before) {
    REQUIRE(counted() == counted_before + (block == NULL));
    REQUIRE(hk_last_status() == (block == NULL ? HK_ERR_NO_MEMORY : HK_OK));
    refused += block == NULL;
    return block != NULL;
}

static void keep(unsigned i, void *block, size_t size) {
    static unsigned seed;
    slots[i] = (slot){block, size, ++seed};
    stamp(block, size, seed);
}

static void do_alloc(unsigned i, size_t size) {
    size_t before = counted();
    begin_call();
    void *block = arena != NULL ? hk_arena_alloc(arena, size) : hk_malloc(size);
    if (is_given(block, before))
        keep(i, block, size);
}

static void do_calloc(unsigned i, size_t size) {
    size_t before = counted();
    begin_call();
    void *block = arena != NULL ? hk_arena_calloc(arena, 1, size) : hk_calloc(size, 1);
    if (!is_given(block, before))
        return;
    REQUIRE(is_zero(block, size));
    keep(i, block, size);
}

static void do_aligned(unsigned i, size_t alignment, size_t size) {
    size_t before = counted();
    begin_call();
    void *block = arena != NULL ? hk_arena_aligned_alloc(arena, alignment, size) : hk_aligned_alloc(alignment, size);
    if (!is_given(block, before))
        return;
    REQUIRE((uintptr_t)block % alignment == 0);
    keep(i, block, size);
}

static void do_free(unsigned i) {
    slot *of = &slots[i];
    if (of->block == NULL)
        return;
    begin_call();
    REQUIRE(is_stamped(of->block, of->size, of->size, of->seed));
    if (arena != NULL)
        REQUIRE(hk_arena_free(arena, of->block) == HK_OK);
    else
        hk_free(of->block);
    REQUIRE(hk_last_status() == HK_OK);
    of->block = NULL;
}

/* A shrink never fails; that a new block was refused on the way is counted. */
static void do_realloc(unsigned i, size_t size) {
    slot *of = &slots[i];
    size_t before = counted();
    begin_call();
    void *block = arena != NULL ? hk_arena_realloc(arena, of->block, size) : hk_realloc(of->block, size);
    if (of->block == NULL) {
        if (is_given(block, before))
            keep(i, block, size);
        return;
    }
    REQUIRE(block != NULL || size > of->size);
    if (block != NULL && size < of->size)
        REQUIRE(hk_last_status() == HK_OK && counted() - before <= (block == of->block));
    else if (!is_given(block, before))
        block = of->block;
    REQUIRE(is_stamped(block, of->size, hki_min(size, of->size), of->seed));
    if (hk_last_status() == HK_OK)
        keep(i, block, size);
}

static void free_all(void) {
    for (unsigned i = 0; i < SLOTS; i++)
        do_free(i);
}

/* ---- histories ---- */

static const size_t kinds[] = {24, 700, 16000, 20000, 65536, 200000, (size_t)5 << 20};

static void small_blocks(void) {
    for (unsigned i = 0; i < SLOTS; i++)
        do_alloc(i, (size_t)i * i * 4);
    for (unsigned i = 0; i < SLOTS; i += 2)
        do_free(i);
    for (unsigned i = 0; i < SLOTS; i += 2)
        do_calloc(i, 16384 - i);
}

static void aligned_blocks(void) {
    unsigned i = 0;
    for (size_t alignment = 1; alignment <= HKI_ALIGNMENT_MAX; alignment *= 2)
        do_aligned(i++, alignment, alignment % 3 == 1 ? 100 : 70000);
}

static void blocks_of_lines(void) {
    for (unsigned i = 0; i < SLOTS; i++)
        do_alloc(i, 17000 + (size_t)i * 700);
    for (unsigned i = 0; i < SLOTS; i += 3)
        do_free(i);
    for (unsigned i = 0; i < SLOTS; i += 3)
        do_calloc(i, 30000);
}

static void blocks_of_units(void) {
    for (unsigned i = 0; i < 24; i++)
        do_alloc(i, 70000 + (size_t)i * 90000);
    for (unsigned i = 0; i < 24; i += 2)
        do_free(i);
    for (unsigned i = 0; i < 24; i += 2)
        do_calloc(i, (size_t)1 << 20);
}

static void huge_blocks(void) {
    for (unsigned i = 0; i < 4; i++)
        do_alloc(i, (size_t)(5 + 3 * i) << 20);
    do_free(1);
    do_free(2);
    do_calloc(1, (size_t)9 << 20);
    do_free(0);
    do_alloc(2, (size_t)4 << 20);
    for (unsigned i = 4; i < 8; i++)
        do_alloc(i, (size_t)2 << 20);
}

/* From one kind of block to another one, and back to half of that. */
static size_t resize_from, resize_to;

static void resized_block(void) {
    do_alloc(0, resize_from);
    do_alloc(1, resize_from); /* is in the way */
    do_realloc(0, resize_to);
    do_realloc(0, resize_from / 2);
}

static void growing_blocks(void) {
    for (size_t size = 10; size < (size_t)20 << 20; size += size / 2) {
        do_realloc(0, size);
        do_realloc(1, size / 3 + 1);
    }
    for (size_t size = (size_t)20 << 20; size > 10; size -= size / 3)
        do_realloc(0, size);
}

static void arenas_that_come_and_go(void) {
    hk_arena *const before = arena;
    hk_arena *others[ARENAS];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARENAS; i++) {
            hk_arena_config config = HK_ARENA_CONFIG_INIT;
            config.flags = i % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : HK_ARENA_HARDENED;
            hk_status status = hk_arena_create(&config, &others[i]);
            REQUIRE(status == HK_OK || (status == HK_ERR_NO_MEMORY && others[i] == NULL));
            refused += status != HK_OK;
            arena = others[i];
            for (unsigned k = 0; arena != NULL && k < LENGTH_OF(kinds); k++)
                do_alloc(k, kinds[k]);
            memset(slots, 0, sizeof slots);
        }
        for (unsigned i = 0; i < ARENAS; i++)
            REQUIRE(others[i] == NULL || hk_arena_destroy(others[i]) == HK_OK);
    }
    arena = before;
}

static void *fill_in_thread(void *argument) {
    for (unsigned i = 0; i < 20; i++)
        do_alloc(i, (size_t)i * 3000);
    do_free(3);
    return argument;
}

/* Their heaps become idle, or are borrowed, with blocks that the main thread frees. */
static void threads_that_come_and_go(void) {
    for (unsigned round = 0; round < 4; round++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, fill_in_thread, NULL) == 0);
        REQUIRE(pthread_join(thread, NULL) == 0);
        for (unsigned i = 0; i < 20; i += 2)
            do_free(i);
        do_alloc(21 + round, 60000);
        for (unsigned i = 1; i < 20; i += 2)
            do_free(i);
    }
}

/* ---- a run ---- */

static size_t used_units(void) {
    size_t used = 0;
    for (uint32_t i = 1; i < hki_segments_end(); i++) {
        const hki_segment *segment = &hki_registry.segments[i];
        if (atomic_load(&segment->state) == HKI_SEGMENT_UNITS)
            used += HKI_UNITS_PER_SEGMENT - hki_count_bits(segment->free_units);
        else if (atomic_load(&segment->state) != HKI_SEGMENT_UNUSED && atomic_load(&segment->state) != HKI_SEGMENT_LOST)
            used += HKI_UNITS_PER_SEGMENT;
    }
    return used;
}

typedef struct plan {
    void (*history)(void);
    bool is_process;
    uint32_t flags, min_alignment;
    unsigned long skip, count; /* of hki_os_fail_calls */
} plan;

/* All blocks are freed and nothing is left of them. */
static void require_clean_end(const plan *of) {
    REQUIRE(hk_arena_check(hki_arena_handle(inner())) == HK_OK);
    free_all();
    hki_heap_reclaim(hki_thread_heap(inner()));
    hki_arena_drain(inner(), NULL);
    REQUIRE(hk_arena_check(hki_arena_handle(inner())) == HK_OK);
    REQUIRE(held_lines(inner()) == 0);
    if (!of->is_process)
        REQUIRE(hk_arena_destroy(arena) == HK_OK);
    REQUIRE(used_units() == 0);
}

static int run(const plan *of) {
    let_start();
    REQUIRE(hk_arena_default() != NULL);
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = of->flags;
    config.min_alignment = of->min_alignment;
    REQUIRE(of->is_process || hk_arena_create(&config, &arena) == HK_OK);
    unsigned long before = hki_os_calls();
    hki_os_fail_calls(of->skip, of->count);
    of->history();
    bool met = hki_os_calls() - before > of->skip;
    hki_os_fail_calls(0, 0);
    REQUIRE(met || refused == 0);
    REQUIRE(inner()->quota.limit_failures == 0);
    require_clean_end(of);
    return met ? RUN_MET_THE_FAULT : RUN_MET_NONE;
}

static int run_in_process(int (*body)(const plan *), const plan *of) {
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body(of));
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status), "signal %d at call %lu of %lu", status, of->skip, of->count);
    return WEXITSTATUS(status);
}

/* Returns how many calls there were to refuse. */
static unsigned long refuse_one_after_the_other(int (*body)(const plan *), plan of) {
    for (of.skip = 0; of.skip < CALLS_MAX; of.skip++) {
        int code = run_in_process(body, &of);
        cr_assert(code == RUN_MET_THE_FAULT || code == RUN_MET_NONE, "code %d, call %lu, %lu of them", code, of.skip,
                  of.count);
        if (code == RUN_MET_NONE)
            break;
    }
    cr_assert_lt(of.skip, CALLS_MAX);
    return of.skip;
}

static void survive(void (*history)(void)) {
    const plan plans[] = {
        {history, false, HK_ARENA_ONE_THREAD_AT_A_TIME, 16, 0, 1},
        {history, false, HK_ARENA_ONE_THREAD_AT_A_TIME, 8, 0, ULONG_MAX},
        {history, false, 0, 16, 0, 1},
        {history, false, 0, 16, 0, ULONG_MAX},
        {history, true, 0, 16, 0, 1},
        {history, true, 0, 16, 0, ULONG_MAX},
        {history, false, HK_ARENA_HARDENED, 16, 0, 1},
        {history, false, HK_ARENA_HARDENED | HK_ARENA_ONE_THREAD_AT_A_TIME, 8, 0, ULONG_MAX},
    };
    for (size_t i = 0; i < LENGTH_OF(plans); i++)
        cr_assert_gt(refuse_one_after_the_other(run, plans[i]), 0);
}

Test(alloc_faults, small_blocks) {
    survive(small_blocks);
}

Test(alloc_faults, aligned_blocks) {
    survive(aligned_blocks);
}

Test(alloc_faults, blocks_of_lines) {
    survive(blocks_of_lines);
}

Test(alloc_faults, blocks_of_units) {
    survive(blocks_of_units);
}

Test(alloc_faults, huge_blocks) {
    survive(huge_blocks);
}

Test(alloc_faults, resized_blocks) {
    for (unsigned from = 0; from < LENGTH_OF(kinds); from++)
        for (unsigned to = 0; to < LENGTH_OF(kinds); to++) {
            resize_from = kinds[from];
            resize_to = kinds[to];
            survive(resized_block);
        }
}

Test(alloc_faults, resized_huge_blocks) {
    resize_from = (size_t)5 << 20;
    for (resize_to = (size_t)1 << 20; resize_to <= (size_t)17 << 20; resize_to *= 2)
        survive(resized_block);
}

Test(alloc_faults, growing_blocks) {
    survive(growing_blocks);
}

Test(alloc_faults, arenas) {
    survive(arenas_that_come_and_go);
}

Test(alloc_faults, threads) {
    const plan one = {threads_that_come_and_go, false, 0, 16, 0, 1};
    const plan all = {threads_that_come_and_go, true, 0, 16, 0, ULONG_MAX};
    const plan hardened = {threads_that_come_and_go, false, HK_ARENA_HARDENED, 16, 0, 1};
    cr_assert_gt(refuse_one_after_the_other(run, one), 0);
    cr_assert_gt(refuse_one_after_the_other(run, all), 0);
    cr_assert_gt(refuse_one_after_the_other(run, hardened), 0);
}

/* ---- the start ---- */

/* The first call of all, by each way into hakmem. NULL, and the status says why, or a block or handle. */
static void *first_malloc(void) {
    return hk_malloc(100);
}

static void *first_calloc(void) {
    return hk_calloc(10, 10);
}

static void *first_realloc(void) {
    return hk_realloc(NULL, 100000);
}

static void *first_aligned_alloc(void) {
    return hk_aligned_alloc(4096, 10);
}

static void *first_default(void) {
    return hk_arena_default();
}

static void *first_create(void) {
    hk_arena *created = (hk_arena *)&created;
    hk_status status = hk_arena_create(NULL, &created);
    REQUIRE(status == (created == NULL ? HK_ERR_NO_MEMORY : HK_OK));
    return created;
}

static void *(*first)(void);

/* What needs no memory works before the start as well as after it. */
static void ask_without_memory(void) {
    int local;
    hk_pointer_info info = {.struct_size = sizeof info};
    hk_free(NULL);
    REQUIRE(hk_usable_size(NULL) == 0 && hk_arena_of(&local) == NULL && !hk_arena_owns(NULL, &local));
    REQUIRE(hk_classify(&local, &info) == HK_OK && info.kind == HK_POINTER_FOREIGN);
    REQUIRE(hk_good_size(100) == 112 && hk_last_status() == HK_OK);
}

static int start(const plan *of) {
    let_start();
    unsigned long before = hki_os_calls();
    hki_os_fail_calls(of->skip, of->count);
    ask_without_memory();
    void *got = first();
    REQUIRE(hk_last_status() == (got == NULL ? HK_ERR_NO_MEMORY : HK_OK));
    bool met = hki_os_calls() - before > of->skip;
    REQUIRE(met || got != NULL);
    hki_os_fail_calls(0, 0);
    hki_last_status = HK_OK;
    REQUIRE(first() != NULL); /* the next call tries again */
    REQUIRE(hk_last_status() == HK_OK);
    growing_blocks();
    threads_that_come_and_go();
    free_all();
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return met ? RUN_MET_THE_FAULT : RUN_MET_NONE;
}

static void start_by(void *(*way)(void)) {
    const plan one = {.count = 1}, all = {.count = ULONG_MAX};
    first = way;
    cr_assert_geq(refuse_one_after_the_other(start, one), 4);
    cr_assert_geq(refuse_one_after_the_other(start, all), 4);
}

Test(alloc_faults, start_by_malloc) {
    start_by(first_malloc);
}

Test(alloc_faults, start_by_calloc) {
    start_by(first_calloc);
}

Test(alloc_faults, start_by_realloc) {
    start_by(first_realloc);
}

Test(alloc_faults, start_by_aligned_alloc) {
    start_by(first_aligned_alloc);
}

Test(alloc_faults, start_by_default_arena) {
    start_by(first_default);
}

Test(alloc_faults, start_by_arena) {
    start_by(first_create);
}
