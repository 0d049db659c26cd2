/* arena: see arena.h. State: the default arena; a record for each slot, and the list of free ones, oldest first; unused
 * heap slots. All but the first guarded by hki_arenas_lock. */
#include "arena.h"

#include "block.h"
#include "hardened.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "rewind.h"

#include <string.h>

enum {
    GENERATIONS = HKI_SLOT_SIZE / HKI_GRANULE_SIZE,
    HEADER_MAX = 4096,
    KEPT_UNITS = 16, /* of each heap of an arena that is reset: 1 MiB */
    COLD_AGAIN = 16, /* times hki_purge_delay_ms until cold heaps are looked at again */
    WARM_SLOTS = 64, /* ended arenas whose slots keep their first page; those of others have no memory */
};

/* Each class may have had two smaller stacks before its full one; each has two words beside its slots. */
enum { FIRST_SLOTS = HKI_FIRST_STACK_SLOTS, SECOND_SLOTS = FIRST_SLOTS * HKI_STACK_GROWTH };
_Static_assert(HKI_STACK_SLOTS(1) <= SECOND_SLOTS * HKI_STACK_GROWTH, "no more than two");
#define AT_MOST(size, slots) (HKI_STACK_SLOTS(size) > (slots) ? (slots) + 2 : 0)
#define SLOTS(size, ...) +HKI_STACK_SLOTS(size) + 2 + AT_MOST(size, FIRST_SLOTS) + AT_MOST(size, SECOND_SLOTS)
enum { STACK_SLOTS = HKI_SIZE_CLASSES(SLOTS, SLOTS) };
#undef SLOTS
#undef AT_MOST
_Static_assert(STACK_SLOTS * sizeof(uintptr_t) + HEADER_MAX <= HKI_SLOT_SIZE, "a slot holds all stacks of a heap");
_Static_assert(sizeof(hki_arena) <= HEADER_MAX, "an arena's header is one page");

_Atomic(hki_arena *) hki_default_arena;

/* What is known of a slot without touching it. */
typedef struct slot_record {
    uint32_t next;       /* in a queue: the number of a slot + 1; 0 ends it */
    uint32_t generation; /* of the handle that comes next */
} slot_record;

typedef struct slot_queue {
    uint32_t oldest, newest; /* number + 1; 0: the queue is empty */
    uint32_t count;
} slot_queue;

static slot_record slot_records[HKI_SLOTS_MAX];
static slot_queue warm_slots, cold_slots; /* free slots with a page of memory, and without any */
static hki_heap *unused_heaps;

static void *end_of_slot(void *in_slot) {
    return (void *)(((uintptr_t)in_slot | (HKI_SLOT_SIZE - 1)) + 1);
}

static const uint8_t *class_table_of(const hki_arena *arena) {
    return arena->min_alignment == 8 ? hki_class_table_8 : hki_class_table_16;
}

hki_arena *hki_arena_of_owner(uintptr_t owner) {
    if ((owner & HKI_OWNER_IS_ARENA) != 0)
        return (hki_arena *)(owner - HKI_OWNER_IS_ARENA);
    return owner == 0 ? NULL : atomic_load_explicit(&((hki_heap *)owner)->arena, memory_order_acquire);
}

/* Heaps inside arenas have odd numbers, others have even ones. The stacks get the rest of the slot. A heap that served
 * before was cleared. */
static void start_heap(hki_heap *heap, hki_arena *arena, uint32_t number, void *storage) {
    if (heap->tag == 0)
        hki_heap_init(heap, number, storage, end_of_slot(storage));
    hki_heap_start(heap, class_table_of(arena), &arena->quota, arena->pool);
    if (arena->hardened)
        hki_hardened_start(heap);
    atomic_store_explicit(&heap->arena, arena, memory_order_release);
}

/* ---- life ---- */

static uint32_t number_of(const hki_arena *arena) {
    return hki_slot_number(&hki_arena_slots, arena);
}

