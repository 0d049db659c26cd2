/* workload_start: a process that starts and allocates once. What counts is its peak resident memory. */
#include "support.h"
#include "workloads.h"

void run_start(const allocator *allocator, const run_options *options, run_result *result) {
    double start = seconds_now();
    unsigned char *block = allocator->allocate(options->size_min_bytes);
    if (block == NULL)
        die(EXIT_FAILED, "%s gave no block of %u bytes", allocator->name, (unsigned)options->size_min_bytes);
    *(volatile unsigned char *)block = 1;
    result->seconds = seconds_now() - start;
    result->operations = 1;
    allocator->release(block);
}
