/* heap: see heap.h. */
#include "hardened.h"
#include "heap_lines.h"

#include "heap_pages.h"
#include "lock.h"
#include "os.h"

#include <string.h>

enum {
    BORROWED_MIN = 8, /* and more of small blocks, until they would fill a line */
    REFILLS_PER_COLLECTION = 16,
    BLOCKS_PER_SLOT = 8, /* of a stack before it grows */
};

uintptr_t hki_no_blocks[2] = {0, HKI_STACK_END};

hki_heap hki_empty_heap = {
    .top = {[0 ... HKI_CLASSES] = hki_no_blocks},
    .tag = HKI_NO_TAG,
    .line_tag = HKI_NO_TAG,
    .class_table = hki_class_table_16,
};

void hki_heap_init(hki_heap *heap, uint32_t number, void *storage, void *storage_end) {
    memset(heap, 0, sizeof *heap);
    for (unsigned size_class = 0; size_class <= HKI_CLASSES; size_class++)
        atomic_init(&heap->top[size_class], hki_no_blocks);
    heap->tag = heap->line_tag = number << HKI_TAG_SHIFT;
    heap->storage = heap->storage_begin = heap->storage_used = storage;
    heap->storage_end = storage_end;
}

void hki_heap_start(hki_heap *heap, const uint8_t *class_table, hki_quota *quota, hki_pool *pool) {
    heap->tag = heap->line_tag;
    heap->storage = heap->storage_begin;
    heap->delays = NULL;
    heap->class_table = class_table;
    heap->quota = quota;
    heap->pool = pool;
    atomic_store_explicit(&heap->pending, hki_heap_new_life(), memory_order_relaxed);
}

/* ---- runs ---- */

static void run_list_add(hki_heap *heap, uint32_t first_line, unsigned size_class) {
    hki_run *run = hki_run_record(first_line);
    uint32_t *first = &heap->books[size_class].parked_runs;
    run->previous = 0;
    run->next = *first;
    if (*first != 0)
        hki_run_record(*first)->previous = first_line;
    *first = first_line;
}

static void run_list_remove(hki_heap *heap, uint32_t first_line, unsigned size_class) {
    hki_run *run = hki_run_record(first_line);
    if (run->previous != 0)
        hki_run_record(run->previous)->next = run->next;
    else
        heap->books[size_class].parked_runs = run->next;
    if (run->next != 0)
        hki_run_record(run->next)->previous = run->previous;
}

static void count_run(hki_class_books *books, const hki_run *run) {
    hki_count_add(&books->blocks, run->blocks);
    hki_count_add(&books->parked, run->parked);
    hki_count_add(&books->lines, hki_run_lines(run));
}

hk_status hki_heap_add_run(hki_heap *heap, unsigned size_class) {
    hki_class_books *books = &heap->books[size_class];
    unsigned wanted = hki_class_run_lines(size_class, atomic_load_explicit(&books->lines, memory_order_relaxed));
    hki_lines lines;
    hk_status status = hki_heap_take_lines(heap, wanted, hki_classes[size_class].few_lines, 1, &lines);
    if (status != HK_OK)
        return status;
    if (heap->delays != NULL && !lines.clean)
        memset(hki_granule_address(hki_line_granule(lines.first)), 0, (size_t)lines.count << HKI_LINE_SHIFT);
    hki_run_create(lines.first, lines.count, size_class, heap->line_tag);
    count_run(books, hki_run_record(lines.first));
    run_list_add(heap, lines.first, size_class);
    return HK_OK;
}

/* Ends a run whose blocks are all parked, or of class LARGE. */
static void remove_run(hki_heap *heap, uint32_t first_line, unsigned size_class) {
    hki_class_books *books = &heap->books[size_class];
    const hki_run *run = hki_run_record(first_line);
    unsigned lines = hki_run_lines(run);
    if (size_class != HKI_CLASS_LARGE)
        run_list_remove(heap, first_line, size_class);
    hki_count_sub(&books->blocks, run->blocks);
    hki_count_sub(&books->parked, run->parked);
    hki_count_sub(&books->lines, lines);
    hki_run_remove(first_line);
    hki_heap_give_lines(heap, first_line, lines);
}

