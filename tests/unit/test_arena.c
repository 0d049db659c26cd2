/* arena: handles and their generations, slots, heaps that go idle and come back. */
#include "unit_test.h"

START_LATE()

enum { GENERATIONS = HKI_SLOT_SIZE / HKI_GRANULE_SIZE };

static hki_arena *create_of(const hk_arena_config *config) {
    hki_arena *arena;
    cr_assert_eq(hki_arena_create(config, &arena), HK_OK);
    return arena;
}

static hki_arena *create(uint32_t flags) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = flags;
    return create_of(&config);
}

static hki_arena *create_plain(void) {
    return create(HK_ARENA_ONE_THREAD_AT_A_TIME);
}

static void start(void) {
    let_start();
    cr_assert(hki_registry_start());
}

static uintptr_t pop(hki_heap *heap, unsigned size_class) {
    cr_assert_eq(hki_heap_refill(heap, size_class), HK_OK);
    return hki_heap_pop(heap, size_class);
}

static size_t used_units(void) {
    size_t used = 0;
    for (uint32_t i = 1; i < hki_segments_end(); i++)
        if (atomic_load(&hki_registry.segments[i].state) == HKI_SEGMENT_UNITS)
            used += 64 - hki_count_bits(hki_registry.segments[i].free_units);
    return used;
}

/* ---- handles ---- */

Test(arena, handle_is_found_until_its_arena_ends, .init = start) {
    hki_arena *arena = create_plain();
    hk_arena *handle = hki_arena_handle(arena);
    cr_assert_eq(hki_arena_find(handle), arena);
    cr_assert_eq(hki_arena_destroy(handle), HK_OK);
    cr_assert_null(hki_arena_find(handle));
    cr_assert_eq(hki_arena_destroy(handle), HK_ERR_BAD_ARENA);
    cr_assert_neq(hki_arena_handle(create_plain()), handle);
    cr_assert_null(hki_arena_find(handle));
}

Test(arena, invented_handles_are_not_found, .init = start) {
    static const int fixed = 0;
    hki_arena *arena = create_plain();
    const char *handle = (const char *)hki_arena_handle(arena);
    const void *const invented[] = {NULL,
                                    &fixed,
                                    handle + 1,
                                    handle + 8,
                                    handle - 8,
                                    handle + HKI_SLOT_SIZE,
                                    handle - HKI_SLOT_SIZE,
                                    handle + HKI_SLOT_SIZE / 2,
                                    (void *)UINTPTR_MAX,
                                    &arena,
                                    hki_heap_slots.base,
                                    hki_arena_slots.base + 100 * (size_t)HKI_SLOT_SIZE};
    for (size_t i = 0; i < LENGTH_OF(invented); i++)
        cr_assert_null(hki_arena_find(invented[i]), "%zu", i);
}

Test(arena, nothing_is_found_before_the_start) {
    int local;
    cr_assert_null(hki_arena_find(NULL));
    cr_assert_null(hki_arena_find((const hk_arena *)&local));
}

Test(arena, handles_of_a_slot_differ_for_all_generations, .init = start) {
    hki_arena *arena = create_plain();
    const hk_arena *first = hki_arena_handle(arena), *before = first;
    for (int i = 1; i < GENERATIONS; i++) {
        cr_assert_eq(hki_arena_destroy(before), HK_OK);
        cr_assert_eq(create_plain(), arena);
        const hk_arena *handle = hki_arena_handle(arena);
        cr_assert(handle != first && handle != before);
        cr_assert_null(hki_arena_find(first));
        cr_assert_eq(hki_arena_find(handle), arena);
        before = handle;
    }
    cr_assert_eq(hki_arena_destroy(before), HK_OK);
    cr_assert_eq(hki_arena_handle(create_plain()), first);
}

