/* canary: the bytes behind what was asked for, in the blocks of hardened arenas, and the secret that they are made
 * from.
 *
 * A block of `size` bytes of which `asked` were asked for has size - asked >= HKI_SLACK_MIN bytes of slack, all of them
 * canary: the block's key, over and over. In the last eight bytes, the seal, the slack's length is mixed in twice. So
 * what was asked for is known from the block alone, and no byte behind it changes unseen: a length that does not stand
 * there twice, or a byte that is not the key's, is an overflow. No byte of the key is 0, and the seal's first byte is
 * the key's, so that the end of a string one byte too far is always seen.
 *
 * A thread that frees another heap's block claims it by exchanging the seal, so that of several only one goes on.
 *
 * The functions are called by who owns the block; the seal alone is read by others too, and is atomic. */
#ifndef HKI_CANARY_H
#define HKI_CANARY_H

#include "hakmem.h"
#include "wide.h"

enum { HKI_SLACK_MIN = sizeof(uint64_t) };

/* What hki_canary_check finds in place of a size. */
#define HKI_CANARY_BROKEN SIZE_MAX
#define HKI_CANARY_CLAIMED (SIZE_MAX - 1)

typedef struct hki_secret {
    uint64_t offset;
    uint64_t factor; /* odd; 0 before hki_canary_start */
} hki_secret;

HKI_DATA hki_secret hki_process_secret;
/* Whether what is marked HKI_WIDE can be called. */
HKI_DATA bool hki_cpu_wide;

/* Draws the process's secret, once. If the kernel has no random bytes to give, it is made of those that came with the
 * process's start, which are as random but known to others: the C library has its stack protector's value from there.
 * hki_arenas_lock held. */
void hki_canary_start(void);

