/* workload_burst: a burst of blocks of one size, freed but for a random one of each 500, and the allocator's own call
 * that gives memory back; then the same burst again, beside the survivors. Every allocator's process heap. */
#include "support.h"
#include "workloads.h"

#include <string.h>

enum { FREED_FOR_A_SURVIVOR = 500, PAGE_BYTES = 4096 };

/* The second burst has slots of its own. */
typedef struct burst {
    const allocator *allocator;
    unsigned char **slots;
    uint64_t count;
    size_t size;
    uint32_t random;
} burst;

/* Returns the seconds for allocating all blocks and freeing all but the survivors. */
static double make_burst(burst *b) {
    void *(*const allocate)(size_t) = b->allocator->allocate;
    void (*const release)(void *) = b->allocator->release;
    double start = seconds_now();
    for (uint64_t i = 0; i < b->count; i++) {
        unsigned char *block = allocate(b->size);
        if (block == NULL)
            die(EXIT_FAILED, "%s gave no block of %zu bytes", b->allocator->name, b->size);
        *block = (unsigned char)i;
        b->slots[i] = block;
    }
    for (uint64_t first = 0; first < b->count; first += FREED_FOR_A_SURVIVOR) {
        b->random = xorshift32(b->random);
        const uint64_t survivor = first + b->random % FREED_FOR_A_SURVIVOR;
        for (uint64_t i = first; i < first + FREED_FOR_A_SURVIVOR && i < b->count; i++) {
            if (i == survivor)
                continue;
            release(b->slots[i]);
            b->slots[i] = NULL;
        }
    }
    return seconds_now() - start;
}

/* How many bytes the pages have on which survivors lie. Blocks lie in no order, so each page is marked in a table. */
static double survivors_pages_bytes(const burst *b) {
    uintptr_t lowest = UINTPTR_MAX;
    uintptr_t highest = 0;
    for (uint64_t i = 0; i < b->count; i++) {
        const uintptr_t address = (uintptr_t)b->slots[i];
        if (address == 0)
            continue;
        lowest = address < lowest ? address : lowest;
        highest = address + b->size > highest ? address + b->size : highest;
    }
    const size_t first_page = lowest / PAGE_BYTES;
    const size_t table_bytes = highest / PAGE_BYTES - first_page + 1;
    unsigned char *marks = map_memory(table_bytes);
    double pages = 0;
    for (uint64_t i = 0; i < b->count; i++) {
        const uintptr_t address = (uintptr_t)b->slots[i];
        for (uintptr_t at = address; address != 0 && at / PAGE_BYTES <= (address + b->size - 1) / PAGE_BYTES;
             at += PAGE_BYTES - at % PAGE_BYTES) {
            pages += !marks[at / PAGE_BYTES - first_page];
            marks[at / PAGE_BYTES - first_page] = 1;
        }
    }
    unmap_memory(marks, table_bytes);
    return pages * PAGE_BYTES;
}

static void free_survivors(const burst *b) {
    for (uint64_t i = 0; i < b->count; i++)
        if (b->slots[i] != NULL)
            b->allocator->release(b->slots[i]);
}

void run_burst(const allocator *allocator, const run_options *options, run_result *result) {
    const uint64_t count = options->blocks;
    unsigned char **slots = map_memory(2 * count * sizeof *slots);
    memset(slots, 1, 2 * count * sizeof *slots); /* their pages do not count */
    burst first = {allocator, slots, count, options->size_min_bytes, (uint32_t)options->seed};
    const double before = (double)resident_bytes();
    result->seconds = make_burst(&first);
    result->operations = (double)count;
    const double freed = (double)resident_bytes() - before;
    double start = seconds_now();
    allocator->give_back();
    const double purge_seconds = seconds_now() - start;
    const double purged = (double)resident_bytes() - before;
    burst next = {allocator, slots + count, count, options->size_min_bytes, first.random};
    const double next_seconds = make_burst(&next);
    const double pages = survivors_pages_bytes(&first);
    add_figure(result, "survivors_pages_bytes", pages);
    add_figure(result, "resident_freed_bytes", freed);
    add_figure(result, "resident_purged_bytes", purged);
    add_figure(result, "purged_to_survivors_pages", purged / pages);
    add_figure(result, "first_burst_seconds", result->seconds);
    add_figure(result, "purge_seconds", purge_seconds);
    add_figure(result, "next_burst_seconds", next_seconds);
    free_survivors(&first);
    free_survivors(&next);
    unmap_memory(slots, 2 * count * sizeof *slots);
}
