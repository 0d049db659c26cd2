/* registry: window, tables, slots and segments, with the window reserved and (under RLIMIT_AS) not. */
#include "unit_test.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The limit on address space that the tests pretend: sanitizers cannot live under a real one. */
static rlim_t pretended_limit = RLIM_INFINITY;

NOT_SANITIZED int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    if (resource != RLIMIT_AS)
        return (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);
    limit->rlim_cur = limit->rlim_max = pretended_limit;
    return 0;
}

static void start(void) {
    cr_assert(hki_registry_start());
}

static void start_unreserved(void) {
    pretended_limit = (rlim_t)1 << 33;
    start();
}

static char *address_of(size_t segment) {
    return (char *)hki_registry.base + (segment << HKI_SEGMENT_SHIFT);
}

static hki_segment_state state_of(size_t segment) {
    return atomic_load(&hki_registry.segments[segment].state);
}

static size_t segments_of_window(void) {
    return atomic_load(&hki_registry.granules) >> (HKI_SEGMENT_SHIFT - HKI_GRANULE_SHIFT);
}

static uint32_t take(size_t count, size_t alignment, hki_segment_state state) {
    hki_lock_acquire(&hki_pool_lock);
    uint32_t first = hki_segments_take(count, alignment, state);
    hki_lock_release(&hki_pool_lock);
    return first;
}

static uint32_t take_huge(size_t count) {
    return take(count, 1, HKI_SEGMENT_HUGE);
}

static bool extend(uint32_t first, size_t count, size_t more) {
    hki_lock_acquire(&hki_pool_lock);
    bool done = hki_segments_extend(first, count, more);
    hki_lock_release(&hki_pool_lock);
    return done;
}

static bool give(uint32_t first, size_t count) {
    hki_lock_acquire(&hki_pool_lock);
    bool done = hki_segments_give(first, count);
    hki_lock_release(&hki_pool_lock);
    return done;
}

static uint32_t move(uint32_t first, size_t count, size_t new_count) {
    hki_lock_acquire(&hki_pool_lock);
    uint32_t to = hki_segments_move(first, count, new_count);
    hki_lock_release(&hki_pool_lock);
    return to;
}

static void *take_slot(hki_slots *slots) {
    hki_lock_acquire(&hki_arenas_lock);
    void *slot = hki_slot_take(slots);
    hki_lock_release(&hki_arenas_lock);
    return slot;
}

