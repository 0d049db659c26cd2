/* map, map_units: the document is XML, says what the statistics say, shows every unit and block, stays small, takes no
 * memory, and survives each failure. */
#include "unit_test.h"

#include "map_reader.h"
#include "walk.h"

enum { DOCUMENT_MAX = 5 << 20 };

static hk_arena *handle;
static char text[DOCUMENT_MAX + 1];

static void start(void) {
    handle = make_plain_arena();
}

static void *alloc(size_t size) {
    void *block = hk_arena_alloc(handle, size);
    cr_assert_not_null(block);
    return block;
}

/* The document's length; it is in `text`. */
static size_t dump(void) {
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    cr_assert_eq(hk_arena_dump_map(handle, fileno(file)), HK_OK);
    ssize_t length = pread(fileno(file), text, sizeof text, 0);
    cr_assert_geq(length, 0);
    cr_assert_leq(length, DOCUMENT_MAX);
    text[length] = '\0';
    fclose(file);
    return (size_t)length;
}

static map_document dump_and_read(void) {
    size_t length = dump();
    map_document map = map_read(text, length);
    cr_assert(map.is_valid, "%s", map.complaint);
    return map;
}

static hk_statistics figures_now(void) {
    hk_statistics now = {.struct_size = sizeof now};
    cr_assert_eq(hk_arena_statistics(handle, &now), HK_OK);
    return now;
}

static map_document assert_agrees(void) {
    map_document map = dump_and_read();
    hk_statistics now = figures_now();
    const char *difference = map_difference(&map, &now);
    cr_assert_null(difference, "%s", difference);
    return map;
}

static size_t count_of(const char *part) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static bool has(const char *part) {
    return strstr(text, part) != NULL;
}

/* ---- figures ---- */

Test(map, empty_arena, .init = start) {
    map_document map = assert_agrees();
    cr_assert_str_eq(map.name, "test");
    cr_assert_str_eq(map.title, "test: memory of a hakmem arena");
    cr_assert_eq(map.unit_titles + map.large_titles + map.huge_titles + map.cell_titles, 0);
    cr_assert_not(has("By address"));
    cr_assert_not(has("By block size"));
}

Test(map, emptied_arena, .init = start) {
    cr_assert_eq(hk_arena_free(handle, alloc(100)), HK_OK);
    cr_assert_eq(assert_agrees().unit_titles, 1);
}

Test(map, one_of_each, .init = start) {
    alloc(1);
    alloc(64);
    alloc(20 << 10);
    alloc(300 << 10);
    alloc((size_t)1 << 30);
    map_document map = assert_agrees();
    cr_assert_eq(map.unit_titles, 1);
    cr_assert_eq(map.blocks_in_units, 3);
    cr_assert_eq(map.large_titles, 1);
    cr_assert_eq(map.huge_titles, 1);
    cr_assert(has("<title>1 line of 64 B blocks: 1 of 16 live</title>"));
    cr_assert(has("<title>a block of 20 lines</title>"));
    cr_assert(has("large block of 300 KiB"));
    cr_assert(has("huge block of 1 GiB"));
    cr_assert_eq(count_of("class=\"z\""), 1, "the huge block is broken");
    cr_assert_lt(map.height, 1000);
}

Test(map, failures_and_limit_are_told, .init = start) {
    cr_assert_eq(hk_arena_set_limit(handle, 1 << 20), HK_OK);
    while (hk_arena_alloc(handle, 700) != NULL)
        continue;
    map_document map = assert_agrees();
    cr_assert_eq(map.figures.limit_failures, 1);
    cr_assert_eq(map.figures.limit_bytes, 1 << 20);
    cr_assert(has("1 by the limit, 0 by the system"));
    cr_assert(has(">1 MiB<"));
}

static void *blocks[4000];

static void change(uint32_t *seed, size_t from, size_t step) {
    for (size_t i = from; i < LENGTH_OF(blocks); i += step) {
        if (blocks[i] != NULL && next_random(seed) % 2 == 0) {
            cr_assert_eq(hk_arena_free(handle, blocks[i]), HK_OK);
            blocks[i] = NULL;
        } else if (blocks[i] == NULL) {
            blocks[i] = hk_arena_alloc(handle, 1 + random_size(seed, i % 50 == 0 ? 4 << 20 : 6000));
        }
    }
}

