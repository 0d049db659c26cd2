/* hakmem: a memory allocator for people who embed language runtimes.
 *
 * Every free is checked against books that the allocator keeps out of line: a pointer that it never gave out, one into
 * the middle of a block, one that was freed before and one that belongs to another arena are all told apart and
 * reported, with no byte in or before user memory involved.
 *
 * This file is the whole contract. In sections:
 *   1. Version and status codes      4. Process heap      7. What is this pointer?
 *   2. Misuse: handler and policy    5. Arenas
 *   3. Sizes                         6. Statistics, self-check, walk, map
 *
 * Rules that hold for every function:
 * - Units are bytes. Blocks are aligned to 16 bytes (8 for a size of 8 or less, or where the arena asked for 8).
 * - A function that returns a pointer returns NULL on failure and leaves the reason in hk_last_status().
 * - `errno` is never changed.
 * - "Misuse" is one of HK_ERR_BAD_ARENA, _FOREIGN_POINTER, _INTERIOR_POINTER, _DOUBLE_FREE, _WRONG_ARENA,
 *   _SIZE_MISMATCH and, in hardened arenas, _OVERFLOW and _WRITE_AFTER_FREE. It goes to the error handler or policy
 *   (section 2). If that returns, the call has had no effect; but an allocation that finds a write after free goes on.
 *   The other failures (no memory, a limit, a bad argument) are ordinary results and are not reported.
 * - Functions may be called from any thread at any time, except that an arena created with
 *   HK_ARENA_ONE_THREAD_AT_A_TIME must not be entered by two threads at once.
 *
 * What cannot be detected: a stale pointer whose address has been handed out again is that new block's pointer; a read
 * or write through a stale pointer; two threads that free the same block at the same moment, one of them its owner; a
 * stale arena handle whose slot has since been used by 8191 other arenas. Hardened arenas see some of the writes: see
 * HK_ARENA_HARDENED.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HK_API __attribute__((visibility("default")))
#define HK_ALLOCATES __attribute__((warn_unused_result))
#else
#define HK_API
#define HK_ALLOCATES
#endif

/* ---- 1. Version and status codes ---------------------------------------------------------------------------- */

#define HK_VERSION_MAJOR 0
#define HK_VERSION_MINOR 1
#define HK_VERSION_PATCH 0
#define HK_VERSION_STRING "0.1.0"

/* The version of the library that is running, as "major.minor.patch". Static storage. */
HK_API const char *hk_version(void);

/* Values are part of the ABI: they are never changed or reused. */
typedef enum hk_status {
    HK_OK = 0,
    HK_ERR_NO_MEMORY = 1,         /* the operating system refused memory */
    HK_ERR_LIMIT = 2,             /* a limit, of the arena or of one above, or its reserve does not allow it */
    HK_ERR_INVALID_ARGUMENT = 3,  /* size, alignment, flag or structure that no call can accept */
    HK_ERR_BAD_ARENA = 4,         /* null, destroyed or invented arena handle */
    HK_ERR_FOREIGN_POINTER = 5,   /* the address is not in memory that hakmem manages */
    HK_ERR_INTERIOR_POINTER = 6,  /* the address is inside a live block, or misaligned */
    HK_ERR_DOUBLE_FREE = 7,       /* the address is in memory that hakmem manages, and no live block is there */
    HK_ERR_WRONG_ARENA = 8,       /* the block is live, in another arena */
    HK_ERR_SIZE_MISMATCH = 9,     /* the block is live, of another size than was said */
    HK_ERR_BUSY = 10,             /* another thread is inside, or the arena has children */
    HK_ERR_UNSUPPORTED = 11,      /* this build or this system cannot do it */
    HK_ERR_CORRUPT = 12,          /* hk_arena_check found books that do not agree with each other */
    HK_ERR_OVERFLOW = 13,         /* bytes behind the block were overwritten (hardened arenas) */
    HK_ERR_WRITE_AFTER_FREE = 14, /* the block was written to after it was freed (hardened arenas) */
    HK_ERR_CALLBACK = 15          /* a function that the caller gave has failed (hakmem_lua.h) */
} hk_status;

