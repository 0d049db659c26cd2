/* preload: an allocator in the place of the C library's malloc, by LD_PRELOAD, for the whole of this process. */
#ifndef HKBENCH_PRELOAD_H
#define HKBENCH_PRELOAD_H

#include "allocators.h"

/* Starts the program again with the allocator's library preloaded (`library`, if not NULL, in place of the usual file;
 * for the system's malloc without any), and opens it there. Ends the process with EXIT_USAGE and a clear line when the
 * library is not here. Call it before anything else has been done. */
void preload_open(size_t index, const char *library, char **argv, allocator *opened);

/* What LD_PRELOAD is set to here; empty for the system's malloc. */
const char *preloaded_library(void);

#endif