/* A run that is all parked ends, unless it is the only one with free blocks of its class. */
static bool end_if_parked(hki_heap *heap, uint32_t first_line, unsigned size_class) {
    const hki_run *run = hki_run_record(first_line);
    bool is_only = heap->books[size_class].parked_runs == first_line && run->next == 0;
    if (run->parked != run->blocks || is_only)
        return false;
    remove_run(heap, first_line, size_class);
    return true;
}

/* Parks blocks, of which neighbours are often in the same word of bits, or at least in the same run. */
void hki_heap_park(hki_heap *heap, const uintptr_t *granules, uint32_t count, unsigned size_class) {
    hki_class_books *books = &heap->books[size_class];
    uint32_t first_line = 0, end_line = 0;
    hki_run *run = NULL;
    hki_count_add(&books->parked, count);
    for (const uintptr_t *next = granules, *end = granules + count; next != end;) {
        uint32_t line = hki_granule_line(*next);
        if (line < first_line || line >= end_line) {
            first_line = hki_run_at(line);
            run = hki_run_record(first_line);
            end_line = first_line + hki_run_lines(run);
        }
        const uintptr_t *begin = next;
        uintptr_t word = *next >> 6;
        uint64_t bits = 0;
        do
            bits |= hki_granule_mask(*next++);
        while (next != end && *next >> 6 == word);
        if (run->parked == 0)
            run_list_add(heap, first_line, size_class);
        hki_run_park(run, word, bits, (uint32_t)(next - begin));
        if (HKI_UNLIKELY(run->parked == run->blocks) && end_if_parked(heap, first_line, size_class))
            end_line = 0;
    }
}

/* The same for blocks of one word of bits: of one run, that is. */
static void park_word(hki_heap *heap, size_t word, uint64_t bits, unsigned size_class) {
    uint32_t first_line = hki_run_at(hki_granule_line(word * 64));
    hki_run *run = hki_run_record(first_line);
    unsigned count = hki_count_bits(bits);
    if (run->parked == 0)
        run_list_add(heap, first_line, size_class);
    hki_run_park(run, word, bits, count);
    hki_count_add(&heap->books[size_class].parked, count);
    end_if_parked(heap, first_line, size_class);
}

/* ---- stacks ---- */

static void set_stacked(hki_heap *heap, unsigned size_class, uint32_t count) {
    atomic_store_explicit(&heap->top[size_class], hki_heap_bottom(heap, size_class) + count, memory_order_relaxed);
}

/* Lets the stack of a class grow, or begin. The storage is sized for all stacks at all their sizes. */
static void grow_stack(hki_heap *heap, unsigned size_class) {
    hki_class_books *books = &heap->books[size_class];
    uint32_t wanted = books->slots == 0 ? HKI_FIRST_STACK_SLOTS : books->slots * (uint32_t)HKI_STACK_GROWTH;
    uint32_t slots = (uint32_t)hki_min(hki_classes[size_class].stack_slots, wanted);
    uint32_t count = hki_heap_stacked(heap, size_class);
    uintptr_t *bottom = heap->storage;
    HKI_ASSERT(slots > books->slots && slots + (size_t)2 <= (size_t)(heap->storage_end - heap->storage));
    memcpy(bottom, hki_heap_bottom(heap, size_class), (count + (size_t)1) * sizeof *bottom);
    memset(bottom + count + 1, 0, (slots - count) * sizeof *bottom); /* no END of an earlier stack */
    bottom[slots + 1] = HKI_STACK_END;
    atomic_store_explicit(&books->stack, (uint16_t)(bottom - heap->storage_begin + 1), memory_order_relaxed);
    books->slots = (uint16_t)slots;
    heap->classes_used[size_class / 64] |= UINT64_C(1) << size_class % 64;
    heap->storage += slots + 2;
    if (heap->storage > heap->storage_used)
        heap->storage_used = heap->storage;
    set_stacked(heap, size_class, count);
}

static bool can_grow(const hki_heap *heap, unsigned size_class) {
    return heap->books[size_class].slots < hki_classes[size_class].stack_slots;
}

/* A class that only allocates gets a longer stack when it has more blocks than slots; many more, in a heap of one
 * unit. */
