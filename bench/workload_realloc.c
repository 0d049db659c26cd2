/* workload_realloc: growing vectors. A random one of N is pushed to; when full it grows, by half or to twice its size.
 *
 * A vector ends at a length chosen beforehand, evenly by order of magnitude (many short, few long); then a sample of
 * its elements is compared with what was pushed, and it is freed. Each element is its index plus the vector's `tag`. */
#include "support.h"
#include "workloads.h"

enum { PUSH_ELEMENTS = 4, FIRST_CAPACITY = 2, SAMPLE_STRIDE = 64, WARM_UP_PUSHES = 200000 };

typedef struct vector {
    uint64_t *elements;
    uint64_t length;
    uint64_t capacity;
    uint64_t final_length;
    uint64_t tag;
} vector;

static uint64_t pick_final_length(const run_options *options, uint32_t random) {
    uint64_t low = options->size_min_bytes / sizeof(uint64_t);
    uint64_t high = options->size_max_bytes / sizeof(uint64_t);
    unsigned doublings = 0;
    while (low << (doublings + 1) <= high)
        doublings++;
    uint64_t length = low << (random >> 8) % (doublings + 1);
    length += length * (random & 255) / 256;
    return length > high ? high : length;
}

static void begin(vector *v, const run_options *options, uint32_t random) {
    *v = (vector){.final_length = pick_final_length(options, random), .tag = (uint64_t)random << 32};
}

static void grow(const allocator *a, vector *v) {
    uint64_t capacity = v->capacity + ((v->tag >> 32) % 2 == 0 ? v->capacity : (v->capacity + 1) / 2);
    if (capacity < FIRST_CAPACITY)
        capacity = FIRST_CAPACITY;
    uint64_t *elements = a->reallocate(v->elements, capacity * sizeof(uint64_t));
    if (elements == NULL)
        die(EXIT_FAILED, "%s gave no block of %zu bytes", a->name, (size_t)(capacity * sizeof(uint64_t)));
    v->elements = elements;
    v->capacity = capacity;
}

static void check_and_release(const allocator *a, vector *v) {
    for (uint64_t i = 0; i < v->length; i += SAMPLE_STRIDE)
        if (v->elements[i] != v->tag + i)
            die(EXIT_FAILED, "%s lost the contents of a vector: element %u of %u", a->name, (unsigned)i,
                (unsigned)v->length);
    a->release(v->elements);
}

static uint32_t push(const allocator *a, const run_options *options, vector *vectors, uint64_t pushes,
                     uint32_t random) {
    const uint32_t count = (uint32_t)options->blocks;
    for (uint64_t i = 0; i < pushes; i++) {
        random = xorshift32(random);
        vector *v = &vectors[random % count];
        for (size_t k = 0; k < PUSH_ELEMENTS; k++) {
            if (v->length == v->capacity)
                grow(a, v);
            v->elements[v->length] = v->tag + v->length;
            v->length++;
        }
        if (v->length >= v->final_length) {
            check_and_release(a, v);
            begin(v, options, random);
        }
    }
    return random;
}

void run_realloc(const allocator *allocator, const run_options *options, run_result *result) {
    if (options->size_min_bytes < sizeof(uint64_t))
        die(EXIT_USAGE, "--size-min is %u; for realloc it must be at least 8", (unsigned)options->size_min_bytes);
    size_t bytes = options->blocks * sizeof(vector);
    vector *vectors = map_memory(bytes);
    uint32_t random = (uint32_t)options->seed;
    for (uint64_t i = 0; i < options->blocks; i++) {
        random = xorshift32(random);
        begin(&vectors[i], options, random);
    }
    random = push(allocator, options, vectors, WARM_UP_PUSHES, random);
    double start = seconds_now();
    push(allocator, options, vectors, options->operations, random);
    result->seconds = seconds_now() - start;
    result->operations = (double)options->operations;
    for (uint64_t i = 0; i < options->blocks; i++)
        check_and_release(allocator, &vectors[i]);
    unmap_memory(vectors, bytes);
}
