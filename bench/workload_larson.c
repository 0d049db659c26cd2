/* workload_larson: a server whose workers come and go. Each of T chains has an array of blocks; its thread replaces
 * random ones, and after GENERATION_REPLACEMENTS hands the whole array to a new thread that it starts, and ends.
 *
 * One thread of a chain at a time touches the chain; pthread_create orders the hand-over. The last one counts itself
 * off under `chains_lock`. So nearly every block is freed by a thread that did not allocate it, some time after that
 * ended. */
#include "support.h"
#include "workloads.h"

#include <pthread.h>
#include <string.h>

enum { GENERATION_REPLACEMENTS = 50000, WARM_UP_REPLACEMENTS = 100000 };

typedef struct chain {
    const allocator *allocator;
    const run_options *options;
    unsigned char **blocks;
    uint64_t replacements_left;
    uint32_t random;
} chain;

static pthread_mutex_t chains_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t chain_ended = PTHREAD_COND_INITIALIZER;
static uint64_t chains_running; /* under chains_lock */

static unsigned char *new_block(const chain *c, uint32_t random) {
    size_t size = pick_size(c->options, random);
    unsigned char *block = c->allocator->allocate(size);
    if (block == NULL)
        die(EXIT_FAILED, "%s gave no block of %zu bytes", c->allocator->name, size);
    *block = (unsigned char)random;
    return block;
}

static void replace_blocks(chain *c, uint64_t replacements) {
    void (*const release)(void *) = c->allocator->release;
    const uint32_t count = (uint32_t)c->options->blocks;
    uint32_t random = c->random;
    for (uint64_t i = 0; i < replacements; i++) {
        random = xorshift32(random);
        unsigned char **slot = &c->blocks[random % count];
        release(*slot);
        random = xorshift32(random);
        *slot = new_block(c, random);
    }
    c->random = random;
}

static void *generation_main(void *argument);

static void start_generation(chain *c) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, generation_main, c);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        die(EXIT_FAILED, "cannot start a thread: %s", strerror(error));
}

static void *generation_main(void *argument) {
    chain *c = argument;
    uint64_t replacements =
        c->replacements_left < GENERATION_REPLACEMENTS ? c->replacements_left : GENERATION_REPLACEMENTS;
    replace_blocks(c, replacements);
    c->replacements_left -= replacements;
    if (c->replacements_left > 0) {
        start_generation(c);
        return NULL;
    }
    pthread_mutex_lock(&chains_lock);
    chains_running--;
    pthread_cond_signal(&chain_ended);
    pthread_mutex_unlock(&chains_lock);
    return NULL;
}

static double run_chains(chain *chains, uint64_t count, uint64_t replacements) {
    double start = seconds_now();
    chains_running = count;
    for (uint64_t i = 0; i < count; i++) {
        chains[i].replacements_left = replacements;
        start_generation(&chains[i]);
    }
    pthread_mutex_lock(&chains_lock);
    while (chains_running > 0)
        pthread_cond_wait(&chain_ended, &chains_lock);
    pthread_mutex_unlock(&chains_lock);
    return seconds_now() - start;
}

void run_larson(const allocator *allocator, const run_options *options, run_result *result) {
    uint64_t threads = options->threads;
    uint64_t replacements = (options->operations + 2 * threads - 1) / (2 * threads);
    size_t array_bytes = options->blocks * sizeof(unsigned char *);
    chain *chains = map_memory(threads * sizeof(chain));
    for (uint64_t i = 0; i < threads; i++) {
        chain *c = &chains[i];
        *c = (chain){allocator, options, map_memory(array_bytes), 0, thread_seed((uint32_t)options->seed, (uint32_t)i)};
        for (uint64_t k = 0; k < options->blocks; k++) {
            c->random = xorshift32(c->random);
            c->blocks[k] = new_block(c, c->random);
        }
    }
    run_chains(chains, threads, WARM_UP_REPLACEMENTS);
    result->seconds = run_chains(chains, threads, replacements);
    result->operations = (double)(replacements * threads * 2);
    for (uint64_t i = 0; i < threads; i++) {
        for (uint64_t k = 0; k < options->blocks; k++)
            allocator->release(chains[i].blocks[k]);
        unmap_memory(chains[i].blocks, array_bytes);
    }
    unmap_memory(chains, threads * sizeof(chain));
}
