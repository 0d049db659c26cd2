/* heap: blocks that other threads free, step by step and in the orders that matter, and with threads. */
#include "heap_fixture.h"

/* What another thread does after it has counted its notice in remote_lines: it tells the unit's owner. */
static void finish_notice(hki_unit *unit) {
    hki_heap *owner = (hki_heap *)atomic_load(&unit->owner);
    cr_assert(hki_heap_push_pending(owner, unit, atomic_load(&owner->pending)));
}

static uint32_t pending_units(void) {
    uint32_t count = 0;
    for (uint32_t i = hki_pending_unit(atomic_load(&heap->pending)); i != 0; i = hki_unit_at(i)->pending_next, count++)
        cr_assert_lt(count, 10000);
    return count;
}

Test(heap_remote, block_is_marked_then_collected, .init = start_heaps) {
    uintptr_t granule = alloc(HKI_CLASS_64), other = alloc(HKI_CLASS_64);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    cr_assert(is_live(granule) && is_remote(granule) && is_marked(granule));
    cr_assert_eq(pending_units(), 1);
    cr_assert_eq(atomic_load(&hki_granule_unit(granule)->remote_lines),
                 UINT64_C(1) << hki_granule_line(granule) % HKI_LINES_PER_UNIT);
    uint32_t before = hki_heap_stacked(heap, HKI_CLASS_64);
    hki_heap_collect(heap);
    cr_assert(!is_live(granule) && !is_remote(granule));
    cr_assert_eq(atomic_load(&hki_granule_unit(granule)->remote_lines), 0);
    cr_assert_eq(pending_units(), 0);
    cr_assert_eq(hki_heap_stacked(heap, HKI_CLASS_64), before + 1);
    cr_assert(is_live(other));
}

Test(heap_remote, second_free_is_refused, .init = start_heaps) {
    uintptr_t granule = alloc(HKI_CLASS_64);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    cr_assert_eq(hki_heap_free_remote(granule), HK_ERR_DOUBLE_FREE);
    hki_heap_collect(heap);
    cr_assert_eq(hki_heap_free_remote(granule), HK_ERR_DOUBLE_FREE);
    cr_assert_not(is_remote(granule));
    cr_assert_eq(pending_units(), 0);
}

Test(heap_remote, dead_block_is_refused_and_leaves_no_trace, .init = start_heaps) {
    uintptr_t granule = alloc(HKI_CLASS_64);
    hki_heap_free(heap, granule);
    cr_assert_eq(hki_heap_free_remote(granule), HK_ERR_DOUBLE_FREE);
    cr_assert(!is_remote(granule) && !is_marked(granule));
    cr_assert_eq(pending_units(), 0);
}

Test(heap_remote, unit_is_told_of_once, .init = start_heaps) {
    uintptr_t granules[200];
    for (int i = 0; i < 200; i++)
        granules[i] = alloc(HKI_CLASS_64);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(hki_heap_free_remote(granules[i]), HK_OK);
        cr_assert_eq(pending_units(), 1);
    }
    hki_heap_collect(heap);
    for (int i = 0; i < 200; i++)
        cr_assert(!is_live(granules[i]) && !is_remote(granules[i]));
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap_remote, many_units_are_collected_at_once, .init = start_heaps) {
    enum { UNITS = 50 };
    uintptr_t granules[UNITS];
    for (int i = 0; i < UNITS; i++)
        granules[i] = alloc_lines(64);
    for (int i = 0; i < UNITS; i++)
        cr_assert_eq(hki_heap_free_remote(granules[i]), HK_OK);
    cr_assert_eq(pending_units(), UNITS);
    cr_assert_eq(held(), UNITS * 64);
    hki_heap_collect(heap);
    cr_assert_eq(held(), 0);
    cr_assert_eq(units_of(heap), 1); /* the spare one */
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap_remote, refill_collects_first, .init = start_heaps) {
    uintptr_t granule = alloc(HKI_CLASS_16384), second = alloc(HKI_CLASS_16384);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    atomic_store(&quota.limit_lines, held());
    cr_assert_eq(alloc(HKI_CLASS_16384), granule);
    cr_assert_eq(alloc(HKI_CLASS_16384), 0);
    cr_assert_eq(hki_heap_free_remote(second), HK_OK);
    bool clean;
    hk_status status;
    atomic_store(&quota.limit_lines, held() + 16);
    cr_assert_neq(hki_heap_alloc_lines(heap, 16, 1, &clean, &status), 0);
    cr_assert_eq(pending_units(), 0);
}

