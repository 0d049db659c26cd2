/* run: see run.h. */
#include "run.h"

static void set_tags(uint32_t first_line, unsigned from, unsigned lines, uint32_t tag) {
    for (unsigned i = from; i < lines; i++)
        hki_line_set_tag(first_line + i, tag);
}

static hki_run *lay_out(uint32_t first_line, unsigned lines, unsigned size_class, unsigned blocks, uint32_t heap_tag) {
    hki_run *run = hki_run_record(first_line);
    run->next = run->previous = 0;
    run->parked = 0;
    run->blocks = (uint16_t)blocks;
    atomic_store_explicit(&run->size_class, (uint8_t)size_class, memory_order_relaxed);
    atomic_store_explicit(&run->lines, (uint8_t)lines, memory_order_relaxed);
    atomic_store_explicit(&run->any_size, false, memory_order_relaxed);
    atomic_store_explicit(&run->borrowed, false, memory_order_relaxed);
    set_tags(first_line, 0, lines, heap_tag | size_class);
    _Atomic uint64_t *starts = &hki_line_unit(first_line)->run_starts;
    uint64_t mask = hki_run_mask(first_line, 1);
    HKI_ASSERT((atomic_load(starts) & mask) == 0);
    atomic_store_explicit(starts, atomic_load_explicit(starts, memory_order_relaxed) | mask, memory_order_relaxed);
    return run;
}

/* Sets the bits of `blocks` blocks in words that are 0. Where several blocks begin in a word, all words but the last
 * have the same bits, shifted. */
static void set_starts(uint64_t *words, unsigned stride, unsigned blocks) {
    unsigned end = blocks * stride;
    if (stride >= 64) {
        for (unsigned granule = 0; granule < end; granule += stride)
            words[granule >> 6] = UINT64_C(1) << (granule & 63);
        return;
    }
    uint64_t pattern = 1;
    for (unsigned length = stride; length < 64; length *= 2)
        pattern |= pattern << length;
    unsigned first = 0, step = 64 % stride;
    for (unsigned granule = 0; granule < end; granule += 64) {
        *words++ = pattern << first;
        first = first >= step ? first - step : first + stride - step;
    }
    if (end % 64 != 0)
        words[-1] &= ~UINT64_C(0) >> (64 - end % 64);
}

void hki_run_create(uint32_t first_line, unsigned lines, unsigned size_class, uint32_t heap_tag) {
    unsigned stride = hki_classes[size_class].size / HKI_GRANULE_SIZE;
    unsigned blocks = lines * HKI_GRANULES_PER_LINE / stride;
    hki_run *run = lay_out(first_line, lines, size_class, blocks, heap_tag);
    set_starts(&hki_registry.parked[(size_t)first_line * HKI_WORDS_PER_LINE], stride, blocks);
    run->parked = (uint16_t)blocks;
}

void hki_run_create_large(uint32_t first_line, unsigned lines, uint32_t heap_tag) {
    lay_out(first_line, lines, HKI_CLASS_LARGE, 1, heap_tag);
}

void hki_run_resize_large(uint32_t first_line, unsigned lines, uint32_t heap_tag) {
    hki_run *run = hki_run_record(first_line);
    set_tags(first_line, hki_run_lines(run), lines, heap_tag | HKI_CLASS_LARGE);
    atomic_store_explicit(&run->lines, (uint8_t)lines, memory_order_relaxed);
}

void hki_run_remove(uint32_t first_line) {
    hki_run *run = hki_run_record(first_line);
    if (run->parked > 0) {
        HKI_ASSERT(run->parked == run->blocks);
        uint64_t *words = &hki_registry.parked[(size_t)first_line * HKI_WORDS_PER_LINE];
        for (unsigned i = 0; i < hki_run_lines(run) * HKI_WORDS_PER_LINE; i++)
            words[i] = 0;
    }
    _Atomic uint64_t *starts = &hki_line_unit(first_line)->run_starts;
    uint64_t rest = atomic_load_explicit(starts, memory_order_relaxed) & ~hki_run_mask(first_line, 1);
    atomic_store_explicit(starts, rest, memory_order_relaxed);
}

/* Granules from one block to the next. */
static unsigned stride_of(uint32_t first_line) {
    unsigned size_class = atomic_load_explicit(&hki_run_record(first_line)->size_class, memory_order_relaxed);
    return hki_classes[size_class].size / HKI_GRANULE_SIZE;
}

/* The blocks in these granules will be written to. */
static void dirty_lines(uintptr_t first, uintptr_t end) {
    uint32_t line = hki_granule_line(first);
    hki_line_unit(line)->clean_lines &= ~hki_run_mask(line, hki_granule_line(end - 1) - line + 1);
}

unsigned hki_run_unpark(uint32_t first_line, uintptr_t *granules, unsigned max) {
    hki_run *run = hki_run_record(first_line);
    uint64_t *words = &hki_registry.parked[(size_t)first_line * HKI_WORDS_PER_LINE];
    unsigned count = (unsigned)hki_min(max, run->parked);
    uintptr_t *next = granules + count;
    for (uintptr_t granule = hki_line_granule(first_line); next != granules; granule += 64, words++) {
        uint64_t bits = *words;
        if (bits == 0)
            continue;
        do {
            *--next = granule + (uintptr_t)__builtin_ctzll(bits);
            bits &= bits - 1;
        } while (bits != 0 && next != granules);
        *words = bits;
    }
    run->parked = (uint16_t)(run->parked - count);
    if (count > 0)
        dirty_lines(granules[count - 1], granules[0] + stride_of(first_line));
    return count;
}

/* Whether only parked blocks reach into a line; `offset` is its distance from the run's start. */
static bool is_line_parked(const uint64_t *words, unsigned offset, unsigned stride, unsigned blocks) {
    unsigned first = (unsigned)hki_divide_up(offset, stride);
    unsigned end = (unsigned)hki_min(hki_divide_up(offset + HKI_GRANULES_PER_LINE, stride), blocks);
    unsigned reaches_in = first > 0 && offset % stride != 0 ? first - 1 : first;
    for (unsigned i = reaches_in; i < end; i++)
        if ((words[i * stride >> 6] >> (i * stride & 63) & 1) == 0)
            return false;
    return true;
}

uint64_t hki_run_parked_lines(uint32_t first_line) {
    const hki_run *run = hki_run_record(first_line);
    unsigned lines = hki_run_lines(run);
    uint64_t mask = 0;
    if (run->parked == run->blocks && run->parked > 0)
        return hki_run_mask(first_line, lines);
    if (run->parked == 0)
        return 0;
    const uint64_t *words = &hki_registry.parked[(size_t)first_line * HKI_WORDS_PER_LINE];
    for (unsigned i = 0; i < lines; i++)
        if (is_line_parked(words, i * HKI_GRANULES_PER_LINE, stride_of(first_line), run->blocks))
            mask |= hki_run_mask(first_line + i, 1);
    return mask;
}
