/* memory: CPython's own allocations (PEP 445), from hakmem. memory.c has the allocators, scope.c says which arena the
 * code that runs is charged to. See native.h.
 *
 * The domains mem and obj are called under the GIL, so there the scope and everything in its arena is safe to touch; raw
 * is called by any thread, and always served from the process heap. None of the allocators calls anything of Python's
 * that allocates or takes a lock. */
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

/* ---- interpreters.c ---- */

extern PyInterpreterState *const *native_newest_interpreter;
extern PyInterpreterState *native_main_interpreter;

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

typedef struct native_scope {
    PyObject ob_base;
    hk_arena *handle;
    hki_arena *arena; /* what is behind the handle; NULL: it was never opened */
    struct native_scope *parent;
    size_t refused_bytes; /* the last request that got no memory, */
    size_t refused_held;  /* and what was held then */
    uint64_t refusals;
} native_scope;

extern PyTypeObject *native_scope_type;
PyTypeObject *native_make_scope_type(void);

/* How many scopes there are: none, and nobody needs to ask for the current one. */
extern size_t native_scopes;

/* The scope that the running code is charged to; NULL: none. Under the GIL. Borrowed. */
native_scope *native_scope_current(void);
/* The scope in whose arena a granule's block lies; NULL: it is no scope's. Under the GIL. Borrowed. */
native_scope *native_scope_of(uintptr_t granule);
/* Notes that a request of this size got no memory. Always NULL. */
HKI_MISS void *native_scope_refuse(native_scope *scope, size_t size);

/* ---- numpy_scope.c ---- */

/* numpy_scope_handler(scope) -> capsule: a handler of NumPy's that serves arrays from the scope. */
PyObject *native_numpy_scope_handler(PyObject *module, PyObject *scope);

#endif
