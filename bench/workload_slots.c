/* workload_slots: `fixed` and `mixed`, the seed's benchmark. N slots; a random one is freed if full, else filled.
 *
 * Each thread owns its slots. The timed loop is kept as short as it can be: two pointers, a seed, two counters. */
#include "support.h"
#include "workloads.h"

#include <pthread.h>

typedef struct worker {
    const allocator *allocator;
    const run_options *options;
    pthread_barrier_t *ready; /* passed after warming up and after the timed part */
    unsigned char **slots;
    uint64_t operations;
    uint32_t random;
    pthread_t thread;
} worker;

/* Written out twice by the compiler: a size by mask when the span is a power of two (fixed: mask 0), else by
 * product. */
static inline __attribute__((always_inline)) uint32_t slots_loop(const worker *w, uint64_t operations, int by_mask) {
    void *(*const allocate)(size_t) = w->allocator->allocate;
    void (*const release)(void *) = w->allocator->release;
    const uint32_t count = (uint32_t)w->options->blocks;
    const uint32_t base = (uint32_t)w->options->size_min_bytes;
    const uint32_t span = (uint32_t)(w->options->size_max_bytes - base + 1);
    unsigned char **const slots = w->slots;
    uint32_t random = w->random;
    for (uint64_t i = 0; i < operations; i++) {
        random = xorshift32(random);
        unsigned char **slot = &slots[random % count];
        if (*slot != NULL) {
            release(*slot);
            *slot = NULL;
        } else {
            size_t size = base + (by_mask ? (random & (span - 1)) : (uint32_t)((uint64_t)random * span >> 32));
            unsigned char *block = allocate(size);
            if (__builtin_expect(block == NULL, 0))
                die(EXIT_FAILED, "%s gave no block of %zu bytes", w->allocator->name, size);
            *block = (unsigned char)random;
            *slot = block;
        }
    }
    return random;
}

static __attribute__((noinline)) uint32_t loop_by_mask(const worker *w, uint64_t operations) {
    return slots_loop(w, operations, 1);
}

static __attribute__((noinline)) uint32_t loop_by_product(const worker *w, uint64_t operations) {
    return slots_loop(w, operations, 0);
}

static void work(worker *w, uint64_t operations) {
    uint64_t span = w->options->size_max_bytes - w->options->size_min_bytes + 1;
    w->random = (span & (span - 1)) == 0 ? loop_by_mask(w, operations) : loop_by_product(w, operations);
}

/* Long enough for the number of full slots to settle; does not depend on the operations asked for, so that the
 * difference between two runs is theirs alone. */
static uint64_t warm_up_operations(const run_options *options) {
    return 8 * options->blocks + 200000;
}

static void *worker_main(void *argument) {
    worker *w = argument;
    work(w, warm_up_operations(w->options));
    pthread_barrier_wait(w->ready);
    work(w, w->operations);
    pthread_barrier_wait(w->ready);
    for (uint64_t i = 0; i < w->options->blocks; i++)
        if (w->slots[i] != NULL)
            w->allocator->release(w->slots[i]);
    return NULL;
}

static void run_workers(worker *workers, uint64_t threads, run_result *result) {
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, (unsigned)threads + 1);
    for (uint64_t i = 0; i < threads; i++) {
        workers[i].ready = &ready;
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
            die(EXIT_FAILED, "cannot start thread %u", (unsigned)i);
    }
    pthread_barrier_wait(&ready);
    double start = seconds_now();
    pthread_barrier_wait(&ready);
    result->seconds = seconds_now() - start;
    for (uint64_t i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&ready);
}

/* One thread alone runs without a second one in the process: some allocators and the C library are faster then. */
static void run_alone(worker *w, run_result *result) {
    work(w, warm_up_operations(w->options));
    double start = seconds_now();
    work(w, w->operations);
    result->seconds = seconds_now() - start;
    for (uint64_t i = 0; i < w->options->blocks; i++)
        if (w->slots[i] != NULL)
            w->allocator->release(w->slots[i]);
}

void run_slots(const allocator *allocator, const run_options *options, run_result *result) {
    uint64_t threads = options->threads;
    size_t slots_bytes = options->blocks * sizeof(unsigned char *);
    worker *workers = map_memory(threads * sizeof(worker));
    for (uint64_t i = 0; i < threads; i++) {
        workers[i].allocator = allocator;
        workers[i].options = options;
        workers[i].slots = map_memory(slots_bytes);
        workers[i].operations = options->operations / threads;
        workers[i].random = thread_seed((uint32_t)options->seed, (uint32_t)i);
    }
    if (threads == 1)
        run_alone(workers, result);
    else
        run_workers(workers, threads, result);
    result->operations = (double)(workers[0].operations * threads);
    for (uint64_t i = 0; i < threads; i++)
        unmap_memory(workers[i].slots, slots_bytes);
    unmap_memory(workers, threads * sizeof(worker));
}
