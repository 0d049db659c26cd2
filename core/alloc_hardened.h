/* alloc_hardened: what alloc.h's functions do otherwise in hardened arenas: the canary around each block, zeros in each
 * that is freed, and the reports about both. No state. */
#ifndef HKI_ALLOC_HARDENED_H
#define HKI_ALLOC_HARDENED_H

#include "alloc.h"
#include "hardened.h"

/* A block of the arena's own alignment. NULL and hki_last_status on failure. */
void *hki_hardened_alloc(hki_arena *arena, size_t size, const char *function);
/* Makes of what alloc.c has just taken a block of which `asked` bytes may be used. HK_ERR_WRITE_AFTER_FREE if it was
 * written to after it was freed: then it has been zeroed. *clean tells whether it reads as zeros, and is true then. */
hk_status hki_hardened_finish(uintptr_t granule, size_t asked, bool *clean);
/* Reports it, about a block that is live by now. Returns the block. */
HKI_SLOW void *hki_written_after_free(const char *function, void *block);

hk_status hki_hardened_free(hki_arena *arena, void *pointer, const char *function);
/* The same with the size that was asked for. */
hk_status hki_hardened_free_sized(hki_arena *arena, hki_target target);
/* Of a target that was found, to 1..HKI_BLOCK_MAX bytes. It is verified here; *status is HK_OK, or says what is
 * wrong. */
void *hki_hardened_realloc(hki_arena *arena, hki_target target, size_t size, const hki_block *block, hk_status *status);

#endif