Test(map, random_histories) {
    static const uint32_t flags[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0};
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t seed = i + 1;
        memset(blocks, 0, sizeof blocks);
        handle = make_arena(flags[i / 2], i % 2 == 0 ? 8 : 16, 0);
        for (int round = 0; round < 4; round++) {
            change(&seed, 0, 1);
            map_document map = assert_agrees();
            if (map.cell_titles == 0)
                cr_assert_eq(map.blocks_in_units + map.large_titles + map.huge_titles, map.figures.live_blocks);
            assert_sound(hki_arena_find(handle));
        }
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    }
}

/* ---- heaps of several threads ---- */

static pthread_barrier_t together;

/* Half of its own blocks; then those that the other thread has left, which its heap collects much later. */
static void *work(void *argument) {
    uint32_t number = *(uint32_t *)argument, seed = number + 1;
    for (size_t i = number; i < LENGTH_OF(blocks); i += 2)
        blocks[i] = hk_arena_alloc(handle, 1 + next_random(&seed) % 5000);
    pthread_barrier_wait(&together);
    for (size_t i = number ^ 1; i < LENGTH_OF(blocks); i += 4)
        hk_arena_free(handle, blocks[i]);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together); /* the pictures are drawn here */
    return NULL;
}

Test(map, several_heaps_and_remote_frees) {
    pthread_t threads[2];
    uint32_t numbers[] = {0, 1};
    handle = make_arena(0, 16, 0);
    pthread_barrier_init(&together, NULL, 3);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    map_document map = assert_agrees();
    cr_assert_eq(map.figures.heaps, 2);
    cr_assert_eq(map.figures.live_blocks, LENGTH_OF(blocks) / 2);
    cr_assert_eq(map.blocks_in_units, LENGTH_OF(blocks) / 2);
    pthread_barrier_wait(&together);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(assert_agrees().blocks_in_units, LENGTH_OF(blocks) / 2);
}

/* ---- lines ---- */

Test(map, runs_without_a_live_block_and_free_lines, .init = start) {
    static void *burst[4000];
    for (size_t i = 0; i < LENGTH_OF(burst); i++)
        burst[i] = alloc(64 + i % 900);
    for (size_t i = 0; i < LENGTH_OF(burst); i++)
        if (i % 100 != 0)
            cr_assert_eq(hk_arena_free(handle, burst[i]), HK_OK);
    assert_agrees();
    cr_assert(has("class=\"f0\""));
    cr_assert(has("class=\"u\" d"));
    size_t clean = count_of("class=\"c\"");
    cr_assert_eq(hk_arena_trim(handle), HK_OK);
    map_document map = assert_agrees();
    cr_assert_gt(count_of("class=\"c\""), clean, "what was given back is seen");
    cr_assert_eq(map.blocks_in_units, LENGTH_OF(burst) / 100);
}

/* ---- scales ---- */

/* Arenas of 0, 1, ... units, whose memory nobody touches. */
static void grow_to(size_t units) {
    while (figures_now().units < units)
        alloc(40 << 10);
    cr_assert_eq(figures_now().units, units);
}

Test(map, every_unit_is_drawn, .init = start) {
    static const size_t units[] = {1, 40, 41, 200, 201, 1792, 1793, 10000};
    for (size_t i = 0; i < LENGTH_OF(units); i++) {
        grow_to(units[i]);
        map_document map = assert_agrees();
        cr_assert_eq(units[i] <= 1792 ? map.unit_titles : map.cell_titles, units[i], "%zu", units[i]);
        cr_assert_eq(map.unit_titles == 0, units[i] > 1792);
        cr_assert_lt(map.height, 2500);
    }
}

Test(map, units_share_cells, .init = start) {
    grow_to(16384 * 2 + 1);
    map_document map = assert_agrees();
    cr_assert_eq(map.cell_titles, 16384 * 2 / 3 + 1);
    cr_assert(has("a cell is 3 units of 64 KiB"));
    cr_assert(has("<title>3 units from 0x"));
    cr_assert_lt(map.height, 2500);
}