static hki_arena *arena_of_slot(uint32_t number) {
    return (hki_arena *)(void *)(hki_arena_slots.base + ((size_t)number << HKI_SLOT_SHIFT));
}

static hki_arena *take_from(slot_queue *queue) {
    uint32_t number = queue->oldest - 1;
    queue->oldest = slot_records[number].next;
    if (--queue->count == 0)
        queue->newest = 0;
    return arena_of_slot(number);
}

static void give_to(slot_queue *queue, uint32_t number) {
    slot_records[number].next = 0;
    if (queue->count++ > 0)
        slot_records[queue->newest - 1].next = number + 1;
    else
        queue->oldest = number + 1;
    queue->newest = number + 1;
}

static hki_arena *take_slot(void) {
    if (warm_slots.count > 0)
        return take_from(&warm_slots);
    return cold_slots.count > 0 ? take_from(&cold_slots) : hki_slot_take(&hki_arena_slots);
}

/* A slot that is all zeros will be set up from scratch. If the OS does not take the pages it is as good as warm. */
static void give_slot(hki_arena *arena) {
    size_t page = hki_os_page_size();
    char *start = (char *)arena;
    if (warm_slots.count >= WARM_SLOTS && hki_os_purge(start, HKI_SLOT_SIZE)) {
        give_to(&cold_slots, number_of(arena));
        return;
    }
    give_to(&warm_slots, number_of(arena));
    if (page < HKI_SLOT_SIZE && (char *)arena->heap.storage_used > start + page &&
        hki_os_purge(start + page, HKI_SLOT_SIZE - page))
        arena->heap.storage_used = arena->heap.storage_begin;
}

static size_t lines_of_limit(size_t limit_bytes) {
    return limit_bytes == 0 ? HKI_NO_LIMIT : limit_bytes >> HKI_LINE_SHIFT;
}

static void set_up(hki_arena *arena, const hk_arena_config *config, hki_arena *parent) {
    const char *name = config->name != NULL ? config->name : "arena";
    arena->one_thread = (config->flags & (HK_ARENA_ONE_THREAD_AT_A_TIME | HK_ARENA_REWINDABLE)) != 0;
    arena->hardened = (config->flags & HK_ARENA_HARDENED) != 0;
    arena->min_alignment = config->min_alignment == 8 ? 8 : 16;
    memset(&arena->quota, 0, sizeof arena->quota);
    atomic_store_explicit(&arena->quota.limit_lines, lines_of_limit(config->limit_bytes), memory_order_relaxed);
    arena->quota.parent = parent != NULL ? &parent->quota : NULL;
    memset(&arena->large, 0, sizeof arena->large);
    arena->pool = &hki_shared_pool; /* until hki_rewind_start */
    arena->rewind = NULL;
    arena->large.pool = arena->pool;
    arena->large.owner = (uintptr_t)arena | HKI_OWNER_IS_ARENA;
    arena->heaps = NULL;
    arena->idle = NULL;
    atomic_store_explicit(&arena->idle_trim_due, 0, memory_order_relaxed);
    arena->retired_blocks = 0;
    atomic_store_explicit(&arena->children, 0, memory_order_relaxed);
    memset(arena->name, 0, sizeof arena->name);
    memcpy(arena->name, name, strlen(name));
    start_heap(&arena->heap, arena, number_of(arena) * 2 + 1, arena + 1);
    slot_record *record = &slot_records[number_of(arena)];
    uintptr_t handle = (uintptr_t)arena + record->generation * (uintptr_t)HKI_GRANULE_SIZE;
    record->generation = (record->generation + 1) % GENERATIONS;
    atomic_store_explicit(&arena->handle, handle, memory_order_release); /* pairs with hki_arena_find */
}

/* What a rewindable arena holds goes back by itself, so it cannot be counted above or below. */
static hk_status find_parent(const hk_arena_config *config, hki_arena **parent) {
    *parent = config->parent != NULL ? hki_arena_find(config->parent) : NULL;
    if (config->parent != NULL && *parent == NULL)
        return HK_ERR_BAD_ARENA;
    return *parent != NULL && (*parent)->rewind != NULL ? HK_ERR_UNSUPPORTED : HK_OK;
}

