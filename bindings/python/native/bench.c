/* bench: the loops in C of hakmem.bench, each on hakmem's functions or on whatever is malloc in this process.
 *
 * The GIL is let go of meanwhile. Every block begins with its tag, which is looked at before the block goes; the sum of
 * all tags is the result, the same for every allocator. What a loop keeps its blocks in comes from mmap, so that the
 * allocator serves the blocks alone. */
#include "native.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SMALL_BYTES_MAX = 256,
    MIXED_BYTES_MAX = 64 << 10,
    GROWN_BYTES_MAX = 4 << 20,
    GROWN_BLOCKS = 16,
    SLOTS = 8192,
    RING_CELLS = 4096,
    CACHE_LINE_BYTES = 64,
};

typedef struct functions {
    const char *name;
    void *(*allocate)(size_t size);
    void *(*reallocate)(void *block, size_t size);
    void (*release)(void *block);
} functions;

/* A run of a loop. `problem` is the first one, written by the thread that called. */
typedef struct run {
    const functions *use;
    uint64_t steps;
    uint64_t random;
    uint64_t sum;
    PyObject *error; /* borrowed; NULL: there was no problem */
    const char *problem;
} run;

typedef struct slot {
    uint64_t *block;
    uint64_t tag;
} slot;

static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void fail(run *r, PyObject *error, const char *problem) {
    if (r->error == NULL) {
        r->error = error;
        r->problem = problem;
    }
}

static void *map_memory(run *r, size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail(r, PyExc_MemoryError, "there is no memory for the loop itself");
        return NULL;
    }
    return memory;
}

/* ---- small, mixed: random slots are filled when empty and freed when full ---- */

static size_t small_size(uint64_t random) {
    return 16 + random % (SMALL_BYTES_MAX - 15);
}

/* From 16 bytes on, a size goes on to the next doubling with a chance of 5 in 8. */
static size_t mixed_size(uint64_t random) {
    size_t smallest = 16;
    for (unsigned shift = 0; smallest < MIXED_BYTES_MAX / 2 && (random >> shift & 7) < 5; shift += 3)
        smallest *= 2;
    return smallest + (random >> 40) % smallest;
}

static void release_slot(run *r, slot *s) {
    if (*s->block != s->tag)
        fail(r, PyExc_RuntimeError, "a block was not as it had been left");
    r->sum += *s->block;
    r->use->release(s->block);
    s->block = NULL;
}

static void churn(run *r, size_t (*size_of)(uint64_t random)) {
    slot *slots = map_memory(r, SLOTS * sizeof *slots);
    if (slots == NULL)
        return;
    for (uint64_t i = 0; i < r->steps && r->error == NULL; i++) {
        const uint64_t random = next_random(&r->random);
        slot *s = &slots[(random >> 48) % SLOTS];
        if (s->block != NULL) {
            release_slot(r, s);
        } else if ((s->block = r->use->allocate(size_of(random))) != NULL) {
            *s->block = s->tag = random;
        } else {
            fail(r, PyExc_MemoryError, "the allocator gave no block");
        }
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL)
            release_slot(r, &slots[i]);
    (void)munmap(slots, SLOTS * sizeof *slots);
}

static void churn_small(run *r) {
    churn(r, small_size);
}

static void churn_mixed(run *r) {
    churn(r, mixed_size);
}

/* ---- realloc: blocks grow by half at a time, what is new in them is written, and start again ---- */

typedef struct grown {
    slot at;
    size_t size_bytes;
} grown;

static void grow(run *r, grown *g) {
    const uint64_t random = next_random(&r->random);
    if (g->size_bytes >= GROWN_BYTES_MAX || (g->size_bytes > 0 && random % 32 == 0)) {
        release_slot(r, &g->at);
        g->size_bytes = 0;
    }
    const size_t size = g->size_bytes == 0 ? 1024 + random % 1024 : g->size_bytes + g->size_bytes / 2;
    uint64_t *block = r->use->reallocate(g->at.block, size);
    if (block == NULL) {
        fail(r, PyExc_MemoryError, "the allocator gave no block");
        return;
    }
    memset((char *)block + g->size_bytes, (int)(random & 0xff), size - g->size_bytes);
    if (g->size_bytes == 0)
        *block = g->at.tag = random;
    g->at.block = block;
    g->size_bytes = size;
}

