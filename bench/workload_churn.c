/* workload_churn: a server under load, and what of its memory is left when the load ends. Each of T chains has slots;
 * its thread replaces blocks of skewed sizes in them, and after GENERATION_REPLACEMENTS a new thread takes its place.
 * Of the blocks that are replaced, one in HANDED_ONE_IN goes to the next chain, which frees it. Some slots are replaced
 * all the time, some hardly ever, so blocks live for very different times, side by side. In the end all are freed but
 * those in the KEPT_ONE_IN-th part of the slots that is replaced most rarely. The resident memory is looked at when the
 * threads have ended, and once more when new ones have made as many replacements again in a few slots, and the main
 * thread some more when these have ended too. No call asks the allocator to give memory back.
 *
 * One thread of a chain at a time touches its slots and random numbers. Ring i is filled by chain i and emptied by
 * chain i + 1, at the end by the main thread: freed <= handed <= freed + RING_BLOCKS. Which blocks are live in the end
 * depends on the seed alone; who frees a block also on the order of events. */
#include "support.h"
#include "workloads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    GENERATION_REPLACEMENTS = 20000,
    HANDED_ONE_IN = 4,
    KEPT_ONE_IN = 4,
    RING_BLOCKS = 1024,
    CACHE_LINE_BYTES = 64,
    PAGE_BYTES = 4096,
    SETTLING_SLOTS = 64
};

typedef struct slot {
    unsigned char *block; /* every byte is `tag` */
    uint32_t size_bytes;
    unsigned char tag;
} slot;

typedef struct ring {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t handed;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t freed;
    slot cells[RING_BLOCKS];
} ring;

typedef struct chain {
    const allocator *allocator;
    const run_options *options;
    slot *slots;
    uint64_t used_slots;   /* the first ones, which are drawn from */
    ring *own;             /* this chain hands blocks on here */
    ring *last;            /* and frees those that it finds here */
    uint64_t replacements; /* of the next thread */
    uint64_t replacements_left;
    uint32_t random;
    pthread_t thread; /* starts the others, one after the other */
} chain;

static uint64_t replacements_of(const chain *c) {
    return c->options->operations / c->options->threads;
}

static void release(const allocator *a, slot *s) {
    if (s->block[0] != s->tag || s->block[s->size_bytes - 1] != s->tag)
        die(EXIT_FAILED, "%s lost the contents of a block of %u bytes", a->name, (unsigned)s->size_bytes);
    a->release(s->block);
    s->block = NULL;
}

static void fill(chain *c, slot *s) {
    const size_t size = pick_skewed_size(c->options, &c->random);
    *s = (slot){c->allocator->allocate(size), (uint32_t)size, (unsigned char)(c->random >> 24)};
    if (s->block == NULL)
        die(EXIT_FAILED, "%s gave no block of %zu bytes", c->allocator->name, size);
    memset(s->block, s->tag, size);
}

/* Returns 0 when the ring is full. */
static int hand_on(ring *r, const slot *s) {
    const uint64_t at = atomic_load_explicit(&r->handed, memory_order_relaxed);
    if (at - atomic_load_explicit(&r->freed, memory_order_acquire) == RING_BLOCKS) /* pairs with free_handed */
        return 0;
    r->cells[at % RING_BLOCKS] = *s;
    atomic_store_explicit(&r->handed, at + 1, memory_order_release); /* pairs with free_handed */
    return 1;
}

/* Returns 0 when the ring is empty. */
static int free_handed(const allocator *a, ring *r) {
    const uint64_t at = atomic_load_explicit(&r->freed, memory_order_relaxed);
    if (at == atomic_load_explicit(&r->handed, memory_order_acquire)) /* pairs with hand_on */
        return 0;
    release(a, &r->cells[at % RING_BLOCKS]);
    atomic_store_explicit(&r->freed, at + 1, memory_order_release); /* pairs with hand_on */
    return 1;
}

/* By a product of two even numbers, the first slots come often, the last ones hardly ever. */
static slot *pick_slot(chain *c) {
    const uint64_t a = c->random = xorshift32(c->random);
    const uint64_t b = c->random = xorshift32(c->random);
    return &c->slots[(a * b >> 32) * c->used_slots >> 32];
}

static void *worker_main(void *argument) {
    chain *c = argument;
    for (uint64_t i = 0; i < c->replacements; i++) {
        slot *s = pick_slot(c);
        const int is_handed_on = c->random % HANDED_ONE_IN == 0;
        if (s->block != NULL && !(is_handed_on && hand_on(c->own, s)))
            release(c->allocator, s);
        fill(c, s);
        free_handed(c->allocator, c->last);
    }
    return NULL;
}

static void start(pthread_t *thread, void *(*main)(void *), chain *c) {
    int error = pthread_create(thread, NULL, main, c);
    if (error != 0)
        die(EXIT_FAILED, "cannot start a thread: %s", strerror(error));
}

static void *chain_main(void *argument) {
    chain *c = argument;
    while (c->replacements_left > 0) {
        c->replacements =
            c->replacements_left < GENERATION_REPLACEMENTS ? c->replacements_left : GENERATION_REPLACEMENTS;
        c->replacements_left -= c->replacements;
        pthread_t worker;
        start(&worker, worker_main, c);
        pthread_join(worker, NULL);
    }
    return NULL;
}

static void *fill_main(void *argument) {
    chain *c = argument;
    for (uint64_t i = 0; i < c->options->blocks; i++)
        fill(c, &c->slots[i]);
    return NULL;
}

static void free_slots(const chain *c, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (c->slots[i].block != NULL)
            release(c->allocator, &c->slots[i]);
}

