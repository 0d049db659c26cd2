/* native: the extension module hakmem._native, as far as it is not CFFI's.
 *
 * Its objects:
 *   arena   ArenaBase, from which hakmem.Arena is derived: a handle, and the list of its buffers that have a block
 *   buffer  Buffer: one block. It holds its arena, so an arena ends by close() or when nothing refers to it any more
 *
 * Under the GIL: every field of an object, but those that say otherwise. Under an arena's own lock as well: everything
 * that enters the arena. hakmem then sees one thread at a time, and a block that one thread has freed can be had by the
 * next, whichever that is. Nobody waits for the lock with the GIL in hand, so its holder may let go of the GIL and take
 * it again. It is recursive, since collecting garbage may free buffers wherever Python runs. Who keeps the GIL from its
 * way in to its way out needs the lock only if somebody is inside: depth, which is changed under the GIL, tells.
 * NumPy's arrays enter like that.
 *
 * Invariants of an open arena:
 *   exports = sum of the exports of its buffers
 *   a buffer is in the arena's list if and only if it has a block; serials fall along the list
 *   a buffer with exports has a block, and keeps it */
#ifndef HAKMEM_NATIVE_H
#define HAKMEM_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <hakmem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

typedef struct native_buffer native_buffer;

enum {
    NATIVE_CACHE_BLOCKS = 16,
    NATIVE_CACHE_BYTES = 32 << 20,
    NATIVE_HUGE_BYTES = 4 << 20, /* arrays from this size on get huge pages, as NumPy's own do */
};

typedef struct native_cached_block {
    void *start;
    size_t size_bytes;
} native_cached_block;

typedef struct native_array_cache {
    unsigned count;
    size_t bytes;
    native_cached_block blocks[NATIVE_CACHE_BLOCKS];
} native_array_cache;

typedef struct native_arena {
    PyObject ob_base;
    hk_arena *handle; /* NULL: closed, or never opened */
    native_buffer *newest;
    uint64_t serial;      /* of the newest buffer so far */
    uint64_t base_serial; /* of the newest buffer at the last checkpoint */
    size_t exports;
    size_t arrays;           /* blocks of NumPy's, without those in the cache; all three by who is inside */
    size_t extension_blocks; /* those of other extension modules, by capsule.c */
    native_array_cache cache;
    size_t alignment;
    uint32_t flags;
    bool has_base; /* there was a checkpoint */
    bool has_lock;
    bool has_advised;     /* blocks of it may have been advised to be of huge pages */
    unsigned depth;       /* how often its holder has the lock */
    _Atomic pid_t holder; /* the process in which the lock is held by a thread that may be without the GIL; 0: none */
    pthread_mutex_t lock;
} native_arena;

struct native_buffer {
    PyObject ob_base;
    native_arena *arena;
    unsigned char *bytes; /* NULL: it has no block any more */
    size_t size_bytes;
    size_t exports; /* views of it that somebody holds */
    native_buffer *newer;
    native_buffer *older;
    uint64_t serial;
    const char *end; /* why it has no block: "closed" and the like */
    bool is_readonly;
};

/* ---- lock.c ---- */

/* False, with an error set, if the lock cannot be had: the process was forked while another thread had it. */
bool native_lock_slowly(native_arena *arena);

static inline bool native_lock(native_arena *arena) {
    if (pthread_mutex_trylock(&arena->lock) != 0 && !native_lock_slowly(arena))
        return false;
    arena->depth++;
    return true;
}

/* The same where nothing can be raised: what is wrong goes to sys.unraisablehook. */
bool native_lock_unraisable(native_arena *arena, PyObject *context);

/* Before the GIL is let go of under the lock. */
void native_lock_stays(native_arena *arena);

/* The state by which a thread was last found to hold the GIL. */
typedef struct native_gil_holder {
    PyThreadState *state;
    uint64_t id;
} native_gil_holder;
extern _Thread_local native_gil_holder native_gil_seen;

bool native_has_gil_slowly(PyThreadState *current);

/* Whether the calling thread holds the GIL. What Python tells of that takes longer than an allocation, so it is asked
 * once by each thread: a thread's state is the current one while it holds the GIL, and no two states have one id. */
static inline bool native_has_gil(void) {
    PyThreadState *current = _PyThreadState_UncheckedGet();
    bool is_seen = current != NULL && current == native_gil_seen.state && current->id == native_gil_seen.id;
    return is_seen || native_has_gil_slowly(current);
}

/* NumPy holds the GIL today whenever it comes to its handlers, and nowhere says so. Where it does not, this takes it. */
typedef struct native_gil {
    bool has_taken;
    PyGILState_STATE state;
} native_gil;

static inline native_gil native_gil_take(void) {
    native_gil gil = {.has_taken = !native_has_gil()};
    if (gil.has_taken)
        gil.state = PyGILState_Ensure();
    return gil;
}

static inline void native_gil_give(native_gil gil) {
    if (gil.has_taken)
        PyGILState_Release(gil.state);
}

/* Up to this size blocks come from runs of their size classes. */
enum { NATIVE_SMALL_BYTES = 16 << 10 };