static bool should_grow(const hki_heap *heap, unsigned size_class) {
    const hki_class_books *books = &heap->books[size_class];
    uint32_t per_slot = heap->units > 1 ? 1 : BLOCKS_PER_SLOT;
    return can_grow(heap, size_class) && books->blocks >= books->slots * per_slot;
}

/* Parks the `n` oldest blocks of a stack: half of it or more. */
static void flush(hki_heap *heap, unsigned size_class, uint32_t n) {
    uintptr_t *blocks = hki_heap_bottom(heap, size_class) + 1;
    hki_heap_park(heap, blocks, n, size_class);
    uint32_t rest = hki_heap_stacked(heap, size_class) - n;
    HKI_ASSERT(n >= rest);
    memcpy(blocks, blocks + n, rest * sizeof *blocks);
    set_stacked(heap, size_class, rest);
}

uint32_t hki_heap_unpark(hki_heap *heap, unsigned size_class, uintptr_t *granules, uint32_t max) {
    hki_class_books *books = &heap->books[size_class];
    uint32_t count = 0;
    while (count < max && books->parked_runs != 0) {
        uint32_t first_line = books->parked_runs;
        count += hki_run_unpark(first_line, granules + count, max - count);
        if (hki_run_record(first_line)->parked == 0)
            run_list_remove(heap, first_line, size_class);
    }
    hki_count_sub(&books->parked, count);
    return count;
}

/* Takes parked blocks onto an empty stack, up to half of it. */
static void unpark(hki_heap *heap, unsigned size_class) {
    uintptr_t *blocks = hki_heap_bottom(heap, size_class) + 1;
    set_stacked(heap, size_class, hki_heap_unpark(heap, size_class, blocks, heap->books[size_class].slots / 2U));
}

static void remove_parked_runs(hki_heap *heap, unsigned size_class) {
    uint32_t next;
    for (uint32_t line = heap->books[size_class].parked_runs; line != 0; line = next) {
        const hki_run *run = hki_run_record(line);
        next = run->next;
        if (run->parked == run->blocks)
            remove_run(heap, line, size_class);
    }
}

_Static_assert(HKI_CLASSES <= 128, "two words have a bit for each class");

/* Calls a function for each class that has a stack: the others have neither runs nor blocks. */
HKI_INLINE void for_used_classes(hki_heap *heap, void (*visit)(hki_heap *heap, unsigned size_class)) {
    for (unsigned word = 0; word < 2; word++)
        for (uint64_t bits = heap->classes_used[word]; bits != 0; bits &= bits - 1)
            visit(heap, word * 64 + hki_lowest_bit(bits));
}

/* In a heap of one unit and of alignment 8, lines of classes without live blocks can be had by others: a young
 * interpreter soon goes back to few classes. */
static void end_if_idle(hki_heap *heap, unsigned size_class) {
    const hki_class_books *books = &heap->books[size_class];
    uint32_t stacked = hki_heap_stacked(heap, size_class);
    if (books->blocks == 0 || books->blocks != books->parked + stacked)
        return;
    flush(heap, size_class, stacked);
    remove_parked_runs(heap, size_class);
}

/* What others have freed waits until the class has no blocks left, or for some refills of whatever class: a collection
 * looks at whole units, so it should find many blocks there. */
bool hki_heap_should_collect(hki_heap *heap, unsigned size_class) {
    const hki_class_books *books = &heap->books[size_class];
    if (!hki_heap_has_pending(heap))
        return false;
    return books->parked_runs == 0 || ++heap->refills_pending >= REFILLS_PER_COLLECTION;
}

hk_status hki_heap_refill(hki_heap *heap, unsigned size_class) {
    hki_class_books *books = &heap->books[size_class];
    if (hki_heap_should_collect(heap, size_class))
        hki_heap_collect(heap);
    if (HKI_UNLIKELY(atomic_load_explicit(&heap->trim_wanted, memory_order_relaxed)))
        hki_heap_trim(heap);
    if (hki_heap_stacked(heap, size_class) > 0)
        return HK_OK;
    hki_heap_pages_freed(heap, 0);
    if (should_grow(heap, size_class))
        grow_stack(heap, size_class);
    if (books->parked_runs == 0) {
        if (heap->units == 1 && heap->class_table == hki_class_table_8) /* others fill up and empty again and again */
            for_used_classes(heap, end_if_idle);
        hk_status status = hki_heap_add_run(heap, size_class);
        if (status != HK_OK)
            return status;
    }
    unpark(heap, size_class);
    return HK_OK;
}