Test(arena, slots_are_used_again_oldest_first, .init = start) {
    hki_arena *arenas[4];
    for (int i = 0; i < 4; i++)
        arenas[i] = create_plain();
    const int order[] = {2, 0, 3};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(hki_arena_destroy(hki_arena_handle(arenas[order[i]])), HK_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(create_plain(), arenas[order[i]]);
    cr_assert_eq((char *)create_plain(), (char *)arenas[3] + HKI_SLOT_SIZE);
}

Test(arena, configuration_is_copied, .init = start) {
    char name[] = "a name of exactly 31 characters";
    cr_assert_eq(strlen(name), HK_ARENA_NAME_MAX);
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = name;
    config.min_alignment = 8;
    config.limit_bytes = 5 * HKI_LINE_SIZE + 1023;
    hki_arena *arena = create_of(&config);
    name[0] = 'x';
    cr_assert_str_eq(arena->name, "a name of exactly 31 characters");
    cr_assert_eq(arena->heap.class_table, hki_class_table_8);
    cr_assert_eq(atomic_load(&arena->quota.limit_lines), 5);
    cr_assert_not(arena->one_thread);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(arena)), HK_OK);
    cr_assert_eq(create_plain(), arena);
    cr_assert_str_eq(arena->name, "arena");
    cr_assert_eq(arena->heap.class_table, hki_class_table_16);
    cr_assert_eq(atomic_load(&arena->quota.limit_lines), HKI_NO_LIMIT);
    cr_assert(arena->one_thread);
}

Test(arena, default_arena, .init = start) {
    cr_assert_null(atomic_load(&hki_default_arena));
    fail_from(0);
    cr_assert_not(hki_arena_start());
    cr_assert_null(atomic_load(&hki_default_arena));
    hki_os_fail_calls(0, 0);
    cr_assert(hki_arena_start());
    cr_assert_str_eq(atomic_load(&hki_default_arena)->name, "process");
}

Test(arena, refused_creation_loses_no_slot, .init = start) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hki_arena *arena;
    fail_from(0);
    cr_assert_eq(hki_arena_create(&config, &arena), HK_ERR_NO_MEMORY);
    cr_assert_null(arena);
    hki_os_fail_calls(0, 0);
    arena = create_of(&config);
    cr_assert_eq(hki_slot_number(&hki_arena_slots, arena), 0);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(arena)), HK_OK);
    fail_from(0); /* a used slot needs nothing */
    cr_assert_eq(create_of(&config), arena);
}

/* ---- owners ---- */

Test(arena, owners_lead_to_their_arena, .init = start) {
    hki_arena *plain = create_plain(), *shared = create(0);
    hki_heap *heap = hki_arena_take_heap(shared);
    cr_assert_null(hki_arena_of_owner(0));
    cr_assert_eq(hki_arena_of_owner((uintptr_t)plain | HKI_OWNER_IS_ARENA), plain);
    cr_assert_eq(hki_arena_of_owner((uintptr_t)&plain->heap), plain);
    cr_assert_eq(hki_arena_of_owner((uintptr_t)heap), shared);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(shared)), HK_OK);
    cr_assert_null(hki_arena_of_owner((uintptr_t)heap));
}

Test(arena, tags_lead_to_their_heap, .init = start) {
    hki_arena *plain[3], *shared = create(0);
    hki_heap *heaps[3];
    for (int i = 0; i < 3; i++) {
        plain[i] = create_plain();
        heaps[i] = hki_arena_take_heap(shared);
    }
    cr_assert_null(hki_heap_of_tag(HKI_CLASS_LARGE));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(hki_heap_of_tag(plain[i]->heap.tag | HKI_CLASS_64), &plain[i]->heap);
        cr_assert_eq(hki_heap_of_tag(heaps[i]->tag | HKI_CLASS_64 | HKI_TAG_REMOTE), heaps[i]);
        for (int k = 0; k < i; k++)
            cr_assert(heaps[i]->tag != heaps[k]->tag && plain[i]->heap.tag != plain[k]->heap.tag);
    }
}

