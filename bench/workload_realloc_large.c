/* workload_realloc_large: buffers of 64 KiB to 64 MiB that grow and shrink. Each heads for a size chosen beforehand,
 * evenly by order of magnitude: upwards by half at a time, downwards to half, one reallocation each, and then for
 * another one.
 *
 * Word i of a buffer is its `tag` plus i. All words that a step adds are written; before that a sample of those that it
 * kept is compared. */
#include "support.h"
#include "workloads.h"

enum { SAMPLED_WORDS = 64 };

typedef struct buffer {
    uint64_t *words;
    uint64_t length; /* in words, as is the next one */
    uint64_t aim;
    uint64_t tag;
} buffer;

static uint64_t pick_length(const run_options *options, uint32_t random) {
    uint64_t low = options->size_min_bytes / sizeof(uint64_t);
    const uint64_t high = options->size_max_bytes / sizeof(uint64_t);
    unsigned doublings = 0;
    while (low << (doublings + 1) <= high)
        doublings++;
    low <<= (random >> 8) % (doublings + 1);
    const uint64_t length = low + low * (random & 255) / 256;
    return length > high ? high : length;
}

static uint64_t next_length(const buffer *b) {
    if (b->aim > b->length) {
        const uint64_t grown = b->length + b->length / 2;
        return grown < b->length + 1 || grown > b->aim ? b->aim : grown;
    }
    return b->length / 2 < b->aim ? b->aim : b->length / 2;
}

static void check(const allocator *a, const buffer *b, uint64_t length) {
    const uint64_t stride = length / SAMPLED_WORDS + 1;
    for (uint64_t i = 0; i < length; i += stride)
        if (b->words[i] != b->tag + i)
            die(EXIT_FAILED, "%s lost the contents of a buffer: word %llu of %llu", a->name, (unsigned long long)i,
                (unsigned long long)length);
}

static void resize(const allocator *a, buffer *b, uint64_t length) {
    uint64_t *words = a->reallocate(b->words, length * sizeof(uint64_t));
    if (words == NULL)
        die(EXIT_FAILED, "%s gave no block of %zu bytes", a->name, (size_t)(length * sizeof(uint64_t)));
    b->words = words;
    check(a, b, length < b->length ? length : b->length);
    for (uint64_t i = b->length; i < length; i++)
        words[i] = b->tag + i;
    b->length = length;
}

static uint32_t resize_all(const allocator *a, const run_options *options, buffer *buffers, uint64_t operations,
                           uint32_t random) {
    for (uint64_t i = 0; i < operations; i++) {
        buffer *b = &buffers[i % options->blocks];
        while (b->length == b->aim) {
            random = xorshift32(random);
            b->aim = pick_length(options, random);
        }
        resize(a, b, next_length(b));
    }
    return random;
}

void run_realloc_large(const allocator *allocator, const run_options *options, run_result *result) {
    if (options->size_min_bytes < sizeof(uint64_t) || options->size_max_bytes < 2 * options->size_min_bytes)
        die(EXIT_USAGE,
            "--size-min is %u and --size-max is %u; for realloc-large the first must be at least 8, the "
            "second at least twice the first",
            (unsigned)options->size_min_bytes, (unsigned)options->size_max_bytes);
    const size_t bytes = options->blocks * sizeof(buffer);
    buffer *buffers = map_memory(bytes);
    uint32_t random = (uint32_t)options->seed;
    for (uint64_t i = 0; i < options->blocks; i++) {
        random = xorshift32(random);
        buffers[i].tag = (uint64_t)random << 32;
        resize(allocator, &buffers[i], options->size_min_bytes / sizeof(uint64_t));
        buffers[i].aim = buffers[i].length;
    }
    const uint64_t warm_up_operations = 16 * options->blocks;
    random = resize_all(allocator, options, buffers, warm_up_operations, random);
    double start = seconds_now();
    resize_all(allocator, options, buffers, options->operations, random);
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
    for (uint64_t i = 0; i < options->blocks; i++)
        allocator->release(buffers[i].words);
    unmap_memory(buffers, bytes);
}
