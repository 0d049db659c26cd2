/* block: the answer to "what is this pointer?", for any address whatever, without touching the memory there.
 * This is the slow and complete look-up; the fast paths ask the same tables. Any thread. */
#ifndef HKI_BLOCK_H
#define HKI_BLOCK_H

#include "hakmem.h"
#include "run.h"

typedef struct hki_block {
    hk_pointer_kind kind;
    hk_block_state state;
    hk_status status;  /* HK_OK if the address is the start of a live block; else which misuse it would be to free it */
    uintptr_t owner;   /* a heap, or an arena + HKI_OWNER_IS_ARENA; 0 if nobody's */
    uintptr_t granule; /* of the block's start; 0 if there is no block */
    size_t size;       /* usable bytes; 0 if there is no block */
    unsigned size_class; /* HKI_CLASS_LARGE for all that is not SMALL */
    bool any_size;       /* sized calls may say any size that fits */
    bool borrowed;       /* sized calls may say any size that fits, down to the class of half the size */
} hki_block;

hki_block hki_block_find(const void *pointer);

#endif
