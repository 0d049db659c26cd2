/* thread: whose heap is whose, what becomes of it when its thread ends, and threads that can own none. */
#include "unit_test.h"

#include <sys/wait.h>

START_LATE()

static size_t heaps_of(hk_arena *handle) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(handle, &totals), HK_OK);
    return totals.heaps;
}

static size_t live_blocks(hk_arena *handle) {
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    cr_assert_eq(hk_arena_statistics(handle, &totals), HK_OK);
    return totals.live_blocks;
}

static size_t idle_heaps(const hki_arena *arena) {
    size_t count = 0;
    for (const hki_heap *heap = arena->idle; heap != NULL; heap = heap->next_idle)
        count++;
    return count;
}

static size_t owned_heaps(void) {
    size_t count = 0;
    for (const hki_heap *heap = hki_self.owned; heap != NULL; heap = heap->next_of_thread)
        count++;
    return count;
}

/* ---- one thread ---- */

Test(thread, has_no_heap_at_first, .init = let_start) {
    hk_arena *handle = make_arena(0, 16, 0);
    hki_arena *arena = hki_arena_find(handle);
    cr_assert_eq(hki_self.heap, &hki_empty_heap);
    cr_assert_eq(hki_thread_heap(arena), &hki_empty_heap);
    hki_heap *heap = hki_thread_enter(arena);
    cr_assert(heap != NULL && heap != &hki_empty_heap);
    cr_assert_eq(hki_thread_heap(arena), heap);
    hki_thread_leave(arena, heap);
    cr_assert_eq(hki_thread_enter(arena), heap);
    cr_assert_eq(hki_self.heap, &hki_empty_heap); /* that is for the default arena */
}

Test(thread, heap_of_the_default_arena_is_at_hand, .init = let_start) {
    void *block = hk_malloc(1);
    cr_assert_not_null(block);
    cr_assert_neq(hki_self.heap, &hki_empty_heap);
    cr_assert_eq(hki_self.heap, hki_thread_heap(atomic_load(&hki_default_arena)));
    hk_free(block);
}

/* ---- a heap that something other than threads guards ---- */

static hki_heap *take_shared_heap(void) {
    hki_heap *heap = hki_arena_take_heap(hki_arena_find(hk_arena_default()));
    cr_assert_not_null(heap);
    return heap;
}

Test(thread, adopted_heap_serves_until_it_is_released, .init = let_start) {
    void *own = hk_malloc(40);
    hki_heap *before = hki_self.heap, *shared = take_shared_heap();
    cr_assert_neq(shared, before);
    hki_adoption adoption = hki_thread_adopt(shared);
    void *block = hk_malloc(40);
    cr_assert_eq(atomic_load(&hki_granule_unit(hki_granule_of(block))->owner), (uintptr_t)shared);
    hk_free(own); /* of the heap that is not in force: as by another thread */
    hki_thread_release(shared, adoption);
    cr_assert_eq(hki_self.heap, before);
    cr_assert_eq(owned_heaps(), 1);
    cr_assert(hki_heap_has_pending(before));
    hk_free(block);
    cr_assert(hki_heap_has_pending(shared));
    cr_assert_eq(hk_arena_check(hk_arena_default()), HK_OK);
    cr_assert_eq(live_blocks(hk_arena_default()), 0);
}

static void *adopt_and_release(void *shared) {
    hki_self.borrows = true; /* as when the thread's exit handler has run */
    hki_adoption adoption = hki_thread_adopt(shared);
    for (int i = 0; i < 1000; i++)
        cr_assert_not_null(hk_malloc(100));
    hki_thread_release(shared, adoption);
    cr_assert(hki_self.borrows && hki_self.owned == NULL && hki_self.heap == &hki_empty_heap);
    return NULL;
}

Test(thread, adopted_heap_is_not_given_away_by_a_thread_that_borrows, .init = let_start) {
    hki_heap *shared = take_shared_heap();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, adopt_and_release, shared), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(idle_heaps(hki_arena_find(hk_arena_default())), 0);
    cr_assert_eq(live_blocks(hk_arena_default()), 1000);
    cr_assert_eq(hk_arena_check(hk_arena_default()), HK_OK);
}