/* ---- heaps ---- */

Test(arena, idle_heap_is_taken_over_with_its_blocks, .init = start) {
    hki_arena *arena = create(0);
    hki_heap *heap = hki_arena_take_heap(arena);
    uintptr_t live = pop(heap, HKI_CLASS_64), dead = pop(heap, HKI_CLASS_1024);
    hki_heap_free(heap, dead);
    size_t held = held_lines(arena);
    hki_arena_give_heap(heap, false);
    cr_assert_eq(held_lines(arena), held);
    cr_assert_eq(hki_arena_take_heap(arena), heap);
    cr_assert_not(heap->idle);
    cr_assert_eq(atomic_load(&hki_granule_unit(live)->owner), (uintptr_t)heap);
    hki_arena_give_heap(heap, true);
    cr_assert_lt(held_lines(arena), held);
    assert_sound(arena);
    cr_assert_eq(hki_arena_take_heap(arena), heap);
    cr_assert_neq(hki_arena_take_heap(arena), heap);
}

Test(arena, heaps_of_arenas_do_not_mix, .init = start) {
    hki_arena *first = create(0), *second = create(0);
    hki_heap *heap = hki_arena_take_heap(first);
    hki_arena_give_heap(heap, true);
    cr_assert_neq(hki_arena_take_heap(second), heap);
    cr_assert_eq(hki_arena_take_heap(first), heap);
}

Test(arena, idle_heaps_are_drained, .init = start) {
    hki_arena *arena = create(0);
    hki_heap *heaps[3];
    for (int i = 0; i < 3; i++)
        heaps[i] = hki_arena_take_heap(arena);
    for (int i = 0; i < 3; i++) {
        hki_heap_free(heaps[i], pop(heaps[i], HKI_CLASS_4096));
        if (i > 0)
            hki_arena_give_heap(heaps[i], false);
    }
    size_t each = hki_classes[HKI_CLASS_4096].few_lines;
    cr_assert_eq(held_lines(arena), 3 * each);
    hki_arena_drain(arena, NULL);
    cr_assert_eq(held_lines(arena), each);
    assert_sound(arena);
}

Test(arena, refused_heap_is_none, .init = start) {
    hki_arena *arena = create(0);
    fail_from(0);
    cr_assert_null(hki_arena_take_heap(arena));
    hki_os_fail_calls(0, 0);
    cr_assert_null(arena->heaps);
    cr_assert_not_null(hki_arena_take_heap(arena));
}

Test(arena, heap_of_an_ended_arena_waits_for_its_thread, .init = start) {
    hki_arena *arena = create(0), *other = create(0);
    hki_heap *idle = hki_arena_take_heap(arena), *taken = hki_arena_take_heap(arena);
    pop(taken, HKI_CLASS_64);
    hki_arena_give_heap(idle, true);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(arena)), HK_OK);
    cr_assert_null(atomic_load(&taken->arena));
    cr_assert_eq(hki_arena_take_heap(other), idle);
    hki_heap *fresh = hki_arena_take_heap(other);
    cr_assert(fresh != taken && fresh != idle);
    hki_arena_give_heap(taken, true);
    cr_assert_eq(hki_arena_take_heap(other), taken);
    assert_sound(other);
}

/* ---- the end of an arena ---- */

static void fill_arena(hk_arena *handle) {
    for (size_t size = 1; size < 40 << 20; size += size / 3 + 1)
        cr_assert_not_null(hk_arena_alloc(handle, size));
    void *remote = hk_arena_alloc(handle, 64);
    cr_assert_eq(hki_heap_free_remote(hki_granule_of(remote)), HK_OK);
}

