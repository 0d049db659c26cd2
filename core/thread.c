/* thread: see thread.h. */
#include "thread.h"

#include "lock.h"
#include "os.h"

_Thread_local hki_thread hki_self = {.heap = &hki_empty_heap};

static void thread_ends(void *value) {
    hki_thread *self = value;
    hki_heap *next;
    self->borrows = true;
    self->heap = &hki_empty_heap;
    for (hki_heap *heap = self->owned; heap != NULL; heap = next) {
        next = heap->next_of_thread;
        hki_arena_give_heap(heap, true);
    }
    self->owned = NULL;
}

static _Atomic bool can_watch;

bool hki_thread_start(void) {
    bool done = hki_os_set_thread_exit(thread_ends);
    atomic_store_explicit(&can_watch, done, memory_order_release);
    return done;
}

hki_heap *hki_thread_find(const hki_arena *arena) {
    hki_heap **link = &hki_self.owned;
    for (hki_heap *heap; (heap = *link) != NULL; link = &heap->next_of_thread) {
        if (atomic_load_explicit(&heap->arena, memory_order_relaxed) != arena)
            continue;
        *link = heap->next_of_thread;
        heap->next_of_thread = hki_self.owned;
        hki_self.owned = heap;
        return heap;
    }
    return &hki_empty_heap;
}

hki_adoption hki_thread_adopt(hki_heap *heap) {
    const hki_adoption before = {hki_self.heap, hki_self.borrows};
    heap->next_of_thread = hki_self.owned;
    hki_self.owned = hki_self.heap = heap;
    hki_self.borrows = false;
    return before;
}

void hki_thread_release(hki_heap *heap, hki_adoption before) {
    hki_heap **link = &hki_self.owned;
    while (*link != heap)
        link = &(*link)->next_of_thread;
    *link = heap->next_of_thread;
    hki_self.heap = before.heap;
    hki_self.borrows = before.borrows;
}

/* Drops the heaps of arenas that are gone. */
static void sweep(void) {
    hki_heap **link = &hki_self.owned;
    for (hki_heap *heap; (heap = *link) != NULL;) {
        if (atomic_load_explicit(&heap->arena, memory_order_acquire) != NULL) {
            link = &heap->next_of_thread;
            continue;
        }
        *link = heap->next_of_thread;
        hki_arena_give_heap(heap, false);
    }
}

/* The lock keeps other threads from ending these arenas meanwhile: to purge is no use of them. */
void hki_thread_trim(void) {
    sweep();
    hki_lock_acquire(&hki_arenas_lock);
    for (hki_heap *heap = hki_self.owned; heap != NULL; heap = heap->next_of_thread)
        if (atomic_load_explicit(&heap->arena, memory_order_relaxed) != NULL)
            hki_heap_trim(heap);
    hki_lock_release(&hki_arenas_lock);
}

/* Whether this thread may own heaps: something will give them back when it ends. */
static bool may_own(void) {
    if (!hki_self.watched && !hki_self.borrows) {
        hki_self.watched = true; /* first, as setting the value may allocate */
        hki_self.borrows = !atomic_load_explicit(&can_watch, memory_order_acquire) || !hki_os_watch_thread(&hki_self);
    }
    return !hki_self.borrows;
}

hki_heap *hki_thread_enter(hki_arena *arena) {
    hki_heap *heap = hki_thread_heap(arena);
    if (heap != &hki_empty_heap)
        return heap;
    sweep();
    heap = hki_arena_take_heap(arena);
    if (heap == NULL || !may_own())
        return heap;
    heap->next_of_thread = hki_self.owned;
    hki_self.owned = heap;
    if (arena == atomic_load_explicit(&hki_default_arena, memory_order_relaxed))
        hki_self.heap = heap;
    return heap;
}

void hki_thread_leave(const hki_arena *arena, hki_heap *heap) {
    if (!arena->one_thread && hki_self.borrows)
        hki_arena_give_heap(heap, false);
}
