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
    void (*give_back)(void); /* its own call that returns what it can to the operating system; never NULL */
    char version[64];
    char path[512]; /* the library it was loaded from */
    void *handle;   /* of that library */
    int is_preloaded;
} allocator;

/* The rows of the table, in its order. */
enum {
    ALLOCATOR_HAKMEM,
    ALLOCATOR_SYSTEM,
    ALLOCATOR_MIMALLOC,
    ALLOCATOR_JEMALLOC,
    ALLOCATOR_TCMALLOC,
    ALLOCATOR_HARDENED,
    ALLOCATOR_SCUDO,
    ALLOCATORS
};

const char *allocator_name(size_t index);
/* What the allocator is, for people. */
const char *allocator_description(size_t index);
/* Whether `compare` takes it without being told to, and holds hakmem against it. The others check their blocks, and are
 * compared with each other. */
int allocator_is_default(size_t index);
/* The index of a name; ends the process with a message when there is none. */
size_t allocator_index(const char *name);

/* Loads an allocator; `library` (may be NULL) takes the place of the usual file. Ends the process with EXIT_USAGE and a
 * clear line if it is not there. When a library needs more static TLS than the C library keeps for dlopen, the process
 * is started again, once, with a larger reserve: call it before anything else has been done. */
void allocator_open(size_t index, const char *library, char **argv, allocator *opened);

/* What LD_PRELOAD may take for it, in this order, ended by NULL; '@' stands for the program's folder. Empty for the
 * system's malloc, NULL for what cannot be preloaded. */
const char *const *allocator_preload_libraries(size_t index);
/* What would bring its library. */
const char *allocator_package(size_t index);
/* Opens the one that has been preloaded: the process's own malloc. `path` tells whose that really is. */
void allocator_open_preloaded(size_t index, allocator *opened);

/* Stores a function of the allocator's library in the pointer at `function`, NULL if it has none of this name. Returns
 * whether it has. */
int allocator_find(const allocator *opened, const char *name, void *function);
/* The same for the handle of any library. */
int find_function(void *handle, const char *name, void *function);

/* The file beside `opened` with this name (as libhakmem_lua.so is beside libhakmem.so), loaded; NULL if there is
 * none. */
void *allocator_open_companion(const allocator *opened, const char *file_name);

#endif