Test(arena, end_gives_everything_back, .init = let_start) {
    hk_arena *other = make_arena(0, 16, 0);
    char *kept = hk_arena_alloc(other, 100);
    fill(kept, 100, 1);
    size_t before = used_units();
    for (int i = 0; i < 6; i++) {
        hk_arena *handle = make_arena(i % 2 == 0 ? HK_ARENA_ONE_THREAD_AT_A_TIME : 0, i % 3 == 0 ? 8 : 16, 0);
        fill_arena(handle);
        assert_sound(hki_arena_find(handle));
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
        cr_assert_eq(used_units(), before);
    }
    cr_assert(is_filled(kept, 100, 1));
    assert_sound(hki_arena_find(other));
}

Test(arena, end_succeeds_whatever_the_system_refuses, .init = let_start) {
    hk_arena *other = make_arena(0, 16, 0);
    cr_assert_not_null(hk_arena_alloc(other, 100));
    size_t before = used_units();
    for (unsigned long skip = 0; skip < 12; skip++) {
        hk_arena *handle = make_plain_arena();
        fill_arena(handle);
        fail_from(skip);
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
        hki_os_fail_calls(0, 0);
        cr_assert_eq(used_units(), before);
        assert_sound(hki_arena_find(other));
    }
}

Test(arena, used_slot_begins_anew, .init = let_start) {
    hk_arena *handle = make_plain_arena();
    hki_arena *arena = hki_arena_find(handle);
    fill_arena(handle);
    cr_assert_null(hk_arena_alloc(handle, HKI_BLOCK_MAX)); /* a failure to be counted */
    hk_arena_set_limit(handle, 1 << 20);
    cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    handle = make_plain_arena();
    cr_assert_eq(hki_arena_find(handle), arena);
    hk_statistics now = {.struct_size = sizeof now};
    cr_assert_eq(hk_arena_statistics(handle, &now), HK_OK);
    cr_assert(now.held_bytes == 0 && now.peak_held_bytes == 0 && now.limit_bytes == 0 && now.units == 0);
    cr_assert(now.live_blocks == 0 && now.limit_failures == 0 && now.system_failures == 0 && now.large_blocks == 0);
    fill_arena(handle);
    assert_sound(arena);
}

/* ---- parents ---- */

static hki_arena *create_below(hki_arena *parent, uint32_t flags) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = flags;
    config.parent = hki_arena_handle(parent);
    return create_of(&config);
}

Test(arena_parents, are_known_and_counted, .init = start) {
    hki_arena *root = create_plain(), *hardened = create_below(root, HK_ARENA_HARDENED),
              *child = create_below(hardened, 0);
    cr_assert_null(hki_arena_parent(root));
    cr_assert_eq(hki_arena_parent(hardened), root);
    cr_assert_eq(hki_arena_parent(child), hardened);
    cr_assert(hki_arena_children(root) == 1 && hki_arena_children(hardened) == 1 && hki_arena_children(child) == 0);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(root)), HK_ERR_BUSY);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(child)), HK_OK);
    cr_assert_eq(hki_arena_children(hardened), 0);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(hardened)), HK_OK);
    cr_assert_eq(hki_arena_destroy(hki_arena_handle(root)), HK_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_null(hki_arena_parent(create_plain())); /* in the same slots */
}

Test(arena_parents, child_that_is_refused_is_not_counted, .init = start) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hki_arena *parent = create_plain(), *child;
    config.parent = hki_arena_handle(parent);
    fail_from(0);
    cr_assert_eq(hki_arena_create(&config, &child), HK_ERR_NO_MEMORY);
    hki_os_fail_calls(0, 0);
    cr_assert_null(child);
    cr_assert_eq(hki_arena_children(parent), 0);
    cr_assert_eq(hki_arena_destroy(config.parent), HK_OK);
    cr_assert_eq(hki_arena_create(&config, &child), HK_ERR_BAD_ARENA);
    cr_assert_null(child);
}

