/* workload_arenas: private heaps without an interpreter. `create`: the whole life of one with a single block in it;
 * `arenas-alive`: many at once. hakmem's are arenas of one thread at a time, mimalloc's its mi_heap_t; the others have
 * nothing that can be destroyed with all its blocks. */
#include "support.h"
#include "workloads.h"

#include <hakmem.h>
#include <string.h>

enum { WARM_UP_LIVES = 1000 };

/* Of hakmem and mimalloc: a heap is a pointer for both. */
typedef struct heap_functions {
    hk_status (*create_arena)(const hk_arena_config *config, hk_arena **arena);
    hk_status (*destroy_arena)(hk_arena *arena);
    void *(*new_heap)(void);
    void (*destroy_heap)(void *heap);
    void *(*allocate)(void *heap, size_t size);
} heap_functions;

static void choose_functions(const allocator *a, heap_functions *f) {
    *f = (heap_functions){0};
    int found = 0;
    if (strcmp(a->name, "hakmem") == 0)
        found = allocator_find(a, "hk_arena_create", &f->create_arena) &&
                allocator_find(a, "hk_arena_destroy", &f->destroy_arena) &&
                allocator_find(a, "hk_arena_alloc", &f->allocate);
    else if (strcmp(a->name, "mimalloc") == 0)
        found = allocator_find(a, "mi_heap_new", &f->new_heap) &&
                allocator_find(a, "mi_heap_destroy", &f->destroy_heap) &&
                allocator_find(a, "mi_heap_malloc", &f->allocate);
    if (!found)
        die(EXIT_UNABLE, "it has no private heaps that can be destroyed");
}

static inline void *create(const heap_functions *f, const hk_arena_config *config) {
    if (f->new_heap != NULL)
        return f->new_heap();
    hk_arena *arena = NULL;
    return f->create_arena(config, &arena) == HK_OK ? arena : NULL;
}

static inline void destroy(const heap_functions *f, void *heap) {
    if (f->destroy_heap != NULL)
        f->destroy_heap(heap);
    else if (f->destroy_arena(heap) != HK_OK)
        die(EXIT_FAILED, "hk_arena_destroy failed");
}

static hk_arena_config one_thread(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    return config;
}

static void live(const heap_functions *f, size_t size, uint64_t lives) {
    const hk_arena_config config = one_thread();
    for (uint64_t i = 0; i < lives; i++) {
        void *heap = create(f, &config);
        unsigned char *block = heap == NULL ? NULL : f->allocate(heap, size);
        if (block == NULL)
            die(EXIT_FAILED, "no private heap, or no block of %zu bytes in it", size);
        *block = (unsigned char)i;
        destroy(f, heap);
    }
}

void run_create(const allocator *allocator, const run_options *options, run_result *result) {
    heap_functions f;
    choose_functions(allocator, &f);
    live(&f, options->size_min_bytes, WARM_UP_LIVES);
    double start = seconds_now();
    live(&f, options->size_min_bytes, options->operations);
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
    add_figure(result, "one_life_seconds", result->seconds / result->operations);
}

typedef struct living {
    void *heap;
    uint64_t *block;
} living;

static void check_and_destroy(const heap_functions *f, const living *all, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (*all[i].block != i)
            die(EXIT_FAILED, "the block of heap %u was overwritten", (unsigned)i);
        destroy(f, all[i].heap);
    }
}

void run_arenas_alive(const allocator *allocator, const run_options *options, run_result *result) {
    const hk_arena_config config = one_thread();
    const uint64_t count = options->blocks;
    const size_t size = options->size_min_bytes < sizeof(uint64_t) ? sizeof(uint64_t) : options->size_min_bytes;
    heap_functions f;
    choose_functions(allocator, &f);
    living *all = map_memory(count * sizeof *all);
    memset(all, 1, count * sizeof *all);
    const size_t resident_before = resident_bytes();
    double start = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        all[i].heap = create(&f, &config);
        all[i].block = all[i].heap == NULL ? NULL : f.allocate(all[i].heap, size);
        if (all[i].block == NULL)
            die(EXIT_FAILED, "heap %u of %u could not be made", (unsigned)i + 1, (unsigned)count);
        *all[i].block = i;
    }
    result->seconds = seconds_now() - start;
    result->operations = (double)count;
    const double mappings = (double)count_mappings();
    add_figure(result, "alive", (double)count);
    add_figure(result, "mappings", mappings);
    add_figure(result, "mappings_to_allowed", mappings / (double)allowed_mappings());
    add_figure(result, "resident_each_bytes", ((double)resident_bytes() - (double)resident_before) / (double)count);
    add_figure(result, "create_each_seconds", result->seconds / (double)count);
    start = seconds_now();
    check_and_destroy(&f, all, count);
    add_figure(result, "destroy_each_seconds", (seconds_now() - start) / (double)count);
    unmap_memory(all, count * sizeof *all);
}
