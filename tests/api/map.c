/* hk_arena_dump_map: a document that an XML parser reads, with the figures of hk_arena_statistics, in any file. */
#include "api_test.h"
#include "map_reader.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void fill_arena(hk_arena *arena) {
    uint32_t seed = 5;
    for (int i = 0; i < 3000; i++)
        cr_assert_not_null(hk_arena_alloc(arena, random_size(&seed, i % 100 == 0 ? 20 : 11)));
}

static void assert_document(hk_arena *arena, const char *text, size_t length) {
    hk_statistics figures = {.struct_size = sizeof figures};
    map_document map = map_read(text, length);
    cr_assert(map.is_valid, "%s", map.complaint);
    cr_assert_eq(hk_arena_statistics(arena, &figures), HK_OK);
    const char *difference = map_difference(&map, &figures);
    cr_assert_null(difference, "%s", difference);
    cr_assert_str_eq(map.name, hk_arena_name(arena));
}

static char text[4 * MIB];

Test(map, of_each_kind_of_arena) {
    for (int which = 0; which < SUBJECTS; which++) {
        subject in = make_subject(which);
        fill_arena(in.arena);
        FILE *file = tmpfile();
        cr_assert_eq(hk_arena_dump_map(in.arena, fileno(file)), HK_OK);
        ssize_t length = pread(fileno(file), text, sizeof text, 0);
        fclose(file);
        assert_document(in.arena, text, (size_t)length);
        assert_sound(in.arena);
    }
}

Test(map, says_what_it_cannot_do) {
    hk_arena *arena = make_arena(0);
    cr_assert_eq(hk_arena_dump_map(arena, -1), HK_ERR_INVALID_ARGUMENT);
    cr_assert_eq(hk_arena_destroy(arena), HK_OK);
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    cr_assert_eq(hk_arena_dump_map(arena, STDERR_FILENO), HK_ERR_BAD_ARENA);
}

/* ---- a pipe with a slow reader, and signals: writes end early, with EINTR ---- */

static _Atomic int alarms;

static void on_alarm(int number) {
    (void)number;
    alarms++;
}

/* Reads a little at a time, until the end; each time after one more signal, of those that come. */
static void *read_slowly(void *argument) {
    int from = *(int *)argument;
    size_t length = 0;
    ssize_t got;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while ((got = read(from, text + length, 2500)) > 0) {
        int before = alarms;
        length += (size_t)got;
        while (length < 200000 && alarms == before)
            sched_yield();
    }
    return (void *)length;
}

Test(map, into_a_slow_pipe_among_signals) {
    hk_arena *arena = make_arena(0);
    for (int i = 0; i < 40; i++)
        fill_arena(arena);
    int ends[2];
    pthread_t reader;
    void *length;
    struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(pthread_create(&reader, NULL, read_slowly, &ends[0]), 0);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    hk_status status = hk_arena_dump_map(arena, ends[1]);
    close(ends[1]);
    cr_assert_eq(pthread_join(reader, &length), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    cr_assert_eq(status, HK_OK);
    cr_assert_gt(alarms, 10);
    assert_document(arena, text, (size_t)length);
}
