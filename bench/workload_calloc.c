/* workload_calloc: N slots; a random one is freed if full, else filled with zeroed memory of a skewed size. Programs
 * that ask for zeroed memory use a part of it: the first bytes of a block, and the start of one page in four of a large
 * one. What is written to was looked at before: it has to be zero. */
#include "support.h"
#include "workloads.h"

#include <string.h>

enum { FIRST_BYTES = 64, TOUCHED_STRIDE_BYTES = 4 * 4096 };

static void touch(const allocator *a, unsigned char *block, size_t size, unsigned char value) {
    const size_t first = size < FIRST_BYTES ? size : FIRST_BYTES;
    unsigned char seen = block[first - 1];
    memset(block, value, first);
    for (size_t at = TOUCHED_STRIDE_BYTES; at < size; at += TOUCHED_STRIDE_BYTES) {
        seen |= block[at];
        block[at] = value;
    }
    if (seen != 0)
        die(EXIT_FAILED, "%s gave %zu bytes by calloc that are not zero", a->name, size);
}

static uint32_t replace_blocks(const allocator *a, const run_options *options, unsigned char **slots,
                               uint64_t operations, uint32_t random) {
    const uint32_t count = (uint32_t)options->blocks;
    for (uint64_t i = 0; i < operations; i++) {
        random = xorshift32(random);
        unsigned char **slot = &slots[random % count];
        if (*slot != NULL) {
            a->release(*slot);
            *slot = NULL;
            continue;
        }
        const size_t size = pick_skewed_size(options, &random);
        *slot = a->allocate_zeroed(1, size);
        if (*slot == NULL)
            die(EXIT_FAILED, "%s gave no block of %zu bytes", a->name, size);
        touch(a, *slot, size, (unsigned char)(random | 1));
    }
    return random;
}

void run_calloc(const allocator *allocator, const run_options *options, run_result *result) {
    const uint64_t count = options->blocks;
    unsigned char **slots = map_memory(count * sizeof *slots);
    const uint64_t warm_up_operations = 8 * count;
    uint32_t random = replace_blocks(allocator, options, slots, warm_up_operations, (uint32_t)options->seed);
    double start = seconds_now();
    replace_blocks(allocator, options, slots, options->operations, random);
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
    for (uint64_t i = 0; i < count; i++)
        if (slots[i] != NULL)
            allocator->release(slots[i]);
    unmap_memory(slots, count * sizeof *slots);
}