Test(heap_remote, collected_blocks_are_parked_when_the_stack_is_full, .init = start_heaps) {
    enum { MANY = 600 };
    static uintptr_t granules[MANY];
    for (int i = 0; i < MANY; i++)
        granules[i] = alloc(HKI_CLASS_256);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(hki_heap_free_remote(granules[i]), HK_OK);
    hki_heap_collect(heap);
    const hki_class_books *books = &heap->books[HKI_CLASS_256];
    cr_assert_eq(atomic_load(&books->blocks), atomic_load(&books->parked) + hki_heap_stacked(heap, HKI_CLASS_256));
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* ---- the owner frees in a line where others have freed ---- */

Test(heap_remote, owner_frees_in_a_marked_line, .init = start_heaps) {
    hki_found found;
    uintptr_t theirs = alloc(HKI_CLASS_64), ours = alloc(HKI_CLASS_64), third = alloc(HKI_CLASS_64);
    cr_assert_not(hki_heap_free_marked(heap, ours)); /* that is the fast path's */
    cr_assert_eq(hki_heap_free_remote(theirs), HK_OK);
    cr_assert_not(hki_heap_find(heap, ours, &found));
    cr_assert_not(hki_heap_free_marked(heap, theirs));
    cr_assert_not(hki_heap_free_marked(&heaps[1], ours));
    cr_assert_not(hki_heap_free_marked(heap, ours + 1));
    cr_assert_not(hki_heap_free_marked(heap, UINTPTR_MAX));
    cr_assert(hki_heap_free_marked(heap, ours));
    cr_assert(!is_live(ours) && is_live(theirs));
    cr_assert_not(hki_heap_free_marked(heap, ours));
    hki_heap_free(heap, third);
    hki_heap_collect(heap);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap_remote, mark_goes_with_the_owners_first_free_after_the_collection, .init = start_heaps) {
    hki_found found;
    uintptr_t theirs = alloc(HKI_CLASS_64), first = alloc(HKI_CLASS_64), second = alloc(HKI_CLASS_64);
    cr_assert_eq(hki_heap_free_remote(theirs), HK_OK);
    cr_assert(hki_heap_free_marked(heap, first));
    cr_assert(is_marked(second)); /* their block waits */
    hki_heap_collect(heap);
    cr_assert(is_marked(second) && !hki_heap_find(heap, second, &found));
    uintptr_t third = alloc(HKI_CLASS_64);
    cr_assert(hki_heap_free_marked(heap, third));
    cr_assert(!is_marked(second) && hki_heap_find(heap, second, &found));
}

Test(heap_remote, full_stack_and_whole_lines_take_the_slow_way, .init = start_heaps) {
    uintptr_t lines = alloc_lines(3), granules[400];
    for (int i = 0; i < 400; i++)
        granules[i] = alloc(HKI_CLASS_16);
    int next = 0;
    while (!hki_heap_is_full(heap, HKI_CLASS_16))
        hki_heap_free(heap, granules[next++]);
    cr_assert_lt(next, 398);
    cr_assert_eq(hki_heap_free_remote(granules[399]), HK_OK);
    cr_assert(is_marked(granules[398]));
    cr_assert_not(hki_heap_free_marked(heap, granules[398]));
    cr_assert(is_live(granules[398]));
    hki_heap_free(heap, granules[398]);
    cr_assert_not(is_live(granules[398]));
    atomic_fetch_or(&hki_registry.line_tags[hki_granule_line(lines)], HKI_TAG_REMOTE);
    cr_assert_not(hki_heap_free_marked(heap, lines));
}

/* ---- notices on their way, while the unit changes hands ---- */

Test(heap_remote, unit_is_kept_for_a_notice_on_its_way, .init = start_heaps) {
    uintptr_t keeper = alloc_lines(64), granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    atomic_fetch_or(&unit->remote_lines, 1); /* a thread has counted its notice: of a block that was collected since */
    hki_heap_free(heap, keeper);
    hki_heap_free(heap, granule);
    hki_heap_reclaim(heap);
    cr_assert_eq(atomic_load(&unit->owner), (uintptr_t)heap);
    cr_assert_eq(units_of(heap), 1);
    finish_notice(unit);
    hki_heap_collect(heap);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap_remote, unit_kept_for_a_notice_may_be_used_again, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    atomic_fetch_or(&unit->remote_lines, 1);
    hki_heap_free(heap, granule);
    hki_heap_reclaim(heap);
    cr_assert_eq(alloc_lines(64), granule);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK); /* leaves the notice to the first one */
    cr_assert_eq(pending_units(), 0);
    finish_notice(unit);
    hki_heap_collect(heap);
    cr_assert_not(is_live(granule));
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

Test(heap_remote, notice_to_a_unit_that_has_another_owner_by_now_goes_there, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    hki_heap_free(heap, granule);
    hki_heap_reclaim(heap);
    cr_assert_eq(alloc_from(&heaps[1], HKI_CLASS_64), granule);
    atomic_fetch_or(&unit->remote_lines, 1);
    finish_notice(unit);
    cr_assert_eq(hki_pending_unit(atomic_load(&heaps[1].pending)), hki_unit_number(unit));
    hki_heap_collect(&heaps[1]);
    cr_assert(is_live(granule));
    cr_assert_eq(atomic_load(&unit->remote_lines), 0);
    hki_heap_free(&heaps[1], granule);
    hki_heap_reclaim(&heaps[1]);
    assert_nothing_left();
}

Test(heap_remote, mark_of_an_earlier_run_does_not_outlive_it, .init = start_heaps) {
    uintptr_t granule = alloc_lines(1);
    hki_heap_free(heap, granule);
    atomic_fetch_or(&hki_registry.line_tags[hki_granule_line(granule)], HKI_TAG_REMOTE); /* a late notice */
    cr_assert_eq(alloc(HKI_CLASS_1024), granule);
    cr_assert_not(is_marked(granule));
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    cr_assert_eq(pending_units(), 1);
}

Test(heap_remote, spare_unit_may_be_pending, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    hki_heap_free(heap, granule);
    cr_assert_eq(heap->spare, hki_unit_number(unit));
    atomic_fetch_or(&unit->remote_lines, 1);
    finish_notice(unit);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* ---- notices on their way, while the heap's life ends ---- */

Test(heap_remote, notices_that_have_arrived_end_with_the_life, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    hki_heap_clear(heap, 0);
    cr_assert_eq(pending_units(), 0);
    cr_assert_eq(atomic_load(&hki_granule_unit(granule)->remote_lines), 0);
    assert_nothing_left();
}

Test(heap_remote, notice_is_refused_by_the_next_life, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    uint64_t seen = atomic_load(&heap->pending);
    atomic_fetch_or(&unit->remote_lines, 1);
    hki_heap_clear(heap, 0);
    cr_assert_not(hki_heap_push_pending(heap, unit, seen));
    hki_heap_start(heap, hki_class_table_8, &quota, &hki_shared_pool);
    cr_assert_not(hki_heap_push_pending(heap, unit, seen));
    assert_nothing_left();
}

/* Two threads that bring notices of one unit would write its pending_next at once: so none is sent while there is one,
 * whoever owns the unit by then. */
Test(heap_remote, notice_outlives_the_owner_and_serves_the_next_one, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    atomic_fetch_or(&unit->remote_lines, 1);
    hki_heap_clear(heap, 0);
    cr_assert_eq(atomic_load(&unit->owner), 0);
    cr_assert_eq(atomic_load(&unit->remote_lines), 1);
    cr_assert_eq(alloc_from(&heaps[1], HKI_CLASS_64), granule);
    cr_assert_eq(hki_heap_free_remote(granule), HK_OK);
    cr_assert_not(hki_heap_has_pending(&heaps[1]));
    finish_notice(unit);
    hki_heap_collect(&heaps[1]);
    cr_assert_not(is_live(granule));
    hki_heap_reclaim(&heaps[1]);
    assert_nothing_left();
}

Test(heap_remote, notice_finds_a_unit_that_its_heap_has_kept, .init = start_heaps) {
    uintptr_t granule = alloc_lines(64);
    hki_unit *unit = hki_granule_unit(granule);
    atomic_fetch_or(&unit->remote_lines, 1);
    hki_heap_clear(heap, 1);
    finish_notice(unit);
    hki_heap_collect(heap);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* ---- threads ---- */

enum { FREERS = 3, BATCH = 64, BATCHES = 300 };

/* A mailbox of one batch for each thread: the owner fills it, the thread empties it. */
static struct mailbox {
    uintptr_t granules[BATCH];
    _Atomic bool full;
    _Atomic unsigned refused;
} mailboxes[FREERS];

static _Atomic bool done;

static void *free_what_comes(void *argument) {
    struct mailbox *mailbox = argument;
    while (!atomic_load(&done)) {
        if (!atomic_load(&mailbox->full)) {
            hki_os_yield();
            continue;
        }
        for (int i = 0; i < BATCH; i++)
            if (hki_heap_free_remote(mailbox->granules[i]) != HK_OK)
                atomic_fetch_add(&mailbox->refused, 1);
        atomic_store(&mailbox->full, false);
    }
    return NULL;
}

static void send(struct mailbox *mailbox, uint32_t *seed) {
    static const unsigned classes[] = {HKI_CLASS_8, HKI_CLASS_64, HKI_CLASS_1024, HKI_CLASS_4096, HKI_CLASS_16384};
    for (int i = 0; i < BATCH; i++) {
        unsigned what = next_random(seed) % 6;
        mailbox->granules[i] = what == 5 ? alloc_lines(1 + next_random(seed) % 64) : alloc(classes[what]);
        cr_assert_neq(mailbox->granules[i], 0);
    }
    atomic_store(&mailbox->full, true);
}

static void send_batches(void) {
    uint32_t seed = 5772;
    for (int sent = 0; sent < BATCHES;) {
        struct mailbox *mailbox = &mailboxes[next_random(&seed) % FREERS];
        if (atomic_load(&mailbox->full)) {
            hki_heap_reclaim(heap); /* gives units back as soon as they are empty */
            hki_os_yield();
            continue;
        }
        send(mailbox, &seed);
        sent++;
    }
}

Test(heap_remote, units_come_and_go_while_threads_free, .init = start_heaps) {
    pthread_t threads[FREERS];
    for (int i = 0; i < FREERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, free_what_comes, &mailboxes[i]), 0);
    send_batches();
    for (int i = 0; i < FREERS; i++)
        while (atomic_load(&mailboxes[i].full))
            hki_os_yield();
    atomic_store(&done, true);
    for (int i = 0; i < FREERS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(atomic_load(&mailboxes[i].refused), 0);
    }
    hki_heap_reclaim(heap);
    assert_nothing_left();
}

/* All threads free the same blocks: just one of them succeeds with each. */
static uintptr_t contested[BATCH];
static _Atomic unsigned successes[BATCH];
static _Atomic unsigned arrived;

static void *free_contested(void *unused) {
    (void)unused;
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < FREERS)
        hki_os_yield();
    for (int i = 0; i < BATCH; i++)
        if (hki_heap_free_remote(contested[i]) == HK_OK)
            atomic_fetch_add(&successes[i], 1);
    return NULL;
}

Test(heap_remote, one_of_several_frees_succeeds, .init = start_heaps) {
    pthread_t threads[FREERS];
    for (int i = 0; i < BATCH; i++)
        contested[i] = alloc(i % 2 == 0 ? HKI_CLASS_64 : HKI_CLASS_2048);
    for (int i = 0; i < FREERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, free_contested, NULL), 0);
    while (atomic_load(&arrived) < FREERS)
        hki_os_yield();
    for (int i = 0; i < 200; i++)
        hki_heap_collect(heap);
    for (int i = 0; i < FREERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < BATCH; i++)
        cr_assert_eq(atomic_load(&successes[i]), 1);
    hki_heap_reclaim(heap);
    assert_nothing_left();
}