/* A number that cannot be told from another one without the secret. */
HKI_INLINE uint64_t hki_secret_mix(uint64_t n) {
    unsigned __int128 product = (unsigned __int128)(n ^ hki_process_secret.offset) * hki_process_secret.factor;
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

/* ---- the seal ---- */

enum {
    HKI_SEAL_LOW_SHIFT = 8, /* the first byte is the key's own */
    HKI_SEAL_LENGTH_BITS = 28,
    HKI_SEAL_HIGH_SHIFT = HKI_SEAL_LOW_SHIFT + HKI_SEAL_LENGTH_BITS,
    HKI_SEAL_CLAIM = 1 << HKI_SEAL_LOW_SHIFT, /* a length that stands there once */
};
#define HKI_SEAL_LENGTH_MASK ((UINT64_C(1) << HKI_SEAL_LENGTH_BITS) - 1)
_Static_assert(HKI_SEAL_HIGH_SHIFT + HKI_SEAL_LENGTH_BITS == 64, "two lengths and a byte make a word");

HKI_INLINE uint64_t hki_canary_key(const void *block) {
    return hki_secret_mix((uintptr_t)block) | UINT64_C(0x0101010101010101);
}

HKI_INLINE uint64_t hki_seal_of(uint64_t key, size_t slack) {
    return key ^ (uint64_t)slack * ((UINT64_C(1) << HKI_SEAL_LOW_SHIFT) | (UINT64_C(1) << HKI_SEAL_HIGH_SHIFT));
}

HKI_INLINE _Atomic uint64_t *hki_seal_at(const void *block, size_t size) {
    return (_Atomic uint64_t *)((uintptr_t)block + size - sizeof(uint64_t));
}

/* What was asked for, by the seal. */
static inline size_t hki_seal_read(const void *block, size_t size, uint64_t key) {
    uint64_t seal = atomic_load_explicit(hki_seal_at(block, size), memory_order_acquire) ^ key;
    uint64_t slack = seal >> HKI_SEAL_HIGH_SHIFT;
    if (HKI_LIKELY(hki_seal_of(0, slack) == seal && slack >= HKI_SLACK_MIN && slack <= size))
        return size - slack;
    return seal == HKI_SEAL_CLAIM ? HKI_CANARY_CLAIMED : HKI_CANARY_BROKEN;
}

/* ---- the whole canary ---- */

/* Nearly all canaries lie in their block's last HKI_WINDOW bytes, and are written and checked there without a branch: a
 * mask out of this table is 0 before them and ~0 in them. */
enum { HKI_WINDOW_QUADS = 3, HKI_WINDOW = HKI_WINDOW_QUADS * sizeof(hki_quad) };
HKI_DATA const uint8_t hki_canary_masks[2 * HKI_WINDOW];

/* The mask of 32 bytes that begin `before_end` before the end of a block, of whose bytes the last `slack` are
 * canary. */
HKI_INLINE void hki_canary_mask(hki_quad *mask, size_t slack, size_t before_end) {
    __builtin_memcpy(mask, hki_canary_masks + HKI_WINDOW + slack - before_end, sizeof *mask);
}

/* The bits of a word's bytes from `byte` on: 1..7. */
HKI_INLINE uint64_t hki_bytes_from(size_t byte) {
    return ~UINT64_C(0) << byte * CHAR_BIT;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's first byte is its lowest");

/* Makes all bytes from `asked` on canary; of a block that was shrunk by more than 256 MiB and could not be moved, the
 * last 256 MiB. */
static inline void hki_canary_write(void *block, size_t size, size_t asked) {
    HKI_ASSERT(asked <= size - HKI_SLACK_MIN);
    if (size - asked > HKI_SEAL_LENGTH_MASK)
        asked = size - HKI_SEAL_LENGTH_MASK;
    uint64_t key = hki_canary_key(block);
    hki_word *word = (hki_word *)block + asked / sizeof *word;
    hki_word *end = (hki_word *)block + size / sizeof *word - 1;
    if (asked % sizeof *word != 0) {
        uint64_t ours = hki_bytes_from(asked % sizeof *word);
        *word = (*word & ~ours) | (key & ours);
        word++;
    }
    for (; word < end; word++)
        *word = key;
    atomic_store_explicit(hki_seal_at(block, size), hki_seal_of(key, size - asked), memory_order_relaxed);
}

/* The same in a block of zeros, and quicker, with its key. */
HKI_INLINE void hki_canary_write_fresh(void *block, size_t size, size_t asked, uint64_t key) {
    size_t slack = size - asked;
    if (HKI_UNLIKELY(size < HKI_WINDOW || slack > HKI_WINDOW)) {
        hki_canary_write(block, size, asked);
        return;
    }
#pragma GCC unroll 3
    for (size_t before_end = HKI_WINDOW; before_end > 0; before_end -= sizeof(hki_quad)) {
        hki_quad mask;
        hki_canary_mask(&mask, slack, before_end);
        *(hki_quad *)(void *)((char *)block + size - before_end) = mask & key;
    }
    atomic_store_explicit(hki_seal_at(block, size), hki_seal_of(key, slack), memory_order_relaxed);
}

static inline bool hki_fill_is_whole(const void *block, size_t size, size_t asked, uint64_t key) {
    const hki_word *word = (const hki_word *)block + asked / sizeof *word;
    const hki_word *end = (const hki_word *)block + size / sizeof *word - 1;
    uint64_t wrong = 0;
    if (asked % sizeof *word != 0)
        wrong = (*word++ ^ key) & hki_bytes_from(asked % sizeof *word);
    for (; word < end; word++)
        wrong |= *word ^ key;
    return wrong == 0;
}

/* What was asked for, after a look at every byte behind it; HKI_CANARY_BROKEN, or HKI_CANARY_CLAIMED. */
static inline size_t hki_canary_check(const void *block, size_t size) {
    uint64_t key = hki_canary_key(block);
    size_t asked = hki_seal_read(block, size, key);
    if (asked > size || hki_fill_is_whole(block, size, asked, key))
        return asked;
    return HKI_CANARY_BROKEN;
}

/* The quick way for nearly all blocks: true if the canary is whole; false if it is not, or does not lie in the
 * window. */
HKI_INLINE bool hki_canary_is_whole(const void *block, size_t size) {
    const hki_quad but_seal = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0};
    uint64_t key = hki_canary_key(block);
    uint64_t seal = atomic_load_explicit(hki_seal_at(block, size), memory_order_relaxed) ^ key;
    size_t slack = seal >> HKI_SEAL_HIGH_SHIFT;
    if (HKI_UNLIKELY(seal != hki_seal_of(0, slack) || slack - HKI_SLACK_MIN > HKI_WINDOW - HKI_SLACK_MIN ||
                     size < HKI_WINDOW))
        return false;
    hki_quad wrong = {0};
#pragma GCC unroll 3
    for (size_t before_end = HKI_WINDOW; before_end > 0; before_end -= sizeof(hki_quad)) {
        hki_quad mask;
        hki_canary_mask(&mask, slack, before_end);
        mask &= *(const hki_quad *)(const void *)((const char *)block + size - before_end) ^ key;
        if (before_end == sizeof(hki_quad))
            mask &= but_seal;
        wrong |= mask;
    }
    return ((wrong[0] | wrong[1]) | (wrong[2] | wrong[3])) == 0;
}

/* The same as a status. `size_known` is what the caller takes for what was asked for, or SIZE_MAX. */
static inline hk_status hki_canary_verify(const void *block, size_t size, size_t size_known) {
    size_t asked = hki_canary_check(block, size);
    if (asked > size)
        return asked == HKI_CANARY_CLAIMED ? HK_ERR_DOUBLE_FREE : HK_ERR_OVERFLOW;
    return size_known == asked || size_known == SIZE_MAX ? HK_OK : HK_ERR_SIZE_MISMATCH;
}

/* What may be used of a live block, as far as its seal tells; all but the least slack if it is broken. Any thread. */
HKI_INLINE size_t hki_canary_usable(const void *block, size_t size) {
    size_t asked = hki_seal_read(block, size, hki_canary_key(block));
    return asked <= size ? asked : size - HKI_SLACK_MIN;
}

/* Verifies a block for a thread that frees it and is not its heap's owner: HK_OK for one such thread alone, which has
 * claimed the block, and HK_ERR_DOUBLE_FREE for others meanwhile. Only who has claimed it looks at more than the
 * seal. */
static inline hk_status hki_canary_claim(void *block, size_t size, size_t size_known) {
    uint64_t key = hki_canary_key(block);
    size_t asked = hki_seal_read(block, size, key);
    if (asked > size)
        return asked == HKI_CANARY_CLAIMED ? HK_ERR_DOUBLE_FREE : HK_ERR_OVERFLOW;
    uint64_t seal = hki_seal_of(key, size - asked), whole = seal;
    if (!atomic_compare_exchange_strong_explicit(hki_seal_at(block, size), &seal, key ^ HKI_SEAL_CLAIM,
                                                 memory_order_acquire, memory_order_relaxed))
        return HK_ERR_DOUBLE_FREE;
    hk_status status = HK_OK;
    if (!hki_fill_is_whole(block, size, asked, key))
        status = HK_ERR_OVERFLOW;
    else if (size_known != asked && size_known != SIZE_MAX)
        status = HK_ERR_SIZE_MISMATCH;
    if (status != HK_OK)
        atomic_store_explicit(hki_seal_at(block, size), whole, memory_order_release);
    return status;
}

#endif