Test(thread, one_thread_arena_has_its_heap_inside, .init = let_start) {
    hk_arena *handle = make_plain_arena();
    hki_arena *arena = hki_arena_find(handle);
    cr_assert_eq(hki_thread_heap(arena), &arena->heap);
    cr_assert_eq(hki_thread_enter(arena), &arena->heap);
    hki_thread_leave(arena, &arena->heap);
    cr_assert_eq(owned_heaps(), 0);
}

Test(thread, heaps_of_many_arenas_are_told_apart, .init = let_start) {
    enum { ARENAS = 20 };
    hki_arena *arenas[ARENAS];
    hki_heap *heaps[ARENAS];
    for (int i = 0; i < ARENAS; i++) {
        arenas[i] = hki_arena_find(make_arena(0, 16, 0));
        heaps[i] = hki_thread_enter(arenas[i]);
    }
    uint32_t seed = 9;
    for (int i = 0; i < 500; i++) {
        uint32_t k = next_random(&seed) % ARENAS;
        cr_assert_eq(hki_thread_heap(arenas[k]), heaps[k]);
        cr_assert_eq(hki_self.owned, heaps[k]); /* the last one used is the first */
        cr_assert_eq(owned_heaps(), ARENAS);
    }
}

Test(thread, heaps_of_ended_arenas_are_dropped, .init = let_start) {
    hk_arena *handles[10];
    for (int i = 0; i < 10; i++) {
        handles[i] = make_arena(0, 16, 0);
        cr_assert_not_null(hk_arena_alloc(handles[i], 10));
    }
    for (int i = 0; i < 9; i++)
        cr_assert_eq(hk_arena_destroy(handles[i]), HK_OK);
    cr_assert_eq(owned_heaps(), 10);
    size_t used = hki_heap_slots.used;
    hk_arena *next = make_arena(0, 16, 0);
    cr_assert_not_null(hk_arena_alloc(next, 10));
    cr_assert_eq(owned_heaps(), 2);
    cr_assert_eq(hki_heap_slots.used, used);
    assert_sound(hki_arena_find(next));
}

Test(thread, arenas_that_come_and_go_need_one_heap_slot, .init = let_start) {
    for (int i = 0; i < 100; i++) {
        hk_arena *handle = make_arena(0, 16, 0);
        cr_assert_not_null(hk_arena_alloc(handle, 10));
        cr_assert_eq(hk_arena_destroy(handle), HK_OK);
    }
    cr_assert_leq(hki_heap_slots.used, 2);
}

/* ---- threads that end ---- */

typedef struct visit {
    hk_arena *handle;
    void *block;    /* left behind, or to be freed */
    hki_heap *heap; /* that the thread had */
    hk_status status;
} visit;

static void *leave_a_block(void *argument) {
    visit *of = argument;
    of->block = hk_arena_alloc(of->handle, 100);
    void *other = hk_arena_alloc(of->handle, 5000);
    of->status = hk_arena_free(of->handle, other);
    of->heap = hki_thread_heap(hki_arena_find(of->handle));
    return NULL;
}

static void *free_block(void *argument) {
    visit *of = argument;
    of->status = hk_arena_free(of->handle, of->block);
    return NULL;
}

Test(thread, next_thread_takes_the_heap_over, .init = let_start) {
    visit of = {.handle = make_arena(0, 16, 0)};
    hki_arena *arena = hki_arena_find(of.handle);
    run_in_thread(leave_a_block, &of);
    hki_heap *heap = of.heap;
    cr_assert(of.status == HK_OK && heap != &hki_empty_heap);
    cr_assert(heap->idle && arena->idle == heap);
    cr_assert_eq(held_lines(arena), 1); /* free memory has gone back: just the line of the block is left */
    for (int i = 0; i < 500; i++) {
        run_in_thread(leave_a_block, &of);
        cr_assert_eq(of.heap, heap);
    }
    cr_assert_eq(heaps_of(of.handle), 1);
    cr_assert_eq(live_blocks(of.handle), 501);
    assert_sound(arena);
}

