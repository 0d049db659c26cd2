/* hardened: see hardened.h. State: how many heaps there have been, so that no two draw the same numbers. */
#include "hardened.h"

#include "heap_lines.h"
#include "heap_pages.h"
#include "os.h"

#include <string.h>

/* How many blocks of a class wait in its ring at least, before they can be handed out again; and how many are in its
 * urn at most, at least when one is drawn from it, and after it was filled or had to give some back. By bytes, within
 * bounds. */
enum {
    RING_BYTES = 16384,
    RING_MOST = 64,
    RING_LEAST = 4,
    URN_BYTES = 16384,
    URN_MOST = 32,
    URN_LEAST = 4,
    PURGE_BYTES = 1 << 20, /* what is longer is purged and not written, when it is to be zero */
};

/* The largest power of two that the bounds allow. */
static unsigned slots_of(size_t size, size_t bytes, unsigned least, unsigned most) {
    unsigned slots = least;
    while (slots < most && 2 * slots * size <= bytes)
        slots *= 2;
    return slots;
}

#define WITHIN(n, least, most) ((n) < (least) ? (least) : (n) > (most) ? (most) : (n))
#define CLASS_BYTES(size, ...)                                                                                         \
    +sizeof(hki_delay) + sizeof(uintptr_t) * (WITHIN(RING_BYTES / (size), RING_LEAST, RING_MOST) +                     \
                                              WITHIN(URN_BYTES / (size), URN_LEAST, URN_MOST))
enum { DELAYS_BYTES = HKI_SIZE_CLASSES(CLASS_BYTES, CLASS_BYTES), HEADER_BYTES = 4096 };
_Static_assert(DELAYS_BYTES <= HKI_SLOT_SIZE - HEADER_BYTES, "a slot holds them beside its header");

static void use_storage(hki_heap *heap, size_t words) {
    heap->storage += words;
    if (heap->storage > heap->storage_used)
        heap->storage_used = heap->storage;
    HKI_ASSERT(heap->storage <= heap->storage_end);
}

void hki_hardened_start(hki_heap *heap) {
    static _Atomic uint64_t heaps;
    hki_delay *delays = (hki_delay *)(void *)heap->storage;
    use_storage(heap, HKI_CLASSES * sizeof *delays / sizeof *heap->storage);
    for (unsigned size_class = 0; size_class < HKI_CLASSES; size_class++)
        delays[size_class] = (hki_delay){.size = hki_classes[size_class].size};
    heap->random = hki_secret_mix(atomic_fetch_add_explicit(&heaps, 1, memory_order_relaxed));
    heap->tag = HKI_NO_TAG;
    heap->delays = delays;
}

/* Slots for a class that is used for the first time. */
static void use_class(hki_heap *heap, unsigned size_class) {
    hki_delay *delay = &heap->delays[size_class];
    delay->ring_slots = (uint16_t)slots_of(delay->size, RING_BYTES, RING_LEAST, RING_MOST);
    delay->urn_slots = (uint16_t)slots_of(delay->size, URN_BYTES, URN_LEAST, URN_MOST);
    delay->urn_least = delay->urn_slots / 4;
    delay->slots = heap->storage;
    use_storage(heap, (size_t)delay->urn_slots + delay->ring_slots);
    heap->classes_used[size_class / 64] |= UINT64_C(1) << size_class % 64;
}

/* Parks the last `n` blocks of the urn, which are in no order. */
static void park_from_urn(hki_heap *heap, unsigned size_class, unsigned n) {
    hki_delay *delay = &heap->delays[size_class];
    unsigned rest = hki_delay_load(&delay->urn_blocks) - n;
    hki_delay_store(&delay->urn_blocks, rest);
    hki_heap_park(heap, delay->slots + rest, n, size_class);
    hki_heap_pages_freed(heap, (size_t)n * delay->size);
}

void hki_hardened_put_slow(hki_heap *heap, unsigned size_class, uintptr_t granule) {
    hki_delay *delay = &heap->delays[size_class];
    unsigned in_ring = hki_delay_load(&delay->ring_blocks);
    if (in_ring == delay->ring_slots) {
        park_from_urn(heap, size_class, delay->urn_slots / 2);
        hki_hardened_put(heap, size_class, granule);
        return;
    }
    delay->slots[delay->urn_slots + in_ring] = granule;
    hki_delay_store(&delay->ring_blocks, in_ring + 1);
    if (in_ring + 1 == delay->ring_slots)
        delay->urn_room = delay->urn_slots;
}

