/* memory: CPython's own allocations (PEP 445), from hakmem. memory.c has the allocators, scope.c says which arena the
 * code that runs is charged to. See native.h.
 *
 * The domains mem and obj are called under the GIL, so there the scope and everything in its arena is safe to touch;
 * raw is called by any thread, and always served from the process heap. None of the allocators calls anything of
 * Python's that allocates or takes a lock. */
#ifndef HAKMEM_NATIVE_MEMORY_H
#define HAKMEM_NATIVE_MEMORY_H

#include "native.h"

#include "process.h"

/* ---- memory.c ---- */

/* Installs the allocators of the named domains, separated by commas. False if a name is none of raw, mem and obj. */
bool native_install_named(const char *domains);
/* install(domains: int) and installed() -> int: a bit for each domain. */
PyObject *native_install(PyObject *module, PyObject *domains);
PyObject *native_installed(PyObject *module, PyObject *unused);

/* Guarded by the GIL: the heap of the process's arena from which the domains mem and obj are served, */
HKI_DATA hki_heap *native_gil_heap;
/* and the one from which the code was served that looked last: that, or a scope's. */
HKI_DATA hki_heap *native_heap;

/* ---- interpreters.c ---- */

HKI_DATA PyInterpreterState *const *native_newest_interpreter;
HKI_DATA PyInterpreterState *native_main_interpreter;

/* False if there may be other interpreters than the main one: then */
HKI_INLINE bool native_is_alone(void) {
    return PY_VERSION_HEX < 0x030C0000 || *native_newest_interpreter == native_main_interpreter;
}
/* tells whether the calling thread runs the main one, or there is none yet. */
HKI_MISS bool native_is_in_main(void);
/* From when on the two can be asked. */
void native_watch_interpreters(void);

/* ---- early.c ---- */

/* Called by the loader, early/early.c: what was wrong, or NULL. */
HK_API const char *hakmem_python_start_early(void);

/* ---- scope.c ---- */

/* For what is beyond a limit, and counted nowhere; see scope_reserve.c. */
typedef struct native_reserve {
    hk_arena *handle;
    hki_arena *arena; /* NULL: not made yet */
} native_reserve;

typedef struct native_scope {
    PyObject ob_base;
    hk_arena *handle;
    hki_arena *arena; /* what is behind the handle; NULL: it was never opened */
    struct native_scope *parent;
    native_reserve small, set_tables, raising;
    bool is_short;       /* a request was refused, and there has not been much room since */
    unsigned last_steps; /* how many more requests are served when the reserve is used up */
    bool is_account;
    uint64_t refusals; /* how many requests got no memory; the last one: */
    size_t refused_bytes;
    const hki_arena *refused_by; /* whose limit, of this scope or one further out; NULL: the system has no more */
    size_t refused_held;         /* and what that one held */
} native_scope;

HKI_DATA PyTypeObject *native_scope_type;
PyTypeObject *native_make_scope_type(void);

/* How many scopes there are: none, and nobody needs to ask for the current one. */
HKI_DATA size_t native_scopes;

/* The arena of a scope's in which a granule's block lies; NULL: it is no scope's. Under the GIL. */
hki_arena *native_scope_arena(uintptr_t granule);
/* Of the scope's lines and those of all that pay with it, how many more there may be. */
size_t native_scope_room(const native_scope *scope);
/* Makes an arena's blocks known as a scope's, or no more so. */
void native_scope_own(const hki_arena *arena, bool is_owned);
/* Notes who has refused the last request, behind a failure of it; and that it got no memory, which is always NULL. */
void native_scope_note_refusal(native_scope *scope, size_t size);
HKI_MISS void *native_scope_refuse(native_scope *scope, size_t size);

/* ---- scope_reserve.c ---- */

/* Stands for the process, whose limit needs a reserve, too; it counts as a scope as soon as that was reached. */
HKI_DATA native_scope native_process;

/* What the scope's arena, or the process's, has no room for: a block of a reserve, or a refusal. */
HKI_MISS void *native_scope_overdraw(native_scope *scope, hki_request request);
HKI_MISS void *native_process_overdraw(hki_request request);
/* There was room. */
HKI_MISS void native_scope_recover(native_scope *scope);
void native_scope_end_reserves(native_scope *scope);

/* ---- scope_context.c ---- */

/* A with block that is under way; the value of the context variable in all contexts that are in it. */
typedef struct native_entry {
    PyObject ob_base;
    native_scope *scope;
    struct native_entry *outer; /* NULL: there is none */
    PyObject *numpy_handler;    /* which was in force before; NULL: NumPy was not there */
} native_entry;

/* What the last look at the variable found, and for when that holds. */
typedef struct native_sight {
    const PyThreadState *thread; /* nobody's: it does not hold */
    uint64_t thread_id;          /* a state's address may be used again */
    uint64_t version;            /* of the thread's context */
    native_entry *const *note;   /* the variable's own note of its value, */
    native_entry *entry;         /* and the value; NULL: none */
    native_scope *scope;         /* its scope, or NULL: native_heap is of this one */
} native_sight;

HKI_DATA native_sight native_seen;

HKI_MISS void native_look_up(const PyThreadState *thread);

/* Sees to it that native_seen and native_heap are right for the running code. Under the GIL. */
HKI_INLINE void native_look(void) {
    const native_sight *seen = &native_seen;
    const PyThreadState *thread = _PyThreadState_UncheckedGet();
    if (HKI_UNLIKELY(thread != seen->thread) || HKI_UNLIKELY(thread->context_ver != seen->version) ||
        HKI_UNLIKELY(thread->id != seen->thread_id) || HKI_UNLIKELY(*seen->note != seen->entry))
        native_look_up(thread);
}

/* The block in which the running code is; NULL: none. Borrowed. */
native_entry *native_entry_current(void);
/* Whether `entry` is `current` or around it. */
bool native_entry_is_around(const native_entry *entry, const native_entry *current);
/* A block of this scope within the current one, which it takes the place of. NULL with an error set; then nothing has
 * changed. */
native_entry *native_entry_begin(native_scope *scope);
/* Ends the block in this context, and those within it, if the context is in it. It needs no memory of a scope's. -1
 * with an error set. */
int native_entry_end(const native_entry *entry);
/* What ends does not stay as the last look. */
void native_forget(void);
/* Makes the context variable and the type of its values. False with an error set. */
bool native_make_context(void);

/* ---- scope_block.c ---- */

/* ScopeBlock(scope): the with statement; hakmem.Scope is derived from it. */
HKI_DATA PyTypeObject *native_block_type;
PyTypeObject *native_make_block_type(void);

/* ---- numpy_scope.c ---- */

/* numpy_scope_handler(scope) -> capsule: a handler of NumPy's that serves arrays from the scope. */
PyObject *native_numpy_scope_handler(PyObject *module, PyObject *scope);

#endif