Test(thread, block_of_an_ended_thread_is_freed_by_anyone, .init = let_start) {
    visit of = {.handle = make_arena(0, 16, 0)};
    run_in_thread(leave_a_block, &of);
    cr_assert_eq(hk_arena_free(of.handle, of.block), HK_OK);
    cr_assert_eq(live_blocks(of.handle), 0);
    run_in_thread(leave_a_block, &of);
    run_in_thread(free_block, &of); /* its own heap is none, or that heap: both are fine */
    cr_assert_eq(of.status, HK_OK);
    cr_assert_eq(live_blocks(of.handle), 0);
    assert_sound(hki_arena_find(of.handle));
}

static void *alloc_for_arena_to_end(void *argument) {
    visit *of = argument;
    cr_assert_not_null(of);
    of->block = hk_arena_alloc(of->handle, 100);
    of->status = hk_arena_destroy(of->handle);
    return NULL;
}

Test(thread, thread_outlives_its_arena, .init = let_start) {
    for (int i = 0; i < 50; i++) {
        visit of = {.handle = make_arena(0, 16, 0)};
        run_in_thread(alloc_for_arena_to_end, &of);
        cr_assert_eq(of.status, HK_OK);
    }
    cr_assert_eq(hki_heap_slots.used, 1);
}

/* ---- after the exit handler ---- */

static pthread_key_t late_key;
static visit late;

static void use_late(void *unused) {
    (void)unused;
    hki_arena *arena = hki_arena_find(late.handle);
    late.heap = hki_thread_heap(arena);
    late.block = hk_arena_alloc(late.handle, 1000);
    void *large = hk_arena_alloc(late.handle, 300000);
    late.status = hk_arena_free(late.handle, large);
    hk_free(hk_malloc(10));
}

static void *set_late(void *unused) {
    hk_free(hk_malloc(1));
    hk_arena_free(late.handle, hk_arena_alloc(late.handle, 1));
    pthread_setspecific(late_key, &late);
    return unused;
}

Test(thread, dying_thread_borrows, .init = let_start) {
    late.handle = make_arena(0, 16, 0); /* the key of the exit handler comes first, so it runs first */
    cr_assert_eq(pthread_key_create(&late_key, use_late), 0);
    hki_arena *arena = hki_arena_find(late.handle);
    for (int i = 0; i < 20; i++) {
        run_in_thread(set_late, NULL);
        cr_assert_eq(late.heap, &hki_empty_heap);
        cr_assert(late.block != NULL && late.status == HK_OK);
        cr_assert_eq(idle_heaps(arena), 1);
    }
    cr_assert_eq(heaps_of(late.handle), 1);
    cr_assert_eq(heaps_of(hk_arena_default()), 1);
    cr_assert_eq(live_blocks(late.handle), 20);
    assert_sound(arena);
    assert_sound(atomic_load(&hki_default_arena));
}

/* ---- borrowing ---- */

static void assert_borrowing(hk_arena *handle) {
    hki_arena *arena = hki_arena_find(handle);
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = hk_arena_alloc(handle, (size_t)i * 50);
        cr_assert_not_null(blocks[i]);
        cr_assert(hki_self.borrows && hki_self.owned == NULL);
        cr_assert_eq(idle_heaps(arena), 1);
        fill(blocks[i], (size_t)i * 50, (unsigned)i);
    }
    for (int i = 0; i < 200; i++) {
        cr_assert(is_filled(blocks[i], (size_t)i * 50, (unsigned)i));
        if (i % 2 == 0)
            blocks[i] = hk_arena_realloc(handle, blocks[i], (size_t)i * 60 + 1);
        cr_assert_eq(hk_arena_free(handle, blocks[i]), HK_OK);
        cr_assert_eq(hk_arena_free_sized(handle, hk_arena_calloc(handle, 7, 7), 49), HK_OK);
    }
    cr_assert_eq(live_blocks(handle), 0);
    cr_assert_eq(heaps_of(handle), 1);
    assert_sound(arena);
}

