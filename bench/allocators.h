/* allocators: the one table of allocators, and how each is loaded. At most one allocator is open in a process. */
#ifndef HKBENCH_ALLOCATORS_H
#define HKBENCH_ALLOCATORS_H

#include <stddef.h>

typedef struct allocator {
    const char *name;
    void *(*allocate)(size_t size);
    void *(*allocate_zeroed)(size_t count, size_t size);
    void *(*reallocate)(void *block, size_t size);
    void (*release)(void *block);
    char version[64];
    char path[512]; /* the library it was loaded from */
} allocator;

/* The rows of the table, in its order. */
enum { ALLOCATOR_HAKMEM, ALLOCATOR_SYSTEM, ALLOCATOR_MIMALLOC, ALLOCATOR_JEMALLOC, ALLOCATOR_TCMALLOC, ALLOCATORS };

const char *allocator_name(size_t index);
/* What the allocator is, for people. */
const char *allocator_description(size_t index);
/* The index of a name; ends the process with a message when there is none. */
size_t allocator_index(const char *name);

/* Loads an allocator; `library` (may be NULL) takes the place of the usual file. Ends the process with EXIT_USAGE and a
 * clear line if it is not there. When a library needs more static TLS than the C library keeps for dlopen, the process
 * is started again, once, with a larger reserve: call it before anything else has been done. */
void allocator_open(size_t index, const char *library, char **argv, allocator *opened);

/* The file beside `opened` with this name (as libhakmem_lua.so is beside libhakmem.so), loaded; NULL if there is none. */
void *allocator_open_companion(const allocator *opened, const char *file_name);

#endif