Test(arena_parents, retired_one_ends_with_its_last_child, .init = let_start) {
    hk_arena *handles[3];
    hki_arena *all[3];
    for (int i = 0; i < 3; i++) {
        all[i] = i == 0 ? hki_arena_find(make_plain_arena()) : create_below(all[i - 1], 0);
        handles[i] = hki_arena_handle(all[i]);
    }
    void *block = hk_arena_alloc(handles[0], 100);
    cr_assert(hki_arena_retire(handles[1]));
    cr_assert(hki_arena_is_retired(all[1]) && all[1]->retired_blocks == 0);
    cr_assert(hki_arena_retire(handles[0]));
    cr_assert(all[0]->retired_blocks == 1 && held_lines(all[0]) == 1);
    cr_assert_eq(hki_arena_destroy(handles[2]), HK_OK);
    cr_assert(!hki_arena_is_retired(all[1]) && hki_arena_is_retired(all[0]) && hki_arena_children(all[0]) == 0);
    hk_free(block);
    cr_assert_not(hki_arena_is_retired(all[0]));
}

/* What the system refuses, at whatever call, is charged to nobody. */
Test(arena_parents, nothing_is_charged_for_what_the_system_refuses, .init = let_start) {
    static const size_t sizes[] = {100, 20 * HKI_LINE_SIZE, 300 * HKI_LINE_SIZE, 9 << 20};
    size_t refused = 0;
    for (unsigned long skip = 0; skip < 40; skip++) {
        hki_arena *parent = hki_arena_find(make_arena(0, 16, 0)), *child = create_below(parent, 0);
        hk_arena *handle = hki_arena_handle(child);
        void *blocks[LENGTH_OF(sizes)];
        hki_os_fail_calls(skip / 2, skip % 2 == 0 ? 1 : ULONG_MAX / 2);
        for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
            blocks[i] = hk_arena_alloc(handle, sizes[i]);
            void *larger = hk_arena_realloc(handle, blocks[i], 2 * sizes[i]);
            blocks[i] = larger != NULL ? larger : blocks[i];
        }
        hki_os_fail_calls(0, 0);
        assert_sound(parent);
        cr_assert_eq(held_lines(parent), held_lines(child));
        refused += atomic_load(&child->quota.system_failures);
        cr_assert_eq(atomic_load(&parent->quota.system_failures), 0);
        for (size_t i = 0; i < LENGTH_OF(sizes); i++)
            cr_assert_eq(hk_arena_free(handle, blocks[i]), HK_OK);
        hk_arena_trim(handle);
        cr_assert_eq(held_lines(parent), 0);
        hk_purge();
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
        cr_assert_eq(hk_arena_destroy(hki_arena_handle(parent)), HK_OK);
    }
    cr_assert_gt(refused, 0);
}

static void *take_heap_and_leave_lines(void *handle) {
    void *block = hk_arena_alloc(handle, 4096);
    hk_arena_free(handle, block);
    return block;
}

/* The idle heap of another thread's and the own one of the arena above are drained, but not a heap that is in use. */
Test(arena_parents, requests_below_drain_what_is_idle_above, .init = let_start) {
    hki_arena *parent = hki_arena_find(make_arena(0, 16, 0)), *child = create_below(parent, 0);
    hk_arena *above = hki_arena_handle(parent);
    hki_heap *taken = hki_arena_take_heap(parent);
    hki_heap_free(taken, pop(taken, HKI_CLASS_4096));
    cr_assert_not_null(run_in_thread(take_heap_and_leave_lines, above));
    cr_assert_not_null(take_heap_and_leave_lines(above));
    size_t each = hki_classes[HKI_CLASS_4096].few_lines;
    hk_arena_set_limit(above, held_lines(parent) << HKI_LINE_SHIFT);
    cr_assert_null(hk_arena_alloc(hki_arena_handle(child), 100 * HKI_LINE_SIZE));
    cr_assert_eq(held_lines(parent), each);
    assert_sound(parent);
}