unsigned hki_heap_serving_class(hki_heap *heap, unsigned size_class, size_t alignment) {
    size_t size = hki_classes[size_class].size;
    unsigned best = size_class;
    if (heap->books[size_class].blocks != 0 || heap->units > 1 ||
        heap->borrowed[size_class] >= hki_max(HKI_LINE_SIZE / size, BORROWED_MIN))
        return size_class;
    for (unsigned other = size_class + 1; other < HKI_CLASSES && hki_classes[other].size <= 2 * size; other++) {
        const hki_class_shape *shape = &hki_classes[other];
        if (shape->size % alignment != 0 || hki_class_of(heap->class_table, shape->size) != other)
            continue;
        if (hki_heap_stacked(heap, other) > 0 || heap->books[other].parked > 0) {
            best = other;
            break;
        }
        if (shape->few_lines < hki_classes[best].few_lines && shape->size <= size + size / 4)
            best = other;
    }
    heap->borrowed[size_class] = (uint8_t)(heap->borrowed[size_class] + (best != size_class));
    return best;
}

/* A dead block goes to its stack, or to its run if there is no room. */
static void take_back(hki_heap *heap, uintptr_t granule) {
    unsigned size_class = hki_granule_class(granule);
    if (heap->delays != NULL)
        hki_hardened_break_seal(granule, size_class);
    if (size_class == HKI_CLASS_LARGE) {
        uint32_t line = hki_granule_line(granule);
        unsigned lines = hki_run_lines(hki_run_record(line));
        remove_run(heap, line, size_class);
        hki_heap_pages_freed(heap, (size_t)lines << HKI_LINE_SHIFT);
    } else if (heap->delays != NULL) {
        hki_hardened_put(heap, size_class, granule);
    } else if (hki_heap_is_full(heap, size_class)) {
        hki_heap_park(heap, &granule, 1, size_class);
    } else {
        uint32_t count = hki_heap_stacked(heap, size_class);
        hki_heap_bottom(heap, size_class)[count + 1] = granule;
        set_stacked(heap, size_class, count + 1);
    }
}

static bool has_remote_bits(uint32_t line) {
    const _Atomic uint64_t *words = &hki_registry.remote[(size_t)line * HKI_WORDS_PER_LINE];
    uint64_t any = 0;
    for (unsigned i = 0; i < HKI_WORDS_PER_LINE; i++)
        any |= atomic_load_explicit(&words[i], memory_order_seq_cst);
    return any != 0;
}

/* Lets the fast path free in a line again, if nothing there waits to be collected. Who finds the mark before it goes
 * has set his bit before that, so we see it behind the fence, and set the mark again. */
void hki_heap_unmark(uint32_t line) {
    _Atomic uint32_t *tag = &hki_registry.line_tags[line];
    if (has_remote_bits(line))
        return;
    hki_line_set_tag(line, atomic_load_explicit(tag, memory_order_relaxed) & ~HKI_TAG_REMOTE);
    hki_fence(); /* pairs with the seq_cst accesses in hki_heap_free_remote and notify */
    if (has_remote_bits(line))
        atomic_fetch_or_explicit(tag, HKI_TAG_REMOTE, memory_order_seq_cst);
}

bool hki_heap_free_marked(hki_heap *heap, uintptr_t granule) {
    if (!hki_granule_exists(granule))
        return false;
    hki_found found = {.word = hki_live_word(granule)};
    found.live = atomic_load_explicit(found.word, memory_order_relaxed);
    found.size_class = hki_granule_tag(granule) ^ heap->tag ^ HKI_TAG_REMOTE;
    uint64_t remote = atomic_load_explicit(hki_remote_word(granule), memory_order_seq_cst);
    if ((found.live & ~remote & hki_granule_mask(granule)) == 0 || found.size_class >= HKI_CLASS_LARGE)
        return false;
    if (!hki_heap_push(heap, granule, found))
        return false;
    hki_heap_unmark(hki_granule_line(granule));
    return true;
}