static void occupy(size_t segment) {
    void *got =
        mmap(address_of(segment), HKI_SEGMENT_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_eq(got, (void *)address_of(segment));
}

/* ---- start ---- */

Test(registry, every_look_up_misses_before_the_start) {
    char local;
    cr_assert_not(hki_granule_exists(0));
    cr_assert_not(hki_granule_exists(hki_granule_of(NULL)));
    cr_assert_not(hki_granule_exists(hki_granule_of(&local)));
    cr_assert_null(hki_slot_find(&hki_arena_slots, NULL));
    cr_assert_null(hki_slot_find(&hki_heap_slots, &local));
}

Test(registry, window_is_aligned_and_its_tables_readable_to_the_end) {
    start();
    size_t last = segments_of_window() - 1;
    uintptr_t granule = atomic_load(&hki_registry.granules) - 1;
    cr_assert_eq(hki_registry.base % HKI_SEGMENT_SIZE, 0);
    cr_assert_eq(segments_of_window(), (size_t)1 << 18);
    cr_assert_eq(state_of(last), HKI_SEGMENT_UNUSED);
    cr_assert_eq(atomic_load(hki_live_word(granule)), 0);
    cr_assert_eq(atomic_load(hki_remote_word(granule)), 0);
    cr_assert_eq(hki_registry.parked[granule >> 6], 0);
    cr_assert_eq(hki_granule_tag(granule), 0);
    cr_assert_eq(atomic_load(&hki_granule_unit(granule)->owner), 0);
    cr_assert_eq(hki_registry.runs[granule >> HKI_GRANULE_TO_LINE].blocks, 0);
    cr_assert_not(can_read(address_of(0)));
}

Test(registry, may_be_started_twice) {
    start();
    hki_registry_tables before = hki_registry;
    start();
    cr_assert_eq(before.base, hki_registry.base);
    cr_assert_eq(before.units, hki_registry.units);
}

Test(registry, starts_after_any_refusal) {
    for (unsigned long skip = 0;; skip++) {
        fail_from(skip);
        bool done = hki_registry_start();
        hki_os_fail_calls(0, 0);
        if (done)
            break;
        cr_assert_not(hki_granule_exists(0));
        cr_assert_lt(skip, 100);
    }
    uint32_t segment = take_huge(1);
    cr_assert_neq(segment, 0);
    fill(address_of(segment), HKI_SEGMENT_SIZE, 1);
}

Test(registry, takes_a_smaller_window_if_the_first_call_is_refused) {
    hki_os_fail_calls(0, 1);
    start();
    cr_assert_eq(segments_of_window(), (size_t)1 << 16);
    cr_assert_neq(take_huge(1), 0);
}

Test(registry, takes_the_smallest_window_if_all_others_are_refused) {
    hki_os_fail_calls(0, 6); /* 2^40, 2^38 ... 2^30 */
    start();
    cr_assert_eq(segments_of_window(), (size_t)1 << 6);
    cr_assert_neq(take_huge(63), 0);
    cr_assert_eq(take_huge(1), 0);
}

/* ---- addresses ---- */

Test(registry, granules_and_addresses_are_inverse) {
    start();
    const uintptr_t granules = atomic_load(&hki_registry.granules);
    const uintptr_t some[] = {0, 1, 63, 64, 8191, 8192, granules / 2 + 17, granules - 1};
    for (size_t i = 0; i < LENGTH_OF(some); i++) {
        char *address = hki_granule_address(some[i]);
        cr_assert_eq(hki_granule_of(address), some[i]);
        cr_assert(hki_granule_exists(some[i]));
        for (int low = 1; low < 8; low++)
            cr_assert_not(hki_granule_exists(hki_granule_of(address + low)));
    }
}

Test(registry, addresses_outside_do_not_exist) {
    start();
    uintptr_t base = hki_registry.base, bytes = atomic_load(&hki_registry.granules) << HKI_GRANULE_SHIFT;
    const uintptr_t outside[] = {0,
                                 8,
                                 base - 8,
                                 base - 1,
                                 base + bytes,
                                 base + bytes + 8,
                                 UINTPTR_MAX,
                                 UINTPTR_MAX - 7,
                                 (uintptr_t)1 << 63,
                                 (uintptr_t)&base};
    for (size_t i = 0; i < LENGTH_OF(outside); i++)
        cr_assert_not(hki_granule_exists(hki_granule_of((const void *)outside[i])), "%zu", i);
}

/* ---- slots ---- */

Test(registry, slots_are_zero_and_found_again) {
    start();
    for (uint32_t i = 0; i < 20; i++) {
        char *slot = take_slot(&hki_heap_slots);
        cr_assert_eq(slot, hki_heap_slots.base + i * (size_t)HKI_SLOT_SIZE);
        cr_assert_eq(hki_slot_number(&hki_heap_slots, slot), i);
        cr_assert(is_zero(slot, HKI_SLOT_SIZE));
        fill(slot, HKI_SLOT_SIZE, i);
        cr_assert_eq(hki_slot_find(&hki_heap_slots, slot), slot);
        cr_assert_eq(hki_slot_find(&hki_heap_slots, slot + HKI_SLOT_SIZE - 1), slot);
        cr_assert_null(hki_slot_find(&hki_arena_slots, slot));
    }
    cr_assert_null(hki_slot_find(&hki_heap_slots, hki_heap_slots.base - 1));
    cr_assert_null(hki_slot_find(&hki_heap_slots, hki_heap_slots.base + hki_heap_slots.count * HKI_SLOT_SIZE));
}

Test(registry, slots_never_taken_read_as_zeros) {
    start();
    const char *last = hki_arena_slots.base + (hki_arena_slots.count - 1) * HKI_SLOT_SIZE;
    cr_assert_eq(hki_slot_find(&hki_arena_slots, last), last);
    cr_assert(is_zero(last, HKI_SLOT_SIZE));
}

Test(registry, slot_is_not_lost_when_the_os_refuses) {
    start();
    fail_from(0);
    cr_assert_null(take_slot(&hki_arena_slots));
    hki_os_fail_calls(0, 0);
    cr_assert_eq(take_slot(&hki_arena_slots), hki_arena_slots.base);
}

Test(registry, slots_run_out) {
    hki_os_fail_calls(0, 6); /* the smallest window has 64 */
    start();
    for (size_t i = 0; i < hki_arena_slots.count; i++)
        cr_assert_not_null(take_slot(&hki_arena_slots));
    cr_assert_null(take_slot(&hki_arena_slots));
}

/* ---- segments ---- */

Test(registry, segments_are_taken_from_the_lowest_up) {
    start();
    cr_assert_eq(hki_segments_end(), 1);
    cr_assert_eq(take(1, 1, HKI_SEGMENT_UNITS), 1);
    cr_assert_eq(take_huge(3), 2);
    cr_assert_eq(hki_segments_end(), 5);
    cr_assert_eq(state_of(1), HKI_SEGMENT_UNITS);
    cr_assert_eq(state_of(2), HKI_SEGMENT_HUGE);
    for (size_t i = 3; i <= 4; i++) {
        cr_assert_eq(state_of(i), HKI_SEGMENT_HUGE_TAIL);
        cr_assert_eq(atomic_load(&hki_registry.segments[i].head), 2);
    }
    cr_assert(is_zero(address_of(2), 3 * (size_t)HKI_SEGMENT_SIZE));
    fill(address_of(2), 3 * (size_t)HKI_SEGMENT_SIZE, 1);
    cr_assert_not(can_read(address_of(5)));
}

Test(registry, given_segments_are_taken_again_and_zero) {
    start();
    uint32_t first = take_huge(2), second = take_huge(2);
    fill(address_of(first), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    cr_assert(give(first, 2));
    cr_assert_eq(state_of(first), HKI_SEGMENT_UNUSED);
    cr_assert_eq(state_of(first + 1), HKI_SEGMENT_UNUSED);
    cr_assert_not(can_read(address_of(first)));
    cr_assert_eq(take_huge(3), second + 2); /* does not fit */
    cr_assert_eq(take_huge(1), first);
    cr_assert_eq(take_huge(1), first + 1);
    cr_assert(is_zero(address_of(first), 2 * (size_t)HKI_SEGMENT_SIZE));
}

Test(registry, segments_are_aligned_by_address) {
    start();
    for (size_t alignment = 1; alignment <= 64; alignment *= 2) {
        uint32_t first = take(1, alignment, HKI_SEGMENT_HUGE);
        cr_assert_neq(first, 0);
        cr_assert_eq((uintptr_t)address_of(first) % (alignment << HKI_SEGMENT_SHIFT), 0);
    }
}

Test(registry, window_is_exhausted) {
    start();
    cr_assert_eq(take_huge(segments_of_window()), 0);
    cr_assert_eq(take_huge(segments_of_window() + 1), 0);
    cr_assert_eq(take_huge(SIZE_MAX), 0);
    cr_assert_eq(take_huge(2), 1);
    cr_assert_eq(take_huge(segments_of_window() - 1), 0);
}

Test(registry, segments_are_extended_into_unused_ones) {
    start();
    uint32_t first = take_huge(1);
    fill(address_of(first), HKI_SEGMENT_SIZE, 1);
    cr_assert(extend(first, 1, 2));
    cr_assert_eq(state_of(first), HKI_SEGMENT_HUGE);
    cr_assert_eq(atomic_load(&hki_registry.segments[first + 2].head), first);
    cr_assert(is_filled(address_of(first), HKI_SEGMENT_SIZE, 1));
    cr_assert(is_zero(address_of(first + 1), 2 * (size_t)HKI_SEGMENT_SIZE));
    cr_assert_eq(hki_segments_end(), first + 3);
    take_huge(1);
    cr_assert_not(extend(first, 3, 1));
    cr_assert_not(extend(first, 3, SIZE_MAX));
    cr_assert_not(extend(first, 3, segments_of_window() - first - 2));
}

Test(registry, refused_extension_changes_nothing) {
    start();
    uint32_t first = take_huge(1);
    fail_from(0);
    cr_assert_not(extend(first, 1, 1));
    hki_os_fail_calls(0, 0);
    cr_assert_eq(state_of(first + 1), HKI_SEGMENT_UNUSED);
    cr_assert(extend(first, 1, 1));
}

Test(registry, refused_segments_are_not_lost) {
    start();
    for (unsigned long skip = 0;; skip++) {
        fail_from(skip);
        uint32_t first = take_huge(20); /* needs more of the tables, too */
        hki_os_fail_calls(0, 0);
        if (first != 0)
            break;
        cr_assert_lt(skip, 50);
        cr_assert_eq(state_of(1), HKI_SEGMENT_UNUSED);
    }
    cr_assert_eq(state_of(1), HKI_SEGMENT_HUGE);
    hki_registry.units[20 * HKI_UNITS_PER_SEGMENT + 63].pending_next = 1;
    fill(address_of(1), 20 * (size_t)HKI_SEGMENT_SIZE, 1);
}

Test(registry, refused_give_changes_nothing) {
    start();
    uint32_t first = take_huge(2);
    fill(address_of(first), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    fail_from(0);
    cr_assert_not(give(first, 2));
    hki_os_fail_calls(0, 0);
    cr_assert_eq(state_of(first), HKI_SEGMENT_HUGE);
    cr_assert_eq(state_of(first + 1), HKI_SEGMENT_HUGE_TAIL);
    cr_assert(is_filled(address_of(first), 2 * (size_t)HKI_SEGMENT_SIZE, 1));
    cr_assert(give(first, 2));
}

Test(registry, tail_is_given_alone) {
    start();
    uint32_t first = take_huge(3);
    fill(address_of(first), HKI_SEGMENT_SIZE, 1);
    cr_assert(give(first + 1, 2));
    cr_assert(is_filled(address_of(first), HKI_SEGMENT_SIZE, 1));
    cr_assert_eq(state_of(first), HKI_SEGMENT_HUGE);
    cr_assert_eq(take_huge(2), first + 1);
}

Test(registry, segments_are_private_or_shared_for_life) {
    start();
    uint32_t shared = take(2, 1, HKI_SEGMENT_UNITS), private = take(2, 1, HKI_SEGMENT_SPARE);
    cr_assert(give(shared, 2) && give(private, 2));
    cr_assert_eq(take(2, 1, HKI_SEGMENT_SPARE), private);
    cr_assert(give(private, 2));
    cr_assert_gt(take_huge(3), private + 1);
    cr_assert_eq(take_huge(2), shared);
    cr_assert_not(extend(shared, 2, 1));
    cr_assert_gt(take(3, 1, HKI_SEGMENT_SPARE), private + 2);
}

/* ---- moves ---- */

Test(registry, memory_moves_with_its_contents) {
    start();
    uint32_t from = take_huge(2);
    take_huge(1);
    fill(address_of(from), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    uint32_t to = move(from, 2, 4);
    cr_assert_eq(to, from + 3);
    cr_assert(is_filled(address_of(to), 2 * (size_t)HKI_SEGMENT_SIZE, 1));
    cr_assert(is_zero(address_of(to + 2), 2 * (size_t)HKI_SEGMENT_SIZE));
    cr_assert_eq(state_of(to), HKI_SEGMENT_HUGE);
    cr_assert_eq(atomic_load(&hki_registry.segments[to + 3].head), to);
    cr_assert_eq(state_of(from), HKI_SEGMENT_UNUSED);
    cr_assert_eq(state_of(from + 1), HKI_SEGMENT_UNUSED);
    cr_assert_not(can_read(address_of(from)));
    cr_assert_eq(take_huge(2), from);
    cr_assert(is_zero(address_of(from), 2 * (size_t)HKI_SEGMENT_SIZE));
}

Test(registry, refused_move_changes_nothing) {
    start();
    uint32_t from = take_huge(2);
    fill(address_of(from), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    fail_from(0);
    cr_assert_eq(move(from, 2, 4), 0);
    hki_os_fail_calls(0, 0);
    cr_assert(is_filled(address_of(from), 2 * (size_t)HKI_SEGMENT_SIZE, 1));
    cr_assert_eq(state_of(from), HKI_SEGMENT_HUGE);
    cr_assert_eq(state_of(from + 2), HKI_SEGMENT_UNUSED);
}

Test(registry, old_place_is_lost_if_it_cannot_be_reserved) {
    start();
    uint32_t from = take_huge(2);
    fill(address_of(from), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    fail_from(1); /* mremap is made, the mmap after it is not */
    uint32_t to = move(from, 2, 3);
    hki_os_fail_calls(0, 0);
    cr_assert_neq(to, 0);
    cr_assert(is_filled(address_of(to), 2 * (size_t)HKI_SEGMENT_SIZE, 1));
    cr_assert_eq(state_of(from), HKI_SEGMENT_LOST);
    cr_assert_eq(state_of(from + 1), HKI_SEGMENT_LOST);
    cr_assert_eq(take_huge(1), to + 3);
}

/* ---- a window that is not reserved ---- */

Test(registry, limit_on_address_space_leaves_the_window_unreserved) {
    start_unreserved();
    cr_assert_eq(segments_of_window(), (size_t)1 << 12); /* of 16 GiB */
    cr_assert_eq(hki_registry.base % HKI_SEGMENT_SIZE, 0);
    uint32_t first = take_huge(2);
    cr_assert_eq(first, 1);
    fill(address_of(first), 2 * (size_t)HKI_SEGMENT_SIZE, 1);
    cr_assert(extend(first, 2, 1));
    cr_assert(is_zero(address_of(first + 2), HKI_SEGMENT_SIZE));
    cr_assert_eq(move(first, 3, 4), 0);
    cr_assert(give(first, 3));
    occupy(first); /* it can be had by others now */
}

Test(registry, smallest_window_for_64_MB) {
    pretended_limit = (rlim_t)64 << 20;
    start();
    cr_assert_eq(segments_of_window(), ((size_t)128 << 20) / HKI_SEGMENT_SIZE);
    cr_assert_neq(take_huge(5), 0);
}

Test(registry, what_others_have_mapped_is_lost) {
    start_unreserved();
    occupy(1);
    occupy(3);
    cr_assert_eq(take_huge(2), 4);
    cr_assert_eq(state_of(1), HKI_SEGMENT_LOST);
    cr_assert_eq(state_of(2), HKI_SEGMENT_UNUSED);
    cr_assert_eq(state_of(3), HKI_SEGMENT_LOST);
    cr_assert_not(can_read(address_of(2))); /* nothing stays mapped of what did not fit */
    cr_assert_eq(take_huge(1), 2);
}

Test(registry, extension_stops_at_what_others_have_mapped) {
    start_unreserved();
    uint32_t first = take_huge(1);
    occupy(first + 2);
    cr_assert_not(extend(first, 1, 2));
    cr_assert_eq(state_of(first + 1), HKI_SEGMENT_UNUSED);
    cr_assert_eq(state_of(first + 2), HKI_SEGMENT_LOST);
    cr_assert_not(can_read(address_of(first + 1)));
    cr_assert(extend(first, 1, 1));
}

Test(registry, refusal_is_not_taken_for_occupation) {
    start_unreserved();
    take_huge(1); /* makes the tables writable */
    for (unsigned long skip = 0; skip < 3; skip++) {
        fail_from(skip);
        cr_assert_eq(take_huge(3), 0);
        hki_os_fail_calls(0, 0);
        for (size_t i = 2; i <= 4; i++) {
            cr_assert_eq(state_of(i), HKI_SEGMENT_UNUSED);
            cr_assert_not(can_read(address_of(i)));
        }
    }
    cr_assert_eq(take_huge(3), 2);
}