/* The constant's name ("HK_ERR_LIMIT"), or "HK_ERR_?" for a value that is none. Static storage. */
HK_API const char *hk_status_name(hk_status status);
/* A sentence for people. Static storage. */
HK_API const char *hk_status_message(hk_status status);
/* Why this thread's last failing call failed; HK_OK if none has. Like errno, a call that succeeds leaves it alone. */
HK_API hk_status hk_last_status(void);

/* ---- 2. Misuse: handler and policy -------------------------------------------------------------------------- */

typedef struct hk_arena hk_arena; /* an opaque handle: compare it, pass it, never look behind it */

typedef struct hk_error_info {
    size_t struct_size;
    hk_status status;
    const char *function;   /* the public function that was called, e.g. "hk_free" */
    const void *pointer;    /* the pointer or handle that it was given */
    size_t block_size;      /* usable size of the block at or around pointer; 0 if there is none */
    size_t given_size;      /* HK_ERR_SIZE_MISMATCH: the size that the caller said; else 0 */
    const char *arena_name; /* the arena that the block lies in; NULL if there is none */
} hk_error_info;

/* Called on the misusing thread, without any lock held. `info` and what it points to live until the handler returns.
 * The handler may allocate and free, may not return (longjmp, abort), and replaces the policy. */
typedef void (*hk_error_handler)(const hk_error_info *info, void *user_data);

/* What happens to misuse when no handler is set. HAKMEM_ON_ERROR=abort|report|ignore sets the first value. */
typedef enum hk_error_policy {
    HK_ON_ERROR_ABORT = 0,  /* one line on standard error, then abort(). The default. */
    HK_ON_ERROR_REPORT = 1, /* one line on standard error; the call fails without effect */
    HK_ON_ERROR_IGNORE = 2  /* silence; the call fails without effect */
} hk_error_policy;

/* Sets the handler of the whole process; NULL takes it away. `user_data` is handed to each call of it. */
HK_API void hk_set_error_handler(hk_error_handler handler, void *user_data);
/* HK_ERR_INVALID_ARGUMENT for a value that is no policy. */
HK_API hk_status hk_set_error_policy(hk_error_policy policy);

/* ---- 3. Sizes ----------------------------------------------------------------------------------------------- */

/* The size that a request of `size` bytes really gets in an arena of alignment 16, at most 12.5 % more than `size`
 * rounded up to 16 from 64 bytes up. 0 if no block can be that large. */
HK_API size_t hk_good_size(size_t size);

/* ---- 4. Process heap: the arena hk_arena_default(), by any thread -------------------------------------------- */

/* HAKMEM_LIMIT=SIZE in the environment, from 1K to 1T, is its first limit. */

/* A size of 0 gives a block of its own that may be freed like any other. */
HK_API HK_ALLOCATES void *hk_malloc(size_t size);
/* Zeroed. A product that overflows fails with HK_ERR_INVALID_ARGUMENT. */
HK_API HK_ALLOCATES void *hk_calloc(size_t count, size_t size);
/* As C and glibc have it: hk_realloc(NULL, n) allocates, hk_realloc(p, 0) frees and returns NULL. If it fails, the old
 * block is untouched. A shrink never fails. */
HK_API HK_ALLOCATES void *hk_realloc(void *pointer, size_t size);
/* `alignment` is a power of two from 1 to 256 MiB; `size` need not be a multiple of it. */
HK_API HK_ALLOCATES void *hk_aligned_alloc(size_t alignment, size_t size);
/* Frees a block of the process heap. NULL is ignored. Misuse is reported and left in hk_last_status(). */
HK_API void hk_free(void *pointer);
/* The same with the size that was asked for; another size is HK_ERR_SIZE_MISMATCH. In other than hardened arenas, sizes
 * are told apart as far as they have different hk_good_size(); near blocks of hk_aligned_alloc, and blocks shrunk when
 * memory was short, other sizes that fit the block may pass. */
HK_API void hk_free_sized(void *pointer, size_t size);
/* How many bytes may be used at the start of a live block, of any arena. 0 for NULL; misuse is reported and gives 0. */
HK_API size_t hk_usable_size(const void *pointer);

/* ---- 5. Arenas ---------------------------------------------------------------------------------------------- */