Test(thread, thread_that_cannot_be_watched_borrows, .init = let_start) {
    hk_arena *handle = make_arena(0, 16, 0);
    hki_arena *arena = hki_arena_find(handle);
    hki_arena_give_heap(hki_arena_take_heap(arena), false); /* so that the next call is the watch */
    hki_os_fail_calls(0, 1);
    hki_heap *heap = hki_thread_enter(arena);
    hki_os_fail_calls(0, 0);
    cr_assert_not_null(heap);
    cr_assert(hki_self.borrows);
    hki_thread_leave(arena, heap);
    cr_assert_eq(idle_heaps(arena), 1);
    assert_borrowing(handle);
}

static void *borrow_in_thread(void *argument) {
    hk_arena *handle = argument;
    uint32_t seed = 3;
    for (int i = 0; i < 300; i++) {
        size_t size = random_size(&seed, 20000);
        unsigned char *block = hk_malloc(size), *other = hk_arena_alloc(handle, size);
        if (block == NULL || other == NULL || !hki_self.borrows || hki_self.owned != NULL)
            return NULL;
        hk_free(block);
        if (hk_arena_free(handle, other) != HK_OK)
            return NULL;
    }
    return argument;
}

Test(thread, all_threads_borrow_if_there_is_no_key, .init = let_start) {
    pthread_key_t key;
    pthread_t threads[4];
    void *result;
    while (pthread_key_create(&key, NULL) == 0)
        continue;
    hk_arena *handle = make_arena(0, 16, 0);
    assert_borrowing(handle);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, borrow_in_thread, handle), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_eq(result, handle);
    }
    cr_assert_leq(heaps_of(handle), 5);
    cr_assert_eq(live_blocks(handle), 0);
    cr_assert_eq(live_blocks(hk_arena_default()), 0);
    assert_sound(hki_arena_find(handle));
}

Test(thread, no_heap_is_no_memory, .init = let_start) {
    hk_arena *handle = make_arena(0, 16, 0);
    fail_from(0);
    cr_assert_null(hk_arena_alloc(handle, 1));
    cr_assert_eq(hk_last_status(), HK_ERR_NO_MEMORY);
    hki_os_fail_calls(0, 0);
    hk_statistics totals = {.struct_size = offsetof(hk_statistics, classes)};
    hk_arena_statistics(handle, &totals);
    cr_assert_eq(totals.system_failures, 1);
    cr_assert_not_null(hk_arena_alloc(handle, 1));
}

/* ---- fork ---- */

static _Atomic bool stop;
static _Atomic unsigned errors;

static void *churn(void *argument) {
    hk_arena *handle = argument;
    uint32_t seed = 8;
    while (!atomic_load(&stop)) {
        hk_arena *own = NULL;
        void *block = hk_arena_alloc(handle, 70000 + random_size(&seed, 200000));
        if (hk_arena_create(NULL, &own) != HK_OK || hk_arena_alloc(own, 70000) == NULL || block == NULL ||
            hk_arena_free(handle, block) != HK_OK || hk_arena_destroy(own) != HK_OK)
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static int use_after_fork(hk_arena *handle, void *block) {
    hk_arena *own = NULL;
    if (!is_filled(block, 100, 1) || hk_arena_free(handle, block) != HK_OK)
        return 1;
    if (hk_arena_create(NULL, &own) != HK_OK || hk_arena_alloc(own, 200000) == NULL || hk_malloc(100000) == NULL)
        return 2;
    if (hk_arena_check(own) != HK_OK || hk_arena_destroy(own) != HK_OK)
        return 3;
    return hk_arena_alloc(handle, 5000) != NULL ? 0 : 4;
}

Test(thread, child_of_a_fork_while_others_allocate_is_sound, .init = let_start) {
    hk_arena *handle = make_arena(0, 16, 0);
    pthread_t threads[2];
    void *block = hk_arena_alloc(handle, 100);
    fill(block, 100, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, handle), 0);
    for (int i = 0; i < 40; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(use_after_fork(handle, block));
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&errors), 0);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    assert_sound(hki_arena_find(handle));
}