static void grow_blocks(run *r) {
    grown blocks[GROWN_BLOCKS] = {{{NULL, 0}, 0}};
    for (uint64_t i = 0; i < r->steps && r->error == NULL; i++)
        grow(r, &blocks[i % GROWN_BLOCKS]);
    for (size_t i = 0; i < GROWN_BLOCKS; i++)
        if (blocks[i].at.block != NULL)
            release_slot(r, &blocks[i].at);
}

/* ---- threads: one allocates, the other frees, through a ring ----
 *
 * `made` is written by the one, `freed` by the other: freed <= made <= freed + RING_CELLS. */

typedef struct ring {
    run *r;
    slot cells[RING_CELLS];
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t made;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t freed;
} ring;

/* A cell without a block says that there was none to be had. */
static void *make_blocks(void *argument) {
    ring *shared = argument;
    const run *r = shared->r;
    uint64_t random = r->random;
    for (uint64_t i = 0; i < r->steps; i++) {
        while (i - atomic_load_explicit(&shared->freed, memory_order_acquire) == RING_CELLS) /* pairs with below */
            sched_yield();
        slot *s = &shared->cells[i % RING_CELLS];
        s->tag = next_random(&random);
        s->block = r->use->allocate(small_size(s->tag));
        if (s->block != NULL)
            *s->block = s->tag;
        atomic_store_explicit(&shared->made, i + 1, memory_order_release); /* pairs with free_blocks */
    }
    return NULL;
}

static void free_blocks(ring *shared) {
    for (uint64_t i = 0; i < shared->r->steps; i++) {
        while (atomic_load_explicit(&shared->made, memory_order_acquire) == i) /* pairs with make_blocks */
            sched_yield();
        slot *s = &shared->cells[i % RING_CELLS];
        if (s->block != NULL)
            release_slot(shared->r, s);
        else
            fail(shared->r, PyExc_MemoryError, "the allocator gave no block");
        atomic_store_explicit(&shared->freed, i + 1, memory_order_release); /* pairs with make_blocks */
    }
}

static void hand_over(run *r) {
    ring *shared = map_memory(r, sizeof *shared);
    if (shared == NULL)
        return;
    shared->r = r;
    pthread_t maker;
    if (pthread_create(&maker, NULL, make_blocks, shared) == 0) {
        free_blocks(shared);
        (void)pthread_join(maker, NULL);
    } else {
        fail(r, PyExc_RuntimeError, "a thread could not be started");
    }
    (void)munmap(shared, sizeof *shared);
}

/* ---- the function ---- */

static const functions *find_functions(const char *name) {
    static const functions all[] = {
        {"hakmem", hk_malloc, hk_realloc, hk_free},
        {"malloc", malloc, realloc, free},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    PyErr_Format(PyExc_ValueError, "the functions are '%s'; they can be hakmem or malloc", name);
    return NULL;
}

typedef void (*loop)(run *r);

static loop find_loop(const char *name) {
    static const struct {
        const char *name;
        loop loop;
    } all[] = {{"small", churn_small}, {"mixed", churn_mixed}, {"realloc", grow_blocks}, {"threads", hand_over}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].loop;
    PyErr_Format(PyExc_ValueError, "the loop is '%s'; it can be small, mixed, realloc or threads", name);
    return NULL;
}

PyObject *native_bench(PyObject *module, PyObject *arguments) {
    const char *loop_name, *functions_name;
    unsigned long long steps, seed;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "ssKK:bench", &loop_name, &functions_name, &steps, &seed))
        return NULL;
    const functions *use = find_functions(functions_name);
    const loop chosen = use == NULL ? NULL : find_loop(loop_name);
    if (chosen == NULL)
        return NULL;
    /* An odd factor keeps seeds apart; 0 would stay 0. */
    run r = {.use = use, .steps = steps, .random = (seed + 1) * 0x9e3779b97f4a7c15u | 1};
    Py_BEGIN_ALLOW_THREADS;
    chosen(&r);
    Py_END_ALLOW_THREADS;
    if (r.error != NULL) {
        PyErr_SetString(r.error, r.problem);
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(r.sum);
}