hk_status hki_arena_create(const hk_arena_config *config, hki_arena **arena) {
    hki_arena *parent;
    *arena = NULL;
    hki_lock_acquire(&hki_arenas_lock);
    hk_status status = find_parent(config, &parent);
    if (status == HK_OK) {
        if ((config->flags & HK_ARENA_HARDENED) != 0)
            hki_canary_start();
        *arena = take_slot();
        status = *arena != NULL ? HK_OK : HK_ERR_NO_MEMORY;
    }
    if (status == HK_OK) {
        set_up(*arena, config, parent);
        if (parent != NULL)
            atomic_fetch_add_explicit(&parent->children, 1, memory_order_relaxed);
    }
    hki_lock_release(&hki_arenas_lock);
    return status;
}

bool hki_arena_start(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.name = "process";
    hki_arena *arena;
    hki_arena_create(&config, &arena);
    atomic_store_explicit(&hki_default_arena, arena, memory_order_release);
    return arena != NULL;
}

static void give_heap_slot(hki_heap *heap) {
    heap->next = unused_heaps;
    unused_heaps = heap;
}

/* A heap that a thread still has on its list cannot be used again until that thread drops it. */
static void end_heaps(hki_arena *arena) {
    hki_heap *next;
    for (hki_heap *heap = arena->heaps; heap != NULL; heap = next) {
        next = heap->next;
        hki_heap_clear(heap, 0);
        atomic_store_explicit(&heap->arena, NULL, memory_order_release);
        if (heap->idle)
            give_heap_slot(heap);
    }
    if (arena->one_thread)
        hki_heap_clear(&arena->heap, 0);
}

static void end_large(hki_arena *arena) {
    if (arena->hardened)
        for (uint32_t number = arena->large.first; number != 0; number = hki_registry.units[number].next)
            hki_hardened_erase(hki_granule_address(hki_unit_granule(number)),
                               (size_t)hki_registry.units[number].lines << HKI_LINE_SHIFT);
    hki_quota_give(&arena->quota, hki_large_give_all(&arena->large));
}

static void end_one(hki_arena *arena) {
    HKI_ASSERT(hki_arena_children(arena) == 0);
    atomic_store_explicit(&arena->retired, false, memory_order_release);
    end_heaps(arena);
    end_large(arena);
    HKI_ASSERT(atomic_load(&arena->quota.held_lines) == 0);
    if (hki_rewind_end(arena))
        give_slot(arena);
}

/* Ends an arena that has no children and whose handle is 0 already, and the retired ones above that only had to wait
 * for it. hki_arenas_lock held. */
static void end(hki_arena *arena) {
    while (arena != NULL) {
        hki_arena *parent = hki_arena_parent(arena);
        end_one(arena);
        bool was_last = parent != NULL && atomic_fetch_sub_explicit(&parent->children, 1, memory_order_relaxed) == 1;
        arena = was_last && hki_arena_is_retired(parent) && parent->retired_blocks == 0 ? parent : NULL;
    }
}

hk_status hki_arena_destroy(const hk_arena *handle) {
    hk_status status = HK_OK;
    hki_lock_acquire(&hki_arenas_lock);
    hki_arena *arena = hki_arena_find(handle);
    if (arena == NULL)
        status = HK_ERR_BAD_ARENA;
    else if (hki_arena_children(arena) > 0)
        status = HK_ERR_BUSY;
    if (status == HK_OK) {
        atomic_store_explicit(&arena->handle, 0, memory_order_release);
        end(arena);
    }
    hki_lock_release(&hki_arenas_lock);
    return status;
}

bool hki_arena_reset(const hk_arena *handle) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_arena *arena = hki_arena_find(handle);
    if (arena != NULL) {
        hki_heap_clear(&arena->heap, KEPT_UNITS);
        for (hki_heap *heap = arena->heaps; heap != NULL; heap = heap->next)
            hki_heap_clear(heap, KEPT_UNITS);
        end_large(arena);
        HKI_ASSERT(hki_arena_children(arena) > 0 || atomic_load(&arena->quota.held_lines) == 0);
    }
    hki_lock_release(&hki_arenas_lock);
    return arena != NULL;
}

