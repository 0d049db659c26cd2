/* wide: zeroing memory, and testing it for zeros, in wide steps. No state. */
#ifndef HKI_WIDE_H
#define HKI_WIDE_H

#include "base.h"

/* Memory of whatever type, at a multiple of 8: a word, and 32 bytes at a time. The compiler makes two instructions of
 * one of these, but in functions that are marked HKI_WIDE. */
typedef uint64_t hki_word __attribute__((may_alias));
typedef uint64_t hki_quad __attribute__((vector_size(32), aligned(8), may_alias));

/* Zeroes or tests `size` bytes, a multiple of 8 at a multiple of 8, in steps that may overlap. The length of a block is
 * not foreseeable, and a mispredicted branch costs more than some steps too many: so all lengths up to a kilobyte that
 * have more than one step take four of them. */
enum { HKI_STEP_QUADS = 8, HKI_STEP = HKI_STEP_QUADS * sizeof(hki_quad), HKI_STEPS = 4 };

/* Where the step begins that would begin at `at` if it did not end behind the block. */
HKI_INLINE const char *hki_step_at(const char *at, const char *last) {
    return at < last ? at : last;
}

HKI_INLINE void hki_zero_quads(const char *at, unsigned quads) {
    hki_quad *quad = (hki_quad *)(uintptr_t)at;
#pragma GCC unroll 8
    for (unsigned i = 0; i < quads; i++)
        quad[i] = (hki_quad){0};
}

HKI_INLINE void hki_zero_short(char *at, size_t size) {
    enum { HALF = HKI_STEP / 2, QUAD = sizeof(hki_quad) };
    if (size >= HALF) {
        hki_zero_quads(at, HALF / QUAD);
        hki_zero_quads(at + size - HALF, HALF / QUAD);
    } else if (size >= QUAD) {
        const char *last = at + size - QUAD;
        hki_zero_quads(at, 1);
        hki_zero_quads(hki_step_at(at + QUAD, last), 1);
        hki_zero_quads(hki_step_at(at + 2 * QUAD, last), 1);
        hki_zero_quads(last, 1);
    } else {
        for (size_t i = 0; i < size; i += sizeof(hki_word))
            *(hki_word *)(void *)(at + i) = 0;
    }
}

HKI_INLINE void hki_zero(void *start, size_t size) {
    if (HKI_UNLIKELY(size < HKI_STEP)) {
        hki_zero_short(start, size);
        return;
    }
    const char *at = start, *last = at + size - HKI_STEP;
    for (; HKI_UNLIKELY(last - at > HKI_STEP * (HKI_STEPS - 1)); at += HKI_STEP)
        hki_zero_quads(at, HKI_STEP_QUADS);
    hki_zero_quads(at, HKI_STEP_QUADS);
    hki_zero_quads(hki_step_at(at + HKI_STEP, last), HKI_STEP_QUADS);
    hki_zero_quads(hki_step_at(at + 2 * HKI_STEP, last), HKI_STEP_QUADS);
    hki_zero_quads(last, HKI_STEP_QUADS);
}

/* Two sums, so that one does not wait for the other. */
typedef struct hki_bits {
    hki_quad even, odd;
} hki_bits;

HKI_INLINE void hki_bits_add(hki_bits *bits, const char *at, unsigned quads) {
    const hki_quad *quad = (const hki_quad *)(const void *)at;
#pragma GCC unroll 8
    for (unsigned i = 0; i < quads; i += 2) {
        bits->even |= quad[i];
        if (i + 1 < quads)
            bits->odd |= quad[i + 1];
    }
}

HKI_INLINE bool hki_bits_none(const hki_bits *bits) {
    hki_quad all = bits->even | bits->odd;
    return ((all[0] | all[1]) | (all[2] | all[3])) == 0;
}

HKI_INLINE bool hki_is_zero_short(const char *at, size_t size) {
    enum { HALF = HKI_STEP / 2, QUAD = sizeof(hki_quad) };
    hki_bits bits = {{0}, {0}};
    if (size >= HALF) {
        hki_bits_add(&bits, at, HALF / QUAD);
        hki_bits_add(&bits, at + size - HALF, HALF / QUAD);
    } else if (size >= QUAD) {
        const char *last = at + size - QUAD;
        hki_bits_add(&bits, at, 1);
        hki_bits_add(&bits, hki_step_at(at + QUAD, last), 1);
        hki_bits_add(&bits, hki_step_at(at + 2 * QUAD, last), 1);
        hki_bits_add(&bits, last, 1);
    } else {
        for (size_t i = 0; i < size; i += sizeof(hki_word))
            bits.even[0] |= *(const hki_word *)(const void *)(at + i);
    }
    return hki_bits_none(&bits);
}

HKI_INLINE bool hki_is_zero(const void *start, size_t size) {
    if (HKI_UNLIKELY(size < HKI_STEP))
        return hki_is_zero_short(start, size);
    const char *at = start, *last = at + size - HKI_STEP;
    hki_bits bits = {{0}, {0}};
    for (; HKI_UNLIKELY(last - at > HKI_STEP * (HKI_STEPS - 1)); at += HKI_STEP)
        hki_bits_add(&bits, at, HKI_STEP_QUADS);
    hki_bits_add(&bits, at, HKI_STEP_QUADS);
    hki_bits_add(&bits, hki_step_at(at + HKI_STEP, last), HKI_STEP_QUADS);
    hki_bits_add(&bits, hki_step_at(at + 2 * HKI_STEP, last), HKI_STEP_QUADS);
    hki_bits_add(&bits, last, HKI_STEP_QUADS);
    return hki_bits_none(&bits);
}

#endif