void hki_hardened_flush(hki_heap *heap, unsigned size_class) {
    hki_delay *delay = &heap->delays[size_class];
    uintptr_t next = atomic_load_explicit(&delay->next, memory_order_relaxed);
    if (delay->slots == NULL)
        return;
    park_from_urn(heap, size_class, hki_delay_load(&delay->urn_blocks));
    hki_heap_park(heap, delay->slots + delay->urn_slots, hki_delay_load(&delay->ring_blocks), size_class);
    hki_heap_park(heap, &next, next != 0, size_class);
    hki_delay_store(&delay->ring_blocks, 0);
    atomic_store_explicit(&delay->next, 0, memory_order_relaxed);
    delay->ring_next = delay->urn_room = 0;
}

/* Fills half of the urn, as far as that can be had. */
static hk_status fill_urn(hki_heap *heap, unsigned size_class) {
    hki_delay *delay = &heap->delays[size_class];
    unsigned goal = delay->urn_slots / 2, count = hki_delay_load(&delay->urn_blocks);
    hk_status status = HK_OK;
    while (status == HK_OK && count < goal) {
        uint32_t got = hki_heap_unpark(heap, size_class, delay->slots + count, goal - count);
        count += got;
        hki_delay_store(&delay->urn_blocks, count);
        if (got == 0)
            status = hki_heap_add_run(heap, size_class);
    }
    return count > 0 ? HK_OK : status;
}

hk_status hki_hardened_take(hki_heap *heap, unsigned size_class, uintptr_t *granule) {
    hki_delay *delay = &heap->delays[size_class];
    if (hki_heap_should_collect(heap, size_class))
        hki_heap_collect(heap);
    if (HKI_UNLIKELY(atomic_load_explicit(&heap->trim_wanted, memory_order_relaxed)))
        hki_heap_trim(heap);
    hki_heap_pages_freed(heap, 0);
    if (delay->slots == NULL)
        use_class(heap, size_class);
    *granule = atomic_load_explicit(&delay->next, memory_order_relaxed);
    if (*granule == 0) {
        hk_status status = fill_urn(heap, size_class);
        if (status != HK_OK)
            return status;
        *granule = hki_delay_draw(heap, delay, hki_delay_load(&delay->urn_blocks), hki_secret_mix(heap->random));
    }
    hki_delay_draw_next(heap, delay, hki_secret_mix(*granule));
    return HK_OK;
}

void hki_hardened_break_seal(uintptr_t granule, unsigned size_class) {
    size_t size = size_class == HKI_CLASS_LARGE
                      ? (size_t)hki_run_lines(hki_run_record(hki_granule_line(granule))) << HKI_LINE_SHIFT
                      : hki_classes[size_class].size;
    /* release: whoever sees the broken seal sees that the block is not live */
    atomic_store_explicit(hki_seal_at(hki_granule_address(granule), size), 0, memory_order_release);
}

static void erase_units(uint32_t number) {
    for (; number != 0; number = hki_unit_at(number)->next)
        for (uint64_t lines = ~hki_unit_free_lines(hki_unit_at(number)); lines != 0; lines &= lines - 1) {
            uint32_t line = number * HKI_LINES_PER_UNIT + hki_lowest_bit(lines);
            memset(hki_granule_address(hki_line_granule(line)), 0, HKI_LINE_SIZE);
        }
}

void hki_hardened_erase_all(hki_heap *heap) {
    erase_units(heap->room);
    erase_units(heap->full);
}

void hki_hardened_erase(void *start, size_t size) {
    size_t page = hki_os_page_size();
    uintptr_t from = hki_align_up((uintptr_t)start, page), end = (uintptr_t)start + size;
    uintptr_t to = end & ~(uintptr_t)(page - 1);
    if (size >= PURGE_BYTES && hki_os_purge((void *)from, to - from)) {
        memset(start, 0, from - (uintptr_t)start);
        memset((void *)to, 0, end - to);
    } else {
        memset(start, 0, size);
    }
}