/* ---- retired arenas ---- */

static size_t reclaim_all(hki_arena *arena) {
    hki_heap_reclaim(&arena->heap);
    size_t live = hki_heap_live_blocks(&arena->heap);
    for (hki_heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        hki_heap_reclaim(heap);
        live += hki_heap_live_blocks(heap);
    }
    return live + atomic_load_explicit(&arena->large.blocks, memory_order_relaxed);
}

static void end_if_unused(hki_arena *arena) {
    if (arena->retired_blocks == 0 && hki_arena_children(arena) == 0)
        end(arena);
}

bool hki_arena_retire(const hk_arena *handle) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_arena *arena = hki_arena_find(handle);
    if (arena != NULL) {
        arena->retired_blocks = reclaim_all(arena);
        atomic_store_explicit(&arena->handle, 0, memory_order_release);
        atomic_store_explicit(&arena->retired, true, memory_order_release);
        end_if_unused(arena);
    }
    hki_lock_release(&hki_arenas_lock);
    return arena != NULL;
}

static void free_in_retired(hki_arena *arena, const hki_block *block) {
    if (arena->hardened)
        hki_hardened_erase(hki_granule_address(block->granule), block->size);
    if ((block->owner & HKI_OWNER_IS_ARENA) != 0)
        hki_quota_give(&arena->quota, hki_large_give(&arena->large, block->granule));
    else
        hki_heap_free_to_run((hki_heap *)block->owner, block->granule);
    arena->retired_blocks--;
    end_if_unused(arena);
}

hk_status hki_arena_free_retired(hki_arena *arena, const void *pointer, size_t size) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_block block = hki_block_find(pointer); /* again: another thread may have freed it */
    bool live = block.status == HK_OK && hki_arena_of_owner(block.owner) == arena && hki_arena_is_retired(arena);
    hk_status status = live ? HK_OK : HK_ERR_DOUBLE_FREE;
    if (live && arena->hardened)
        status = hki_canary_verify(pointer, block.size, size);
    if (status == HK_OK)
        free_in_retired(arena, &block);
    hki_lock_release(&hki_arenas_lock);
    return status;
}

/* ---- trimming ---- */

static void trim_or_ask(hki_heap *heap, bool trim) {
    if (trim)
        hki_heap_trim(heap);
    else
        atomic_store_explicit(&heap->trim_wanted, true, memory_order_relaxed);
}

static void trim_heaps(hki_arena *arena, const hki_heap *own) {
    bool retired = hki_arena_is_retired(arena);
    if (arena->one_thread && (arena->rewind == NULL || own == &arena->heap)) /* the pages of others stay theirs */
        trim_or_ask(&arena->heap, retired || own == &arena->heap);
    for (hki_heap *heap = arena->heaps; heap != NULL; heap = heap->next)
        trim_or_ask(heap, retired || heap == own || heap->idle);
}

static void purge_pool(hki_pool *pool) {
    hki_lock_acquire(&hki_pool_lock);
    if (!pool->is_private)
        hki_units_purge(pool);
    hki_lock_release(&hki_pool_lock);
}

void hki_arena_trim(hki_arena *arena, hki_heap *own) {
    hki_lock_acquire(&hki_arenas_lock);
    trim_heaps(arena, own);
    hki_lock_release(&hki_arenas_lock);
    purge_pool(arena->pool);
}

hki_arena *hki_arena_next(const hki_arena *arena) {
    for (uint32_t i = arena == NULL ? 0 : number_of(arena) + 1; i < hki_arena_slots.used; i++) {
        hki_arena *next = arena_of_slot(i);
        if (atomic_load_explicit(&next->handle, memory_order_relaxed) != 0 || hki_arena_is_retired(next))
            return next;
    }
    return NULL;
}