/* From this size on, zeroing a block or giving its pages back takes longer than letting go of the GIL. */
enum { NATIVE_LARGE_BYTES = 256 << 10 };

static inline void native_unlock(native_arena *arena) {
    if (--arena->depth == 0)
        atomic_store_explicit(&arena->holder, 0, memory_order_relaxed);
    (void)pthread_mutex_unlock(&arena->lock);
}

/* The lock of an open arena, whose array cache is emptied; false, with an error set, if it is closed. */
bool native_enter(native_arena *arena);

/* ---- misuse.c: what the library reports is kept by the call that caused it, and raised behind it ---- */

typedef struct native_misuse {
    hk_status status; /* HK_OK: there was none */
    const char *function;
    const void *pointer;
    size_t block_size;
    char arena_name[HK_ARENA_NAME_MAX + 1];
} native_misuse;

/* Where this thread's next report goes. NULL: it is CPython that calls the library; then the report waits for the main
 * thread, and is surfaced there. */
extern _Thread_local native_misuse *native_misuse_here;

/* Hands misuse to hakmem._errors, which raises, warns or is silent. -1: an exception is set. */
int native_surface(const native_misuse *misuse);
/* The same where nothing can be raised; keeps an exception that is set already. */
void native_surface_unraisable(const native_misuse *misuse, PyObject *context);
PyObject *native_catch_misuse(PyObject *module, PyObject *catches);
/* The same as catch_misuse(True), before there is an interpreter. */
void native_misuse_start(void);
/* When there is no interpreter any more: what still waits is written to standard error. */
void native_misuse_finish(void);

/* ---- arena.c, arena_ends.c ---- */

extern PyTypeObject *native_arena_type;
PyTypeObject *native_make_arena_type(void);
/* Or a TypeError is set. */
bool native_is_arena(PyObject *object);

/* In an arena that is entered: a block of this alignment and at least this size. NULL: hk_last_status() tells why. */
void *native_allocate(const native_arena *arena, size_t size, size_t alignment, bool zeroed);
/* The same by a caller with the GIL, who is without it while a large block is zeroed. */
void *native_allocate_any(native_arena *arena, size_t size, size_t alignment, bool zeroed);
/* The same block or another one, with the bytes that fit; a size of 0 is a block, too. NULL: hk_last_status() tells
 * why, and the block is as it was. */
void *native_reallocate(const native_arena *arena, void *block, size_t new_size, size_t alignment);
/* Sets the MemoryError, or what else the status is. Always NULL. */
PyObject *native_raise_allocation(native_arena *arena, hk_status status, size_t size);

/* A new Buffer of zeros. */
PyObject *native_arena_buffer(native_arena *arena, size_t size);

PyObject *native_arena_close(PyObject *self, PyObject *unused);
PyObject *native_arena_reset(PyObject *self, PyObject *unused);
PyObject *native_arena_checkpoint(PyObject *self, PyObject *unused);
PyObject *native_arena_rollback(PyObject *self, PyObject *unused);
void native_arena_dealloc(PyObject *self);

/* ---- buffer.c ---- */

extern PyTypeObject *native_buffer_type;
PyTypeObject *native_make_buffer_type(void);

/* A buffer without a block; NULL with an error set. */
native_buffer *native_buffer_new(native_arena *arena);
/* Gives it its block, and puts it into the arena's list. */
void native_buffer_fill(native_buffer *buffer, void *bytes, size_t size_bytes);
/* Takes it out of the list; the block is the caller's to free, or gone. */
void native_buffer_drop(native_buffer *buffer, const char *end);
/* The bytes are there, or an error is set. */
bool native_buffer_is_open(const native_buffer *buffer);
void native_buffer_export(native_buffer *buffer);
void native_buffer_release(native_buffer *buffer);

/* ---- dlpack.c ---- */

PyObject *native_buffer_dlpack(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names);
PyObject *native_buffer_dlpack_device(PyObject *self, PyObject *unused);

/* ---- capsule.c ---- */

/* hakmem._C_API, as hakmem_python.h has it. */
PyObject *native_make_capsule(void);

/* ---- array_cache.c: by who is inside of the arena ---- */

void native_cache_empty_slowly(native_arena *arena);

static inline void native_cache_empty(native_arena *arena) {
    if (arena->cache.count != 0)
        native_cache_empty_slowly(arena);
}

/* A block of the size that such a request gets, dirty; NULL if there is none. */
void *native_cache_take(native_arena *arena, size_t size, size_t alignment);
/* Keeps the block of an array that ends. False if it is to be freed. */
bool native_cache_put(native_arena *arena, void *block);

/* Asks for huge pages behind the whole pages of a block. */
void native_advise_huge_pages(native_arena *arena, void *block, size_t size);
/* Of a block with `size` usable bytes, before it is freed or resized: huge pages are not for what comes there next. */
void native_unadvise_huge_pages(const native_arena *arena, void *block, size_t size);

/* ---- numpy.c ---- */

PyObject *native_numpy_handler(PyObject *module, PyObject *arguments);
PyObject *native_numpy_set_handler(PyObject *module, PyObject *handler);

/* ---- bench.c ---- */

PyObject *native_bench(PyObject *module, PyObject *arguments);

#endif