/* Half of the stack goes back to the runs. */
static void make_room(hki_heap *heap, unsigned size_class) {
    uint32_t n = (heap->books[size_class].slots + 1U) / 2;
    flush(heap, size_class, n);
    hki_heap_pages_freed(heap, (size_t)n * hki_classes[size_class].size);
}

void hki_heap_free(hki_heap *heap, uintptr_t granule) {
    unsigned size_class = hki_granule_class(granule);
    hki_live_clear(granule);
    if (size_class != HKI_CLASS_LARGE && hki_heap_is_full(heap, size_class)) {
        if (can_grow(heap, size_class))
            grow_stack(heap, size_class);
        else
            make_room(heap, size_class);
    }
    take_back(heap, granule);
}

/* ---- blocks of whole lines ---- */

uintptr_t hki_heap_alloc_lines(hki_heap *heap, unsigned count, unsigned alignment, bool *clean, hk_status *status) {
    hki_lines lines;
    if (hki_heap_has_pending(heap))
        hki_heap_collect(heap);
    *status = hki_heap_take_lines(heap, count, count, alignment, &lines);
    if (*status != HK_OK)
        return 0;
    *clean = lines.clean;
    hki_heap_dirty_lines(lines.first, count);
    hki_run_create_large(lines.first, count, heap->line_tag);
    count_run(&heap->books[HKI_CLASS_LARGE], hki_run_record(lines.first));
    hki_live_set(hki_line_granule(lines.first));
    return hki_line_granule(lines.first);
}

hk_status hki_heap_resize_lines(hki_heap *heap, uintptr_t granule, unsigned lines) {
    uint32_t first = hki_granule_line(granule);
    unsigned now = hki_run_lines(hki_run_record(first));
    hki_class_books *books = &heap->books[HKI_CLASS_LARGE];
    if (lines > now) {
        unsigned more = lines - now;
        if (first % HKI_LINES_PER_UNIT + lines > HKI_LINES_PER_UNIT)
            return HK_ERR_BUSY;
        uint64_t mask = hki_run_mask(first + now, more);
        if ((hki_unit_free_lines(hki_line_unit(first)) & mask) != mask)
            return HK_ERR_BUSY;
        if (!hki_quota_take(heap->quota, more))
            return HK_ERR_LIMIT;
        hki_heap_use_lines(heap, first + now, more);
        hki_heap_dirty_lines(first + now, more);
        hki_count_add(&books->lines, more);
        hki_run_resize_large(first, lines, heap->line_tag);
    } else if (lines < now) {
        hki_run_resize_large(first, lines, heap->line_tag);
        hki_count_sub(&books->lines, now - lines);
        hki_heap_give_lines(heap, first + lines, now - lines);
    }
    return HK_OK;
}

/* ---- remote frees: the owner's side; the other is in heap_remote.c ---- */

/* take_back for blocks of one word of bits, which are of one class. */
static void take_back_word(hki_heap *heap, size_t word, uint64_t freed) {
    unsigned size_class = hki_granule_class(word * 64);
    if (size_class == HKI_CLASS_LARGE || heap->delays != NULL) {
        for (; freed != 0; freed &= freed - 1)
            take_back(heap, word * 64 + hki_lowest_bit(freed));
        return;
    }
    uint32_t stacked = hki_heap_stacked(heap, size_class), slots = heap->books[size_class].slots;
    uintptr_t *blocks = hki_heap_bottom(heap, size_class) + 1;
    for (; freed != 0 && stacked < slots; freed &= freed - 1)
        blocks[stacked++] = word * 64 + hki_lowest_bit(freed);
    set_stacked(heap, size_class, stacked);
    if (freed != 0)
        park_word(heap, word, freed, size_class);
}

static void collect_word(hki_heap *heap, size_t word) {
    _Atomic uint64_t *live_word = &hki_registry.live[word], *remote_word = &hki_registry.remote[word];
    uint64_t live = atomic_load_explicit(live_word, memory_order_relaxed);
    uint64_t freed = atomic_load_explicit(remote_word, memory_order_seq_cst) & live;
    if (freed == 0)
        return;
    atomic_store_explicit(live_word, live & ~freed, memory_order_release); /* first: see was_dead */
    atomic_fetch_and_explicit(remote_word, ~freed, memory_order_seq_cst);
    take_back_word(heap, word, freed);
}

