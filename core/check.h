/* check: recounts every invariant of an arena's books. Nobody else may be inside the arena. No state. */
#ifndef HKI_CHECK_H
#define HKI_CHECK_H

#include "arena.h"

/* The first invariant that does not hold, in words; NULL if all do. *where is the address that it is about, or NULL. */
const char *hki_arena_check(hki_arena *arena, const void **where);

#endif