enum {
    /* The caller sees to it that one thread at a time is inside (an interpreter under its lock). Spares all
     * thread-local look-ups. Any thread may come in, one after the other. */
    HK_ARENA_ONE_THREAD_AT_A_TIME = 1,
    /* The arena can be taken back to a state that it was in: see hk_arena_checkpoint. It is used by one thread at a
     * time: this implies HK_ARENA_ONE_THREAD_AT_A_TIME. Its free pages stay with it until it ends. */
    HK_ARENA_REWINDABLE = 2,
    /* For code that is not trusted with memory, at about a third of the speed. Not together with HK_ARENA_REWINDABLE
     * (HK_ERR_UNSUPPORTED). In such an arena:
     * - Every byte behind the size that was asked for, to the end of the block (8 bytes at least), holds a canary: a
     *   secret of the process's, mixed with the address. Free, sized free and realloc verify it: HK_ERR_OVERFLOW, and the
     *   block lives on as it is. So it can be looked at; it goes with its arena, or when the bytes are as they were. A
     *   write before a block is found with the block before that, or as a write after free.
     * - Blocks have exactly the size that was asked for: hk_usable_size, hk_classify, hk_arena_walk and all sized calls
     *   go by it. hk_usable_size and hk_classify read it from a live block, which no other thread may free meanwhile.
     *   Statistics count whole blocks.
     * - Blocks are zeroed when they are freed, shrunk, reset or destroyed, and read as zeros when they are allocated.
     * - A freed block of up to 16,376 bytes waits until as many others of its size class have been freed in the same
     *   thread's heap as make up 16 KiB (at least 4, at most 64); then it is one of some (up to 32) from which the next
     *   one is drawn at random. The wait is over early when memory is short, by a limit or the system, when the arena is
     *   trimmed, and when the thread ends.
     * - When such a block is handed out and is not zero any more, HK_ERR_WRITE_AFTER_FREE is reported; then it is zeroed
     *   and handed out all the same. A write to memory that serves no blocks of this size any more is not found. */
    HK_ARENA_HARDENED = 4
};

#define HK_ARENA_NAME_MAX 31 /* bytes of a name, without the terminating zero */

typedef struct hk_arena_config {
    size_t struct_size;     /* sizeof(hk_arena_config) */
    uint32_t flags;         /* HK_ARENA_... */
    uint32_t min_alignment; /* 8 or 16; 0 means 16. With 8, sizes up to 128 waste at most 7 bytes; but an arena of one
                             * thread that is still small may serve a rare size with a block of up to twice that; in
                             * such a run sized calls may say any size down to half. */
    size_t limit_bytes;     /* 0: none. See hk_arena_set_limit. */
    /* HK_ARENA_REWINDABLE: the arena's address space, rounded up to whole 4 MiB and never outgrown; a request for which
     * it has no room fails with HK_ERR_LIMIT. It costs no memory until it is used. 0: 256 MiB. Other arenas: 0. */
    size_t reserve_bytes;
    const char *name; /* copied; at most HK_ARENA_NAME_MAX bytes; NULL: "arena" */
    /* NULL: none. What the arena holds counts in its parent as well, in the parent's parent, and so on: so a limit
     * bounds an arena together with all that lie below it. Any arena may be a parent, the default one too, but neither
     * a child nor a parent may be one of HK_ARENA_REWINDABLE (HK_ERR_UNSUPPORTED). Nothing else is shared: blocks,
     * flags, alignment and threads are each arena's own. */
    hk_arena *parent;
} hk_arena_config;

#ifdef __cplusplus
#define HK_ARENA_CONFIG_INIT                                                                                           \
    hk_arena_config {                                                                                                  \
        sizeof(hk_arena_config), 0, 0, 0, 0, NULL, NULL                                                                \
    }
#else
#define HK_ARENA_CONFIG_INIT ((hk_arena_config){.struct_size = sizeof(hk_arena_config)})
#endif

