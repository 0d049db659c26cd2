/* workload_remote: one thread allocates, another frees, in batches through a bounded ring. Threads come in such pairs.
 *
 * `produced` is written by the producer alone, `consumed` by the consumer alone; cells between the two are the
 * consumer's, the rest the producer's: consumed <= produced <= consumed + capacity, all multiples of BATCH_BLOCKS. */
#include "support.h"
#include "workloads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { BATCH_BLOCKS = 64, WARM_UP_BATCHES = 4096, SPINS = 256, CACHE_LINE_BYTES = 64 };

typedef struct pair {
    const allocator *allocator;
    const run_options *options;
    pthread_barrier_t *ready;
    unsigned char **cells;
    uint64_t capacity;
    uint64_t batches;
    uint32_t seed;
    pthread_t producer;
    pthread_t consumer;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t produced;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t consumed;
} pair;

/* Waits until the other side's count has reached `count`; acquires what it released with that count. */
static void wait_for(const _Atomic uint64_t *counter, uint64_t count) {
    for (unsigned spins = 0; atomic_load_explicit(counter, memory_order_acquire) < count; spins++)
        if (spins >= SPINS)
            sched_yield();
}

static uint32_t produce(pair *p, uint64_t batches, uint32_t random) {
    void *(*const allocate)(size_t) = p->allocator->allocate;
    uint64_t at = atomic_load_explicit(&p->produced, memory_order_relaxed);
    for (uint64_t i = 0; i < batches; i++) {
        if (at + BATCH_BLOCKS > p->capacity)
            wait_for(&p->consumed, at + BATCH_BLOCKS - p->capacity);
        unsigned char **cells = &p->cells[at % p->capacity];
        for (size_t k = 0; k < BATCH_BLOCKS; k++) {
            random = xorshift32(random);
            unsigned char *block = allocate(pick_size(p->options, random));
            if (block == NULL)
                die(EXIT_FAILED, "%s gave no block", p->allocator->name);
            *block = (unsigned char)random;
            cells[k] = block;
        }
        at += BATCH_BLOCKS;
        atomic_store_explicit(&p->produced, at, memory_order_release); /* pairs with consume's wait_for */
    }
    return random;
}

static void consume(pair *p, uint64_t batches) {
    void (*const release)(void *) = p->allocator->release;
    uint64_t at = atomic_load_explicit(&p->consumed, memory_order_relaxed);
    for (uint64_t i = 0; i < batches; i++) {
        wait_for(&p->produced, at + BATCH_BLOCKS);
        unsigned char **cells = &p->cells[at % p->capacity];
        for (size_t k = 0; k < BATCH_BLOCKS; k++)
            release(cells[k]);
        at += BATCH_BLOCKS;
        atomic_store_explicit(&p->consumed, at, memory_order_release); /* pairs with produce's wait_for */
    }
}

static void *producer_main(void *argument) {
    pair *p = argument;
    uint32_t random = produce(p, WARM_UP_BATCHES, p->seed);
    pthread_barrier_wait(p->ready);
    produce(p, p->batches, random);
    pthread_barrier_wait(p->ready);
    return NULL;
}

static void *consumer_main(void *argument) {
    pair *p = argument;
    consume(p, WARM_UP_BATCHES);
    pthread_barrier_wait(p->ready);
    consume(p, p->batches);
    pthread_barrier_wait(p->ready);
    return NULL;
}

static void run_pairs(pair *pairs, uint64_t count, run_result *result) {
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, (unsigned)(2 * count + 1));
    for (uint64_t i = 0; i < count; i++) {
        pairs[i].ready = &ready;
        if (pthread_create(&pairs[i].producer, NULL, producer_main, &pairs[i]) != 0 ||
            pthread_create(&pairs[i].consumer, NULL, consumer_main, &pairs[i]) != 0)
            die(EXIT_FAILED, "cannot start the threads of pair %u", (unsigned)i);
    }
    pthread_barrier_wait(&ready);
    double start = seconds_now();
    pthread_barrier_wait(&ready);
    result->seconds = seconds_now() - start;
    for (uint64_t i = 0; i < count; i++) {
        pthread_join(pairs[i].producer, NULL);
        pthread_join(pairs[i].consumer, NULL);
    }
    pthread_barrier_destroy(&ready);
}

void run_remote(const allocator *allocator, const run_options *options, run_result *result) {
    if (options->threads % 2 != 0)
        die(EXIT_USAGE, "--threads is %u; remote needs pairs, an even number", (unsigned)options->threads);
    uint64_t count = options->threads / 2;
    uint64_t capacity = (options->blocks + BATCH_BLOCKS - 1) / BATCH_BLOCKS * BATCH_BLOCKS;
    uint64_t batches = (options->operations + BATCH_BLOCKS * count - 1) / (BATCH_BLOCKS * count);
    pair *pairs = map_memory(count * sizeof(pair));
    for (uint64_t i = 0; i < count; i++) {
        pairs[i].allocator = allocator;
        pairs[i].options = options;
        pairs[i].cells = map_memory(capacity * sizeof(unsigned char *));
        pairs[i].capacity = capacity;
        pairs[i].batches = batches;
        pairs[i].seed = thread_seed((uint32_t)options->seed, (uint32_t)i);
    }
    run_pairs(pairs, count, result);
    result->operations = (double)(batches * BATCH_BLOCKS * count);
    for (uint64_t i = 0; i < count; i++)
        unmap_memory(pairs[i].cells, capacity * sizeof(unsigned char *));
    unmap_memory(pairs, count * sizeof(pair));
}