void hki_arenas_purge(void) {
    hki_lock_acquire(&hki_arenas_lock);
    for (hki_arena *arena = hki_arena_next(NULL); arena != NULL; arena = hki_arena_next(arena))
        trim_heaps(arena, NULL);
    hki_lock_release(&hki_arenas_lock);
    purge_pool(&hki_shared_pool);
}

/* ---- heaps of thread-safe arenas ---- */

static hki_heap *new_heap(hki_arena *arena) {
    hki_heap *heap = unused_heaps;
    if (heap != NULL)
        unused_heaps = heap->next;
    else if ((heap = hki_slot_take(&hki_heap_slots)) == NULL)
        return NULL;
    start_heap(heap, arena, hki_slot_number(&hki_heap_slots, heap) * 2 + 2, heap + 1);
    heap->next = atomic_load_explicit(&arena->heaps, memory_order_relaxed);
    atomic_store_explicit(&arena->heaps, heap, memory_order_release); /* pairs with hki_statistics_peek */
    return heap;
}

hki_heap *hki_arena_take_heap(hki_arena *arena) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_heap *heap = arena->idle;
    if (heap != NULL)
        arena->idle = heap->next_idle;
    else
        heap = new_heap(arena);
    if (heap != NULL)
        heap->idle = false;
    hki_lock_release(&hki_arenas_lock);
    return heap;
}

/* A heap that is idle from now on will be cold after the delay, but another one may be before it. */
static void set_trim_due(hki_arena *arena, uint64_t now) {
    unsigned delay = atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed);
    uint64_t due = atomic_load_explicit(&arena->idle_trim_due, memory_order_relaxed);
    if (due == 0 || due > now + delay)
        atomic_store_explicit(&arena->idle_trim_due, hki_max(now + delay, 1), memory_order_relaxed);
}

/* Idle heaps are taken over newest first, so the cold ones stay behind. One that has been trimmed has freed_bytes of 0;
 * it is trimmed again when other threads have freed blocks of it. */
void hki_arena_trim_cold(hki_arena *arena) {
    uint64_t now = hki_os_milliseconds();
    unsigned delay = atomic_load_explicit(&hki_purge_delay_ms, memory_order_relaxed);
    if (now < atomic_load_explicit(&arena->idle_trim_due, memory_order_relaxed))
        return;
    hki_lock_acquire(&hki_arenas_lock);
    uint64_t due = arena->idle == NULL ? 0 : now + COLD_AGAIN * (uint64_t)hki_max(delay, 1);
    for (hki_heap *heap = arena->idle; heap != NULL; heap = heap->next_idle) {
        if (heap->freed_bytes == 0 && !hki_heap_has_pending(heap))
            continue;
        if (now - heap->last_look >= delay)
            hki_heap_trim(heap);
        else
            due = hki_min(due, heap->last_look + delay);
    }
    atomic_store_explicit(&arena->idle_trim_due, due, memory_order_relaxed);
    hki_lock_release(&hki_arenas_lock);
}

void hki_arena_give_heap(hki_heap *heap, bool reclaim) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_arena *arena = atomic_load_explicit(&heap->arena, memory_order_relaxed);
    if (arena == NULL) {
        give_heap_slot(heap);
    } else {
        if (reclaim) {
            hki_heap_reclaim(heap);
            heap->freed_bytes = SIZE_MAX / 2; /* enough for a look, as nobody knows how many */
            heap->last_look = hki_os_milliseconds();
            set_trim_due(arena, heap->last_look);
        }
        heap->idle = true;
        heap->next_idle = arena->idle;
        arena->idle = heap;
    }
    hki_lock_release(&hki_arenas_lock);
}

void hki_arena_drain(hki_arena *arena, hki_heap *own) {
    hki_lock_acquire(&hki_arenas_lock);
    if (own != NULL)
        hki_heap_reclaim(own);
    for (hki_heap *heap = arena->idle; heap != NULL; heap = heap->next_idle)
        hki_heap_reclaim(heap);
    hki_lock_release(&hki_arenas_lock);
}