/* Makes an arena and stores its handle; `config` may be NULL for all defaults and is not kept. On failure *arena is set
 * to NULL. HK_ERR_INVALID_ARGUMENT (unknown flag, wrong struct_size, alignment, name too long, a reserve for an arena
 * that has none or of more than 1 TiB), HK_ERR_UNSUPPORTED (a flag that this system, or an arena with a parent, cannot
 * serve; a parent that can be rewound), HK_ERR_BAD_ARENA (the parent; reported as misuse is), HK_ERR_NO_MEMORY. The
 * caller owns the arena until hk_arena_destroy. A structure without the last field, `parent`, is taken as well: its
 * struct_size is offsetof(hk_arena_config, parent). */
HK_API hk_status hk_arena_create(const hk_arena_config *config, hk_arena **arena);
/* Frees all blocks of the arena at once and ends its handle. No other thread may be inside. Time is proportional to the
 * memory held in units of 64 KiB, not to the number of blocks. HK_ERR_INVALID_ARGUMENT for the default arena.
 * HK_ERR_BUSY while the arena has children, retired ones whose blocks live on included: then nothing has changed. */
HK_API hk_status hk_arena_destroy(hk_arena *arena);

/* Frees all blocks of the arena at once, but none of its children's; handle, configuration, limit and name stay, and
 * some memory (1 MiB for each heap) is kept ready. No other thread may be inside. Time is as of hk_arena_destroy.
 * HK_ERR_INVALID_ARGUMENT for the default arena. */
HK_API hk_status hk_arena_reset(hk_arena *arena);
/* Ends the handle, but not the blocks: those that live stay valid, and from now on belong to the process heap: hk_free
 * and hk_realloc take them, from any thread, checked as always. With the last of them the arena ends and its memory
 * goes back. No other thread may be inside. For memory that somebody may still refer to, as an interpreter's objects
 * do. What they hold counts in the arenas above until then. If the arena has children, its limit bounds them as long as
 * they live, and it ends with the last block and the last child. HK_ERR_INVALID_ARGUMENT for the default arena. */
HK_API hk_status hk_arena_retire(hk_arena *arena);
/* Gives back to the operating system, now, all pages on which no live block lies, also inside runs that are partly in
 * use. Without it they go back by themselves, HAKMEM_PURGE_DELAY_MS (10) to twice that after they came free, or up to
 * 16 times that as long as little is free, as far as calls that allocate and free go on. In a thread-safe arena, heaps
 * of other threads follow when these next need fresh blocks. */
HK_API hk_status hk_arena_trim(hk_arena *arena);
/* The same for the whole process: the calling thread's heaps and those that no thread owns at once; other threads'
 * heaps and arenas of one thread at a time when they next need fresh blocks. */
HK_API void hk_purge(void);

/* For an arena of HK_ARENA_REWINDABLE: makes what it holds at this moment its base. The newest base counts. Later,
 * hk_arena_rollback brings the base back, as often as you like: every byte of every block that was live, every pointer
 * that was valid, the limit and all statistics; blocks allocated since are gone, large ones included, and blocks freed
 * since are live again. Both take time in proportion to the pages written since and the address space in use; the first
 * checkpoint copies all of the arena, so the base is held twice in memory.
 *
 * HK_OK; HK_ERR_BAD_ARENA; HK_ERR_UNSUPPORTED for an arena without the flag; HK_ERR_BUSY: another thread is inside, as
 * far as it can be seen (the shortest ways in and out of an arena do not look); hk_arena_checkpoint: HK_ERR_NO_MEMORY:
 * the old base, if any, still counts; hk_arena_rollback: HK_ERR_INVALID_ARGUMENT: there is no base yet. After a failure
 * the arena is as it was. Rollback never fails for want of memory.
 *
 * A child of fork() has both, arena and base, for itself: neither process sees what the other does with them. An arena
 * that another thread was inside of at the fork stays HK_ERR_BUSY in the child.
 *
 * Hazards. Only the arena's memory goes back: not files, sockets, threads, locks, nor memory of other arenas, malloc or
 * C libraries. What the arena's objects say about those may be wrong afterwards: a file opened since leaks; one closed
 * since comes back as a dangling handle; no destructor runs for what is gone. A pointer kept elsewhere to a block that
 * was allocated since is stale. Neither function may run on a stack that lies in the arena. While a rollback is under
 * way, other threads must not ask about the arena's addresses, and the kernel must not write there by itself (direct
 * I/O, io_uring). A page inside of a block that the program itself has given back with madvise may stay zero. */