static void *end_main(void *argument) {
    chain *c = argument;
    free_slots(c, c->options->blocks - c->options->blocks / KEPT_ONE_IN);
    return NULL;
}

static void *settle_main(void *argument) {
    chain *c = argument;
    c->used_slots = c->options->blocks < SETTLING_SLOTS ? c->options->blocks : SETTLING_SLOTS;
    c->replacements_left = replacements_of(c);
    chain_main(c);
    free_slots(c, c->used_slots);
    return NULL;
}

/* The main thread works on after all others have ended, in a few slots. */
static void go_on_alone(chain *c) {
    c->used_slots = c->options->blocks < SETTLING_SLOTS ? c->options->blocks : SETTLING_SLOTS;
    c->replacements = 2 * replacements_of(c);
    worker_main(c);
    while (free_handed(c->allocator, c->own)) {
    }
    free_slots(c, c->used_slots);
}

static void run_threads(chain *chains, uint64_t count, void *(*main)(void *)) {
    for (uint64_t i = 0; i < count; i++)
        start(&chains[i].thread, main, &chains[i]);
    for (uint64_t i = 0; i < count; i++)
        pthread_join(chains[i].thread, NULL);
}

static double live_bytes(const chain *chains, uint64_t count) {
    double bytes = 0;
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < chains[i].options->blocks; k++)
            bytes += chains[i].slots[k].block != NULL ? chains[i].slots[k].size_bytes : 0;
    return bytes;
}

static int compare_pages(const void *a, const void *b) {
    const uintptr_t x = *(const uintptr_t *)a;
    const uintptr_t y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* How many bytes the pages have on which live blocks lie. Between the two ends of a block no other one begins, so that
 * it is enough to sort the pages on which blocks begin. */
static double live_pages_bytes(const chain *chains, uint64_t count) {
    const size_t blocks_max = count * chains[0].options->blocks;
    slot *live = map_memory(blocks_max * sizeof *live);
    size_t blocks = 0;
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < chains[i].options->blocks; k++)
            if (chains[i].slots[k].block != NULL)
                live[blocks++] = chains[i].slots[k];
    qsort(live, blocks, sizeof *live, compare_pages);
    double pages = 0;
    uintptr_t next = 0; /* the first page that is not counted yet */
    for (size_t i = 0; i < blocks; i++) {
        const uintptr_t first = (uintptr_t)live[i].block / PAGE_BYTES;
        const uintptr_t end = ((uintptr_t)live[i].block + live[i].size_bytes - 1) / PAGE_BYTES + 1;
        pages += (double)(end - (first > next ? first : next));
        next = end;
    }
    unmap_memory(live, blocks_max * sizeof *live);
    return pages * PAGE_BYTES;
}

/* All of the harness' pages are written to, so that they do not count among the resident ones. */
static chain *make_chains(const allocator *allocator, const run_options *options) {
    const uint64_t count = options->threads;
    const size_t slots_bytes = options->blocks * sizeof(slot);
    chain *chains = map_memory(count * sizeof *chains);
    ring *rings = map_memory(count * sizeof *rings);
    memset(rings, 1, count * sizeof *rings);
    for (uint64_t i = 0; i < count; i++) {
        atomic_init(&rings[i].handed, 0);
        atomic_init(&rings[i].freed, 0);
        chains[i] = (chain){.allocator = allocator, .options = options, .slots = map_memory(slots_bytes)};
        memset(chains[i].slots, 1, slots_bytes);
        memset(chains[i].slots, 0, slots_bytes);
        chains[i].used_slots = options->blocks;
        chains[i].own = &rings[i];
        chains[i].last = &rings[(i + count - 1) % count];
        chains[i].replacements_left = replacements_of(&chains[i]);
        chains[i].random = thread_seed((uint32_t)options->seed, (uint32_t)i);
    }
    return chains;
}

static void end_chains(chain *chains, uint64_t count) {
    ring *rings = chains[0].own;
    for (uint64_t i = 0; i < count; i++) {
        free_slots(&chains[i], chains[i].options->blocks);
        unmap_memory(chains[i].slots, chains[i].options->blocks * sizeof(slot));
    }
    unmap_memory(rings, count * sizeof *rings);
    unmap_memory(chains, count * sizeof *chains);
}

static void free_all_handed(const chain *chains, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        while (free_handed(chains[i].allocator, chains[i].own)) {
        }
}

void run_churn(const allocator *allocator, const run_options *options, run_result *result) {
    const uint64_t count = options->threads;
    chain *chains = make_chains(allocator, options);
    const double before = (double)resident_bytes();
    run_threads(chains, count, fill_main);
    const double began = seconds_now();
    run_threads(chains, count, chain_main);
    result->seconds = seconds_now() - began;
    result->operations = (double)(replacements_of(chains) * count);
    const double churning = live_bytes(chains, count);
    run_threads(chains, count, end_main);
    free_all_handed(chains, count);
    const double ended = (double)resident_bytes() - before;
    run_threads(chains, count, settle_main);
    free_all_handed(chains, count);
    go_on_alone(&chains[0]);
    const double settled = (double)resident_bytes() - before;
    const double live = live_bytes(chains, count);
    const double pages = live_pages_bytes(chains, count);
    add_figure(result, "live_churning_bytes", churning);
    add_figure(result, "live_at_end_bytes", live);
    add_figure(result, "live_at_end_pages_bytes", pages);
    add_figure(result, "resident_at_end_bytes", ended);
    add_figure(result, "resident_settled_bytes", settled);
    add_figure(result, "resident_settled_to_live", settled / live);
    end_chains(chains, count);
}