static void collect_unit(hki_heap *heap, uint32_t number) {
    hki_unit *unit = hki_unit_at(number);
    HKI_ASSERT(atomic_load(&unit->owner) == (uintptr_t)heap);
    atomic_exchange_explicit(&unit->remote_lines, 0, memory_order_seq_cst);
    atomic_fetch_add_explicit(&unit->collections, 1, memory_order_seq_cst);
    for (uint64_t lines = hki_unit_marked_lines(number); lines != 0; lines &= lines - 1) {
        size_t line = (size_t)number * HKI_LINES_PER_UNIT + hki_lowest_bit(lines);
        for (unsigned i = 0; i < HKI_WORDS_PER_LINE; i++)
            collect_word(heap, line * HKI_WORDS_PER_LINE + i);
    }
    atomic_fetch_add_explicit(&unit->collections, 1, memory_order_seq_cst);
    if (hki_unit_free_lines(unit) == HKI_ALL_LINES)
        hki_heap_unit_is_empty(heap, number);
}

void hki_heap_collect(hki_heap *heap) {
    heap->refills_pending = 0;
    uint64_t life = atomic_load_explicit(&heap->pending, memory_order_relaxed) & ~(uint64_t)UINT32_MAX;
    uint32_t number = hki_pending_unit(atomic_exchange_explicit(&heap->pending, life, memory_order_acquire));
    while (number != 0) {
        uint32_t next = hki_unit_at(number)->pending_next; /* before others may push the unit again */
        collect_unit(heap, number);
        number = next;
    }
}

/* ---- everything at once ---- */

static void reclaim_class(hki_heap *heap, unsigned size_class) {
    if (heap->delays != NULL)
        hki_hardened_flush(heap, size_class);
    else
        flush(heap, size_class, hki_heap_stacked(heap, size_class));
    remove_parked_runs(heap, size_class);
}

void hki_heap_reclaim(hki_heap *heap) {
    hki_heap_collect(heap);
    for_used_classes(heap, reclaim_class);
    uint32_t spare = heap->spare;
    heap->spare = 0;
    if (spare != 0)
        hki_heap_give_unit(heap, spare);
}

void hki_heap_trim(hki_heap *heap) {
    atomic_store_explicit(&heap->trim_wanted, false, memory_order_relaxed);
    hki_heap_reclaim(heap);
    hki_heap_pages_purge(heap);
}

static void clear_class(hki_heap *heap, unsigned size_class) {
    heap->books[size_class] = (hki_class_books){0};
    set_stacked(heap, size_class, 0);
}

void hki_heap_clear(hki_heap *heap, unsigned keep) {
    if (heap->delays != NULL)
        hki_hardened_erase_all(heap);
    hki_quota_give(heap->quota, hki_heap_clear_units(heap, keep));
    for_used_classes(heap, clear_class);
    heap->books[HKI_CLASS_LARGE] = (hki_class_books){0};
    heap->classes_used[0] = heap->classes_used[1] = 0;
    heap->storage = heap->storage_begin;
    heap->freed_bytes = 0;
    memset(heap->borrowed, 0, sizeof heap->borrowed);
    if (heap->delays != NULL)
        hki_hardened_start(heap);
}

/* ---- heaps without an owner ---- */

void hki_heap_free_to_run(hki_heap *heap, uintptr_t granule) {
    unsigned size_class = hki_granule_class(granule);
    hki_live_clear(granule);
    if (size_class == HKI_CLASS_LARGE)
        take_back(heap, granule);
    else
        hki_heap_park(heap, &granule, 1, size_class);
}

size_t hki_heap_live_blocks(const hki_heap *heap) {
    size_t live = 0;
    for (unsigned size_class = 0; size_class <= HKI_CLASS_LARGE; size_class++)
        live += atomic_load_explicit(&heap->books[size_class].blocks, memory_order_relaxed) -
                atomic_load_explicit(&heap->books[size_class].parked, memory_order_relaxed);
    return live;
}