HK_API hk_status hk_arena_checkpoint(hk_arena *arena);
HK_API hk_status hk_arena_rollback(hk_arena *arena);

/* As their namesakes above, in `arena`. */
HK_API HK_ALLOCATES void *hk_arena_alloc(hk_arena *arena, size_t size);
HK_API HK_ALLOCATES void *hk_arena_calloc(hk_arena *arena, size_t count, size_t size);
HK_API HK_ALLOCATES void *hk_arena_realloc(hk_arena *arena, void *pointer, size_t size);
HK_API HK_ALLOCATES void *hk_arena_aligned_alloc(hk_arena *arena, size_t alignment, size_t size);
HK_API hk_status hk_arena_free(hk_arena *arena, void *pointer);
HK_API hk_status hk_arena_free_sized(hk_arena *arena, void *pointer, size_t size);
/* hk_arena_realloc for callers who know the old size, as language runtimes do. It is checked: HK_ERR_SIZE_MISMATCH. */
HK_API HK_ALLOCATES void *hk_arena_realloc_sized(hk_arena *arena, void *pointer, size_t old_size, size_t new_size);

/* The arena of the process heap. It cannot be destroyed. NULL if the operating system refuses the first memory. */
HK_API hk_arena *hk_arena_default(void);
/* The arena in which a live block lies at or around this address, or NULL. Any address may be asked. */
HK_API hk_arena *hk_arena_of(const void *pointer);
/* Whether `pointer` is the start of a live block of `arena`. Any address and any handle may be asked. */
HK_API bool hk_arena_owns(const hk_arena *arena, const void *pointer);

/* Bounds what the arena and all arenas below it hold: lines of 1 KiB in use by runs of small blocks, and large blocks.
 * It is rounded down to whole lines and never overstepped, by any number of threads; what does not fit fails with
 * HK_ERR_LIMIT. A limit below what is held stops growth and takes nothing away. 0 means no limit; less than one line is
 * HK_ERR_INVALID_ARGUMENT. The memory of hakmem's own books (about 6 %) does not count, nor does memory that C
 * libraries take from elsewhere.
 *
 * Lines count while they are cached, too. Before a request fails, free lines go back: those of its own heap and of
 * heaps that no thread owns, and of the calling thread's heaps in thread-safe arenas above. What other threads' heaps,
 * arenas above of one thread at a time, and other children have cached stays theirs, and counts; hk_arena_trim, called
 * where it is allowed, gives it back. */
HK_API hk_status hk_arena_set_limit(hk_arena *arena, size_t limit_bytes);
/* The arena's own limit in bytes as it was rounded, 0 for none or for a bad handle. */
HK_API size_t hk_arena_limit(const hk_arena *arena);
/* The arena's name; NULL for a bad handle. Lives as long as the arena. */
HK_API const char *hk_arena_name(const hk_arena *arena);

/* ---- 6. Statistics, self-check, walk, map -------------------------------------------------------------------- */

#define HK_SIZE_CLASSES_MAX 96

typedef struct hk_class_statistics {
    size_t block_size; /* 0: no such class */
    size_t live_blocks;
    size_t held_bytes; /* the lines of the class's runs */
} hk_class_statistics;

typedef struct hk_statistics {
    size_t struct_size; /* set it before the call: only that many bytes are written */
    size_t held_bytes;  /* what counts against the limit: lines in use, live or cached, and large blocks; of the arena
                         * and of all below it (children_bytes) */
    size_t peak_held_bytes;
    size_t limit_bytes;  /* 0: none */
    size_t live_blocks;  /* all live blocks, of all sizes */
    size_t live_bytes;   /* the sum of their usable sizes; in a hardened arena, of whole blocks */
    size_t large_blocks; /* those of them that are in no size class */
    size_t large_bytes;
    size_t units;           /* units of 64 KiB of address space that the arena owns */
    size_t heaps;           /* heaps: one, or one for each thread that came, as far as they were not taken over */
    size_t limit_failures;  /* requests to the arena that a limit refused, its own or one above; and requests to arenas
                             * below that its own limit refused */
    size_t system_failures; /* requests that the operating system refused */
    size_t size_classes;    /* how many of `classes` are filled in */
    hk_class_statistics classes[HK_SIZE_CLASSES_MAX];
    size_t children_bytes; /* of held_bytes: what the arenas below hold. All other figures, but peak_held_bytes and the
                            * failures, are of the arena alone */
} hk_statistics;

