/* A storm of signals from two timers and another thread, at any instruction of the fast and the slow paths. The handlers
 * do what handlers may (signal-safety(7)), and misuse memory besides: that is reported from within them, also while a
 * report is being made. malloc and free themselves are not for handlers, with any allocator. */
#include "malloc_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { STEPS = 400000, SIGNALS_WANTED = 20000 };

static atomic_uint signals, reports;
static atomic_bool stop;
static char *watched; /* a live block, whatever happens */
static char nobodys[64];

static void count_report(const hk_error_info *info, void *data) {
    (void)data;
    REQUIRE(info->status == HK_ERR_FOREIGN_POINTER || info->status == HK_ERR_INTERIOR_POINTER);
    atomic_fetch_add(&reports, 1);
}

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    hk_pointer_info info = {.struct_size = sizeof info};
    errno = 1234;
    if (atomic_load(&signals) % 16 == 0)
        free(nobodys + 16); /* asks the system, which delivers signals when it returns */
    free(watched + 16);
    REQUIRE(errno == 1234);
    REQUIRE(hk_classify(watched + 50, &info) == HK_OK && info.block_start == watched && info.state == HK_BLOCK_LIVE);
    REQUIRE(malloc_usable_size(watched) >= 100 && hk_arena_of(watched) == hk_arena_default());
    atomic_fetch_add(&signals, 1);
    errno = saved;
}

/* One after the other, so that the program gets on in between: by a few instructions or by some thousand. */
static void *send_signals(void *target) {
    uint32_t state = 99;
    while (!atomic_load(&stop)) {
        unsigned before = atomic_load(&signals);
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        while (atomic_load(&signals) == before && !atomic_load(&stop))
            sched_yield();
        for (volatile uint32_t i = next_random(&state) % 2048; i > 0; i--)
            continue;
    }
    return NULL;
}

static void handle(int number) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    REQUIRE(sigaction(number, &action, NULL) == 0);
}

/* 0 stops them. */
static void set_timers(long real_microseconds, long profiling_microseconds) {
    struct itimerval real = {{0, real_microseconds}, {0, real_microseconds}};
    struct itimerval profiling = {{0, profiling_microseconds}, {0, profiling_microseconds}};
    REQUIRE(setitimer(ITIMER_REAL, &real, NULL) == 0 && setitimer(ITIMER_PROF, &profiling, NULL) == 0);
}

int main(void) {
    pthread_t self = pthread_self(), sender;
    slot slots[300] = {0};
    uint32_t state = 17;
    require_hakmem();
    hk_set_error_handler(count_report, NULL);
    watched = malloc(100);
    handle(SIGALRM);
    handle(SIGPROF);
    handle(SIGUSR1);
    set_timers(150, 170);
    REQUIRE(pthread_create(&sender, NULL, send_signals, &self) == 0);
    for (int i = 0; i < STEPS || atomic_load(&signals) < SIGNALS_WANTED; i++) {
        load_step(slots, LENGTH_OF(slots), &state);
        for (int j = 0; i % 64 == 0 && j < 200; j++)
            free(watched + 32); /* reports that signals interrupt */
        if (i % 8192 == 0)
            hk_purge();
        errno = 0;
        if (i % 1000 == 0)
            REQUIRE(malloc((size_t)1 << 50) == NULL && errno == ENOMEM);
    }
    atomic_store(&stop, true);
    REQUIRE(pthread_join(sender, NULL) == 0);
    set_timers(0, 0);
    REQUIRE(atomic_load(&reports) >= SIGNALS_WANTED);
    load_empty(slots, LENGTH_OF(slots));
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
