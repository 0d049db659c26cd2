/* hakmem_python: the allocator of the Python package hakmem, for extension modules in C, C++, Cython.
 *
 *   #include <hakmem_python.h>
 *
 *   PyMODINIT_FUNC PyInit_example(void) {
 *       if (hakmem_import() != 0)
 *           return NULL;
 *       ...
 *   }
 *
 *   void *block = hakmem_api->arena_alloc(arena, 1000, 0);     in an arena of Python's: a hakmem.Arena
 *   void *other = hakmem_api->hk_malloc(1000);                 a function of hakmem.h, from the package's allocator
 *
 * The extension is not linked with anything: it finds the package when it is imported, and all extensions that do so have
 * one allocator with it. (libhakmem.a, which the package has as well, is a second allocator with a state of its own:
 * neither frees what the other has given out.)
 *
 * hakmem_api is one variable of the extension, in whichever of its files this header is included. With
 * HAKMEM_PYTHON_SHARED defined before, hk_malloc(1000) means hakmem_api->hk_malloc(1000), and so for all functions of
 * hakmem.h that are in the table.
 *
 * Versions. The table only grows, at its end; each growth is a new minor version, anything else a new major one. An
 * extension works with the major version it was built for, from its minor version on, and hakmem_import() sees to that.
 */
#ifndef HAKMEM_PYTHON_H
#define HAKMEM_PYTHON_H

#include <Python.h>

#include <hakmem.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAKMEM_PYTHON_ABI_MAJOR 1
#define HAKMEM_PYTHON_ABI_MINOR 0
#define HAKMEM_PYTHON_CAPSULE "hakmem._C_API"

typedef struct hakmem_python_api {
    size_t struct_size;
    unsigned abi_major;
    unsigned abi_minor;

    /* ---- Arenas of Python's: hakmem.Arena ----
     *
     * All of these need the GIL. A function that fails returns NULL or -1 with an exception set: TypeError for an object
     * that is no Arena, ValueError for a closed one or a bad alignment, MemoryError that tells arena, limit and size, and
     * hakmem.MisuseError for misuse, if the policy is "raise". While they wait for another thread, or zero a large block,
     * they let go of the GIL.
     *
     * Blocks are counted: as long as there is one, close(), reset() and rollback() of the arena raise BufferError. Nothing
     * else keeps the arena alive: who has a block in it holds a reference to the Arena, and lets go of it after the last
     * block. Whoever holds it may free a block, in any thread. */

    /* `alignment` is a power of two up to 256 MiB, or 0 for that of the arena. A size of 0 gives a block of its own. */
    void *(*arena_alloc)(PyObject *arena, size_t size, size_t alignment);
    /* Zeroed, without touching pages that are zero already. */
    void *(*arena_calloc)(PyObject *arena, size_t count, size_t size, size_t alignment);
    /* With the alignment that the block was allocated with. Without a block it allocates. If it fails, the block is as it
     * was. The result is never NULL but for failure; a size of 0 gives a block of its own. */
    void *(*arena_realloc)(PyObject *arena, void *block, size_t size, size_t alignment);
    /* 0, also for NULL and for misuse that the policy lets pass. -1: nothing was freed. An overwritten block of a hardened
     * arena goes with its arena; it counts no more. */
    int (*arena_free)(PyObject *arena, void *block);
    /* The same for destructors: it keeps an exception that is set, and what is wrong goes to sys.unraisablehook. */
    void (*arena_free_unraisable)(PyObject *arena, void *block);

    /* The handle of an open arena, to compare it with that of hk_arena_of, and to ask hk_arena_owns and hk_arena_name. It
     * ends when the arena is closed. All else that takes a handle is for those who have entered the arena. */
    hk_arena *(*arena_from_object)(PyObject *arena);
    /* For many calls in a row, or without the GIL: the calling thread has the arena for itself until it leaves it, and may
     * use all of hakmem.h on its handle, but no function that ends its blocks (reset, retire, destroy, checkpoint,
     * rollback). It may let go of the GIL meanwhile. Other threads that want the arena wait; so an enterer waits for
     * nobody that may want it. Misuse is then a line on standard error and a status, not an exception. A thread may enter
     * more than once. */
    hk_arena *(*arena_enter)(PyObject *arena);
    /* With the GIL, as often as entered. `more_blocks` is how many blocks more than before live now that the extension
     * has; negative, if there are fewer. -1 and ValueError if there are not so many: the arena is left, uncounted. */
    int (*arena_leave)(PyObject *arena, Py_ssize_t more_blocks);

    /* A new hakmem.Buffer of that many zeros in the arena. */
    PyObject *(*buffer_new)(PyObject *arena, size_t size);
    /* Where the bytes of a Buffer are, and how many (`size` may be NULL). To use them while Python code may run, hold a
     * Py_buffer of it: nothing can end it then. */
    void *(*buffer_bytes)(PyObject *buffer, size_t *size);

    /* ---- Functions of hakmem.h, with or without the GIL ----
     *
     * For the process heap, and for arenas that the extension makes itself. Misuse is a line on standard error and a
     * status, or what hakmem.set_error_policy("abort") says. */

    const char *(*hk_version)(void);
    const char *(*hk_status_name)(hk_status status);
    const char *(*hk_status_message)(hk_status status);
    hk_status (*hk_last_status)(void);
    size_t (*hk_good_size)(size_t size);

    void *(*hk_malloc)(size_t size);
    void *(*hk_calloc)(size_t count, size_t size);
    void *(*hk_realloc)(void *pointer, size_t size);
    void *(*hk_aligned_alloc)(size_t alignment, size_t size);
    void (*hk_free)(void *pointer);
    void (*hk_free_sized)(void *pointer, size_t size);
    size_t (*hk_usable_size)(const void *pointer);

    hk_status (*hk_arena_create)(const hk_arena_config *config, hk_arena **arena);
    hk_status (*hk_arena_destroy)(hk_arena *arena);
    hk_status (*hk_arena_reset)(hk_arena *arena);
    hk_status (*hk_arena_retire)(hk_arena *arena);
    hk_status (*hk_arena_trim)(hk_arena *arena);
    void (*hk_purge)(void);

    void *(*hk_arena_alloc)(hk_arena *arena, size_t size);
    void *(*hk_arena_calloc)(hk_arena *arena, size_t count, size_t size);
    void *(*hk_arena_realloc)(hk_arena *arena, void *pointer, size_t size);
    void *(*hk_arena_aligned_alloc)(hk_arena *arena, size_t alignment, size_t size);
    hk_status (*hk_arena_free)(hk_arena *arena, void *pointer);
    hk_status (*hk_arena_free_sized)(hk_arena *arena, void *pointer, size_t size);
    void *(*hk_arena_realloc_sized)(hk_arena *arena, void *pointer, size_t old_size, size_t new_size);

    hk_arena *(*hk_arena_default)(void);
    hk_arena *(*hk_arena_of)(const void *pointer);
    bool (*hk_arena_owns)(const hk_arena *arena, const void *pointer);
    hk_status (*hk_arena_set_limit)(hk_arena *arena, size_t limit_bytes);
    size_t (*hk_arena_limit)(const hk_arena *arena);
    const char *(*hk_arena_name)(const hk_arena *arena);
    hk_status (*hk_arena_statistics)(hk_arena *arena, hk_statistics *statistics);
    hk_status (*hk_classify)(const void *pointer, hk_pointer_info *info);
    /* Version 1.0 ends here. */
} hakmem_python_api;