/* Fills in `statistics`. Takes time in proportion to heaps and size classes, not to blocks; a copy without classes and
 * children_bytes is had with struct_size = offsetof(hk_statistics, classes). While other threads are inside, or in
 * arenas below, it is a snapshot. */
HK_API hk_status hk_arena_statistics(hk_arena *arena, hk_statistics *statistics);

/* Recounts every invariant of the arena's books, and of those of all arenas below: bits, runs, lines, units, stacks,
 * large blocks, quota. HK_OK, or HK_ERR_CORRUPT after one line on standard error that names the first that does not
 * hold (then memory was overwritten or hakmem is wrong). No other thread may be inside, or in an arena below; time is
 * proportional to memory held. */
HK_API hk_status hk_arena_check(hk_arena *arena);

/* Called with a live block and its usable size. Returns whether to go on. */
typedef bool (*hk_block_visitor)(const void *block, size_t size, void *user_data);

/* Calls `visitor` with each live block exactly once, by ascending address, until it returns false: that is HK_OK too. A
 * block that a thread has freed which does not own it is not live, whether its owner has collected it or not. No other
 * thread may be inside, or in an arena below. The visitor must not allocate, free or count (hk_arena_statistics) in
 * this arena; it may look up and use the blocks, may do anything in other arenas, and may leave by longjmp: no lock is
 * held while it runs. HK_ERR_INVALID_ARGUMENT for a NULL visitor. Takes time in proportion to the arena's blocks and,
 * much less, to all the memory that hakmem manages. */
HK_API hk_status hk_arena_walk(hk_arena *arena, hk_block_visitor visitor, void *user_data);

/* Writes a picture of the arena to `file_descriptor`: an SVG document with its figures, its size classes, and a map of
 * its units, lines and blocks by address. The figures are those of hk_arena_statistics, and stand in the document's
 * <metadata> as numbers. However large the arena, it has a few MiB at most; no memory is taken for it.
 * HK_ERR_INVALID_ARGUMENT if the descriptor cannot be written to, or a write fails: then there may be a part of it. No
 * other thread may be inside, or in an arena below. No lock is held while it writes. */
HK_API hk_status hk_arena_dump_map(hk_arena *arena, int file_descriptor);

/* ---- 7. What is this pointer? -------------------------------------------------------------------------------- */

typedef enum hk_pointer_kind {
    HK_POINTER_FOREIGN = 0, /* not in memory that hakmem manages */
    HK_POINTER_SMALL = 1,   /* in a run of blocks of one size class */
    HK_POINTER_LARGE = 2,   /* in a block of whole lines or units */
    HK_POINTER_HUGE = 3,    /* in a block with a mapping of its own */
    HK_POINTER_UNUSED = 4   /* in memory that hakmem manages, where no block is laid out at present */
} hk_pointer_kind;

typedef enum hk_block_state {
    HK_BLOCK_NONE = 0,
    HK_BLOCK_LIVE = 1,
    HK_BLOCK_FREE = 2,
    HK_BLOCK_FREED_REMOTELY = 3 /* freed by a thread that does not own it; its owner has not collected it yet */
} hk_block_state;

typedef struct hk_pointer_info {
    size_t struct_size; /* set it before the call: only that many bytes are written */
    hk_pointer_kind kind;
    hk_block_state state;
    hk_arena *arena;         /* NULL if there is none */
    const void *block_start; /* NULL if there is no block */
    size_t block_size;       /* usable bytes */
} hk_pointer_info;

/* Tells what lies at an address: any address whatever, mapped or not. The memory there is not touched, but for the last
 * eight bytes of a live block of a hardened arena. */
HK_API hk_status hk_classify(const void *pointer, hk_pointer_info *info);

#ifdef __cplusplus
}
#endif
#endif