Test(map, large_blocks_reach_over_rows, .init = start) {
    for (size_t i = 0; i < 60; i++)
        alloc((70 + 37 * i) << 10);
    map_document map = assert_agrees();
    cr_assert_eq(map.large_titles, 60);
    for (size_t i = 0; i < 600; i++)
        alloc((70 + 37 * (i % 60)) << 10);
    map = assert_agrees();
    cr_assert_eq(map.large_titles, 0);
    cr_assert_eq(map.cell_titles, map.figures.units);
}

Test(map, huge_blocks_have_rows_until_there_are_too_many, .init = start) {
    alloc(100);
    for (size_t i = 0; i < 100; i++)
        alloc((size_t)5 << 20);
    cr_assert_eq(assert_agrees().huge_titles, 100);
    alloc((size_t)5 << 20);
    map_document map = assert_agrees();
    cr_assert_eq(map.huge_titles, 0);
    cr_assert_eq(map.cell_titles, 102);
}

/* Two huge blocks of different size among many units: the smaller has a shorter bar. */
Test(map, small_huge_blocks_are_in_proportion, .init = start) {
    grow_to(3000);
    alloc((size_t)5 << 20);
    alloc((size_t)100 << 20);
    map_document map = assert_agrees();
    cr_assert_eq(map.huge_titles, 2);
    cr_assert_eq(count_of("class=\"z\""), 1);
}

/* ---- names ---- */

static const char *name_in_map(const char *name) {
    static map_document map;
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = name;
    cr_assert_eq(hk_arena_create(&config, &handle), HK_OK);
    map = dump_and_read();
    cr_assert_eq(strncmp(map.title, map.name, strlen(map.name)), 0);
    cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    return map.name;
}

Test(map, names) {
    static const char *const same[] = {"",     "plain", "<svg>&\"'</svg>",   "]]>",
                                       "<!--", "&amp;", "\xc3\xa9t\xc3\xa9", "%s%n"};
    for (size_t i = 0; i < LENGTH_OF(same); i++)
        cr_assert_str_eq(name_in_map(same[i]), same[i]);
    cr_assert_str_eq(name_in_map("\xff\x01!"), "\xef\xbf\xbd\xef\xbf\xbd!");
    char longest[HK_ARENA_NAME_MAX + 1] = {0};
    memset(longest, '&', HK_ARENA_NAME_MAX);
    cr_assert_str_eq(name_in_map(longest), longest);
}

/* ---- failures ---- */

static void fill_arena(void) {
    start();
    uint32_t seed = 1;
    change(&seed, 0, 1);
}

static void assert_refused(int descriptor) {
    errno = 4711;
    cr_assert_eq(hk_arena_dump_map(handle, descriptor), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(errno, 4711);
}

Test(map, bad_descriptors, .init = fill_arena) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    assert_refused(-1);
    assert_refused(ends[0]);
    close(ends[0]);
    close(ends[1]);
    assert_refused(ends[1]);
    FILE *full = fopen("/dev/full", "w");
    if (full != NULL)
        assert_refused(fileno(full));
}

Test(map, each_call_can_fail, .init = fill_arena) {
    unsigned long before = hki_os_calls();
    size_t length = dump();
    unsigned long calls = hki_os_calls() - before;
    cr_assert_gt(length, 50000);
    cr_assert_leq(calls, length / 2000, "it asks for nothing but writes");
    FILE *file = tmpfile();
    for (unsigned long i = 0; i < calls; i++) {
        hki_os_fail_calls(i, 1);
        assert_refused(fileno(file));
    }
    hki_os_fail_calls(0, 0);
    assert_agrees();
    assert_sound(hki_arena_find(handle));
}

Test(map, bad_arenas) {
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    handle = make_plain_arena();
    cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    cr_assert_eq(hk_arena_dump_map(handle, STDOUT_FILENO), HK_ERR_BAD_ARENA);
    cr_assert_eq(hk_arena_dump_map(NULL, STDOUT_FILENO), HK_ERR_BAD_ARENA);
}