/* One for all files of the extension, and none of other extensions'. NULL until hakmem_import(). */
__attribute__((weak, visibility("hidden"))) const hakmem_python_api *hakmem_api;

/* Each minor version has made the table larger. */
static inline int hakmem_python_fits(const hakmem_python_api *api) {
    return api->abi_major == HAKMEM_PYTHON_ABI_MAJOR && api->struct_size >= sizeof(hakmem_python_api);
}

/* Fills in hakmem_api, where the module is initialized. 0, or -1 with ImportError set: there is no package hakmem, or none
 * with this version of the table. */
static inline int hakmem_import(void) {
    const hakmem_python_api *api = (const hakmem_python_api *)PyCapsule_Import(HAKMEM_PYTHON_CAPSULE, 0);
    if (api == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Format(PyExc_ImportError, "built for version %d.%d of hakmem's C API; the package hakmem has none",
                         HAKMEM_PYTHON_ABI_MAJOR, HAKMEM_PYTHON_ABI_MINOR);
        return -1;
    }
    if (!hakmem_python_fits(api)) {
        PyErr_Format(PyExc_ImportError,
                     "built for version %d.%d of hakmem's C API (%zu bytes); the package hakmem has %u.%u (%zu bytes): "
                     "install a package that fits, or build this extension anew",
                     HAKMEM_PYTHON_ABI_MAJOR, HAKMEM_PYTHON_ABI_MINOR, sizeof(hakmem_python_api), api->abi_major,
                     api->abi_minor, api->struct_size);
        return -1;
    }
    hakmem_api = api;
    return 0;
}

#ifdef __cplusplus
}
#endif

#ifdef HAKMEM_PYTHON_SHARED
#define hk_version (hakmem_api->hk_version)
#define hk_status_name (hakmem_api->hk_status_name)
#define hk_status_message (hakmem_api->hk_status_message)
#define hk_last_status (hakmem_api->hk_last_status)
#define hk_good_size (hakmem_api->hk_good_size)
#define hk_malloc (hakmem_api->hk_malloc)
#define hk_calloc (hakmem_api->hk_calloc)
#define hk_realloc (hakmem_api->hk_realloc)
#define hk_aligned_alloc (hakmem_api->hk_aligned_alloc)
#define hk_free (hakmem_api->hk_free)
#define hk_free_sized (hakmem_api->hk_free_sized)
#define hk_usable_size (hakmem_api->hk_usable_size)
#define hk_arena_create (hakmem_api->hk_arena_create)
#define hk_arena_destroy (hakmem_api->hk_arena_destroy)
#define hk_arena_reset (hakmem_api->hk_arena_reset)
#define hk_arena_retire (hakmem_api->hk_arena_retire)
#define hk_arena_trim (hakmem_api->hk_arena_trim)
#define hk_purge (hakmem_api->hk_purge)
#define hk_arena_alloc (hakmem_api->hk_arena_alloc)
#define hk_arena_calloc (hakmem_api->hk_arena_calloc)
#define hk_arena_realloc (hakmem_api->hk_arena_realloc)
#define hk_arena_aligned_alloc (hakmem_api->hk_arena_aligned_alloc)
#define hk_arena_free (hakmem_api->hk_arena_free)
#define hk_arena_free_sized (hakmem_api->hk_arena_free_sized)
#define hk_arena_realloc_sized (hakmem_api->hk_arena_realloc_sized)
#define hk_arena_default (hakmem_api->hk_arena_default)
#define hk_arena_of (hakmem_api->hk_arena_of)
#define hk_arena_owns (hakmem_api->hk_arena_owns)
#define hk_arena_set_limit (hakmem_api->hk_arena_set_limit)
#define hk_arena_limit (hakmem_api->hk_arena_limit)
#define hk_arena_name (hakmem_api->hk_arena_name)
#define hk_arena_statistics (hakmem_api->hk_arena_statistics)
#define hk_classify (hakmem_api->hk_classify)
#endif

#endif
