/* base: attributes, arithmetic that cannot overflow silently, and bit searches. No state, no other file of hakmem. */
#ifndef HKI_BASE_H
#define HKI_BASE_H

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HKI_LIKELY(x) __builtin_expect(!!(x), 1)
#define HKI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HKI_INLINE static inline __attribute__((always_inline))
/* What the fast paths call when they miss: out of line, and either hardly ever called, so that size counts, or
 * often. */
#define HKI_SLOW __attribute__((cold, noinline))
#define HKI_MISS __attribute__((noinline))
/* A variable of another file. Without the attribute its address would come from a table, as if another library could
 * have one of the same name. */
#define HKI_DATA extern __attribute__((visibility("hidden")))

#ifdef HKI_DEBUG
enum { HKI_IS_DEBUG = 1 };
#else
enum { HKI_IS_DEBUG = 0 };
#endif
#define HKI_ASSERT(x) assert(!HKI_IS_DEBUG || (x))

/* The rule of 64: see the vocabulary in core/README.md. */
enum {
    HKI_GRANULE_SHIFT = 3,
    HKI_LINE_SHIFT = 10,
    HKI_UNIT_SHIFT = 16,
    HKI_SEGMENT_SHIFT = 22,
    HKI_GRANULE_SIZE = 1 << HKI_GRANULE_SHIFT,
    HKI_LINE_SIZE = 1 << HKI_LINE_SHIFT,
    HKI_UNIT_SIZE = 1 << HKI_UNIT_SHIFT,
    HKI_SEGMENT_SIZE = 1 << HKI_SEGMENT_SHIFT,
    HKI_LINES_PER_UNIT = HKI_UNIT_SIZE / HKI_LINE_SIZE,
    HKI_UNITS_PER_SEGMENT = HKI_SEGMENT_SIZE / HKI_UNIT_SIZE,
};
_Static_assert(HKI_LINES_PER_UNIT == 64 && HKI_UNITS_PER_SEGMENT == 64, "free lines and free units are one word each");

/* Orders all that is before it before all that is behind it, for all threads. TSan knows no fences. */
HKI_INLINE void hki_fence(void) {
#if defined(__SANITIZE_THREAD__)
    static _Atomic int all_threads_meet_here;
    atomic_fetch_add(&all_threads_meet_here, 1);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

HKI_INLINE bool hki_is_power_of_two(size_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

HKI_INLINE uintptr_t hki_align_up(uintptr_t n, size_t alignment) {
    return (n + (alignment - 1)) & ~(uintptr_t)(alignment - 1);
}

HKI_INLINE size_t hki_divide_up(size_t n, size_t by) {
    return n / by + (n % by != 0);
}

HKI_INLINE size_t hki_min(size_t a, size_t b) {
    return a < b ? a : b;
}

HKI_INLINE size_t hki_max(size_t a, size_t b) {
    return a > b ? a : b;
}

HKI_INLINE uintptr_t hki_rotate_right(uintptr_t n, unsigned by) {
    return n >> by | n << (sizeof n * CHAR_BIT - by);
}

HKI_INLINE unsigned hki_lowest_bit(uint64_t word) {
    return (unsigned)__builtin_ctzll(word);
}

HKI_INLINE unsigned hki_highest_bit(uint64_t word) {
    return 63U - (unsigned)__builtin_clzll(word);
}

HKI_INLINE unsigned hki_count_bits(uint64_t word) {
    return (unsigned)__builtin_popcountll(word);
}

/* The bits [first, first + count) of a word; 1 <= count <= 64. */
HKI_INLINE uint64_t hki_bit_range(unsigned first, unsigned count) {
    return (~UINT64_C(0) >> (64 - count)) << first;
}

/* Takes the lowest row of ones out of a word that is not 0. Returns its length; *first is where it began. */
HKI_INLINE unsigned hki_take_row(uint64_t *word, unsigned *first) {
    *first = hki_lowest_bit(*word);
    uint64_t rest = ~(*word >> *first);
    unsigned count = rest == 0 ? 64 : hki_lowest_bit(rest);
    *word &= ~hki_bit_range(*first, count);
    return count;
}

/* Whether two names stand for the same function in this process. Compilers take two names for two functions, whatever
 * the dynamic linker will make of one of them. */
typedef void (*hki_function)(void);
HKI_INLINE bool hki_is_same_function(hki_function a, hki_function b) {
    __asm__("" : "+r"(a));
    return a == b;
}
#define HKI_IS_SAME(a, b) hki_is_same_function((hki_function)(a), (hki_function)(b))

/* Marks functions that are compiled for processors with 32-byte registers; hki_cpu_is_wide tells whether this is
 * one. */
#if defined(__x86_64__)
#define HKI_WIDE __attribute__((target("avx2")))
HKI_INLINE bool hki_cpu_is_wide(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");
}
#else
#define HKI_WIDE
HKI_INLINE bool hki_cpu_is_wide(void) {
    return false;
}
#endif

/* Where `count` ones in a row begin in `word`, at a multiple of `alignment` (a power of two); -1 if nowhere.
 * Each step keeps the bits that begin a row twice as long, so the search takes log2(count) steps. */
static inline int hki_find_row(uint64_t word, unsigned count, unsigned alignment) {
    while (count > 1 && word != 0) {
        unsigned half = count / 2;
        word &= word >> half;
        count -= half;
    }
    if (alignment > 1) {
        uint64_t starts = 1;
        for (unsigned i = alignment; i < 64; i *= 2)
            starts |= starts << i;
        word &= starts;
    }
    return word == 0 ? -1 : (int)hki_lowest_bit(word);
}

#endif
