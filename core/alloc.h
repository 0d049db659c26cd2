/* alloc: the only place where size classes, heaps and large blocks meet. These are the complete, slow ways; the api
 * files hold the fast ones and come here when those miss. No state but whether hakmem has started. */
#ifndef HKI_ALLOC_H
#define HKI_ALLOC_H

#include "block.h"
#include "thread.h"

/* The largest request; more is an argument that no call can accept. */
#define HKI_BLOCK_MAX ((size_t)1 << 40)
#define HKI_ALIGNMENT_MAX ((size_t)256 << 20)

typedef struct hki_request {
    size_t size;
    size_t alignment; /* a power of two; 1 for the arena's own */
    bool zero;
    bool grows;                 /* a block that has grown: it may grow again */
    bool optional;              /* the caller can do without: a refusal is no failure */
    const uint8_t *class_table; /* NULL: the heap's */
    const char *function;       /* for reports, which only allocations in hardened arenas give rise to */
} hki_request;

/* The block that a caller means, and how it came to be meant; `function` is for reports. */
typedef struct hki_target {
    const char *function;
    void *pointer;
    size_t size; /* as the caller knows it, */
    bool sized;  /* if it does */
} hki_target;

HKI_INLINE hki_target hki_target_of(const char *function, const void *pointer) {
    return (hki_target){.function = function, .pointer = (void *)(uintptr_t)pointer};
}

HKI_INLINE hki_target hki_target_sized(const char *function, const void *pointer, size_t size) {
    return (hki_target){.function = function, .pointer = (void *)(uintptr_t)pointer, .size = size, .sized = true};
}

/* What hki_canary_verify takes; no block is so large. */
HKI_INLINE size_t hki_size_known(hki_target target) {
    return target.sized ? hki_min(target.size, SIZE_MAX - 1) : SIZE_MAX;
}

/* Starts hakmem if that has not been done. False if the OS refuses; then the next call tries again. */
bool hki_start(void);
/* The same, and reads what the environment says if that was not there yet. */
void hki_start_at_load(void);

/* NULL and hki_last_status on failure. */
HKI_MISS void *hki_alloc(hki_arena *arena, hki_request request);
/* NULL pointers are fine. Misuse is reported. */
HKI_MISS hk_status hki_free(hki_arena *arena, hki_target target);
HKI_MISS void *hki_realloc(hki_arena *arena, hki_target target, size_t size);

/* What its user may use of a block. In a hardened arena it is read from the block, which nobody may free meanwhile. */
size_t hki_usable_size(const hki_block *block);

/* Ways to a block of another size without copying: its granule, 0 if there is none. The second is for shrinks, and
 * always finds one; it may leave the block as long as it was. */
uintptr_t hki_resize_in_place(hki_arena *arena, const hki_block *block, size_t size);
uintptr_t hki_shrink_in_place(hki_arena *arena, const hki_block *block, size_t size);

/* Reports misuse of a block, or of an arena handle. Returns the status. */
HKI_SLOW hk_status hki_misuse(hki_target target, const hki_block *block, hk_status status);
/* The same where it is known how much of the block may be used, and the block must not be read. */
HKI_SLOW hk_status hki_misuse_of_size(hki_target target, const hki_block *block, size_t usable, hk_status status);
HKI_SLOW hk_status hki_bad_arena(const char *function, const hk_arena *handle);

#endif
