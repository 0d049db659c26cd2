/* alloc: see alloc.h. */
#include "alloc_hardened.h"

#include "lock.h"
#include "options.h"
#include "os.h"
#include "report.h"
#include "rewind.h"

#include <string.h>

/* ---- start ---- */

static _Atomic bool started;

static void before_fork(void) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&hki_pool_lock);
    hki_lock_acquire(&hki_report_lock);
}

static void after_fork(void) {
    hki_lock_release(&hki_report_lock);
    hki_lock_release(&hki_pool_lock);
    hki_lock_release(&hki_arenas_lock);
}

static void after_fork_in_child(void) {
    hki_rewind_after_fork();
    after_fork();
}

/* Before the C library has set itself up, as a preloaded malloc is called, there is no environment yet: then
 * hki_start_at_load gets here again. */
static void load_options(void) {
    static bool loaded;
    if (loaded || !hki_os_has_environment())
        return;
    loaded = true;
    hki_options_load();
    hki_arena *process = atomic_load_explicit(&hki_default_arena, memory_order_relaxed);
    if (hki_process_limit_bytes != 0)
        atomic_store_explicit(&process->quota.limit_lines, hki_process_limit_bytes >> HKI_LINE_SHIFT,
                              memory_order_relaxed);
}

static bool start_under_lock(void) {
    static hki_lock start_lock = HKI_LOCK_INIT(HKI_RANK_START);
    static bool registered;
    hki_lock_acquire(&start_lock);
    bool done = atomic_load_explicit(&started, memory_order_relaxed);
    if (!done && hki_registry_start() && hki_arena_start()) {
        hki_thread_start(); /* if refused, threads borrow their heaps */
        atomic_store_explicit(&started, true, memory_order_release);
        done = true;
    }
    if (done)
        load_options();
    bool first = done && !registered;
    registered |= first;
    hki_lock_release(&start_lock);
    if (first) /* without the lock, as it may allocate; if refused, a fork while others allocate is not safe */
        hki_os_set_fork_handlers(before_fork, after_fork, after_fork_in_child);
    return done;
}

bool hki_start(void) {
    return HKI_LIKELY(atomic_load_explicit(&started, memory_order_acquire)) || start_under_lock();
}

void hki_start_at_load(void) {
    start_under_lock();
}

/* ---- misuse ---- */

size_t hki_usable_size(const hki_block *block) {
    const hki_arena *arena = hki_arena_of_owner(block->owner);
    if (block->granule == 0 || arena == NULL || !arena->hardened)
        return block->size;
    return block->state == HK_BLOCK_LIVE ? hki_canary_usable(hki_granule_address(block->granule), block->size)
                                         : block->size - HKI_SLACK_MIN;
}

/* If the block was live a moment ago, and that is why it is a double free, another thread is ending it: it is not
 * read. */
hk_status hki_misuse(hki_target target, const hki_block *block, hk_status status) {
    hki_block told = *block;
    if (status == HK_ERR_DOUBLE_FREE)
        told.state = HK_BLOCK_FREE;
    return hki_misuse_of_size(target, block, hki_usable_size(&told), status);
}

hk_status hki_misuse_of_size(hki_target target, const hki_block *block, size_t usable, hk_status status) {
    const hki_arena *arena = hki_arena_of_owner(block->owner);
    hk_error_info info = {
        .struct_size = sizeof info,
        .status = status,
        .function = target.function,
        .pointer = target.pointer,
        .block_size = usable,
        .given_size = status == HK_ERR_SIZE_MISMATCH ? target.size : 0,
        .arena_name = arena != NULL ? arena->name : NULL,
    };
    return hki_report(&info);
}

hk_status hki_bad_arena(const char *function, const hk_arena *handle) {
    hk_error_info info = {
        .struct_size = sizeof info,
        .status = HK_ERR_BAD_ARENA,
        .function = function,
        .pointer = handle,
    };
    return hki_report(&info);
}

/* ---- allocate ---- */

static hk_status alloc_small(hki_heap *heap, unsigned size_class, uintptr_t *granule) {
    if (heap->delays != NULL)
        return hki_hardened_take(heap, size_class, granule);
    *granule = hki_heap_pop(heap, size_class);
    if (*granule != 0)
        return HK_OK;
    hk_status status = hki_heap_refill(heap, size_class);
    if (status == HK_OK)
        *granule = hki_heap_pop(heap, size_class);
    return status;
}

/* Arenas of alignment 16 have classes as hk_good_size tells them; of the others, interpreters' private ones may
 * differ. */
static bool may_borrow(const hki_arena *arena) {
    return arena->one_thread && arena->min_alignment == 8 && !arena->hardened;
}

/* A block of an alignment beyond the arena's, or of a borrowed class, is not in the class of its size. */
static void note_other_class(uintptr_t granule, bool aligned) {
    hki_run *run = hki_run_record(hki_run_at(hki_granule_line(granule)));
    atomic_store_explicit(aligned ? &run->any_size : &run->borrowed, true, memory_order_relaxed);
}

static hk_status alloc_in_class(hki_arena *arena, hki_heap *heap, unsigned size_class, hki_request request,
                                uintptr_t *granule) {
    if (may_borrow(arena))
        size_class = hki_heap_serving_class(heap, size_class, request.alignment);
    hk_status status = alloc_small(heap, size_class, granule);
    if (status == HK_OK && hki_class_of(heap->class_table, request.size) != size_class)
        note_other_class(*granule, request.alignment > 1);
    return status;
}

static hk_status alloc_large(hki_arena *arena, hki_request request, uintptr_t *granule, bool *clean) {
    size_t lines = hki_lines_of(request.size);
    const hki_large_wanted wanted = {
        .lines = lines,
        .alignment = request.alignment,
        .grows = request.grows,
    };
    if (!hki_quota_take(&arena->quota, lines))
        return HK_ERR_LIMIT;
    *granule = hki_large_take(&arena->large, &wanted, clean);
    if (*granule != 0)
        return HK_OK;
    hki_quota_give(&arena->quota, lines);
    return hki_pool_failure(arena->pool);
}

static hk_status alloc_once(hki_arena *arena, hki_heap *heap, hki_request request, uintptr_t *granule, bool *clean) {
    *clean = false;
    if (request.size <= HKI_SMALL_MAX && request.alignment <= HKI_LINE_SIZE) {
        const uint8_t *class_table = request.class_table != NULL ? request.class_table : heap->class_table;
        unsigned size_class = hki_class_of_aligned(class_table, request.size, request.alignment);
        if (size_class != HKI_CLASS_LARGE)
            return alloc_in_class(arena, heap, size_class, request, granule);
    }
    size_t lines = hki_lines_of(request.size);
    if (lines > HKI_LINES_PER_UNIT || request.alignment > HKI_UNIT_SIZE)
        return alloc_large(arena, request, granule, clean);
    hk_status status = HK_OK;
    size_t align_lines = hki_max(request.alignment >> HKI_LINE_SHIFT, 1);
    *granule = hki_heap_alloc_lines(heap, (unsigned)lines, (unsigned)align_lines, clean, &status);
    return status;
}

/* What a limit above has refused counts there, too. */
static void count_failure(hki_quota *quota, hk_status status) {
    atomic_fetch_add_explicit(status == HK_ERR_LIMIT ? &quota->limit_failures : &quota->system_failures, 1,
                              memory_order_relaxed);
    hki_quota *refused = status == HK_ERR_LIMIT ? hki_quota_that_refused(quota) : quota;
    if (refused != quota)
        atomic_fetch_add_explicit(&refused->limit_failures, 1, memory_order_relaxed);
}

/* The calling thread's heap, if it has one that is for no other thread. */
static hki_heap *own_heap(hki_arena *arena) {
    hki_heap *heap = arena->one_thread ? NULL : hki_thread_heap(arena);
    return heap == &hki_empty_heap ? NULL : heap;
}

/* Gives back what is free here, and in the arenas above as far as it is this thread's or nobody's: what others keep
 * there, or in arenas beside this one, cannot be had. */
static void reclaim(hki_arena *arena, hki_heap *heap) {
    hki_heap_reclaim(heap);
    hki_arena_drain(arena, NULL);
    while ((arena = hki_arena_parent(arena)) != NULL)
        hki_arena_drain(arena, own_heap(arena));
}

/* What does not fit at first may fit after everything free has been given back. */
static hk_status alloc_or_reclaim(hki_arena *arena, hki_heap *heap, hki_request request, uintptr_t *granule,
                                  bool *clean) {
    hk_status status = alloc_once(arena, heap, request, granule, clean);
    if (status == HK_OK)
        return status;
    reclaim(arena, heap);
    status = alloc_once(arena, heap, request, granule, clean);
    if (status != HK_OK && !request.optional)
        count_failure(&arena->quota, status);
    return status;
}

/* With a canary, in a hardened arena. */
static hk_status alloc_block(hki_arena *arena, hki_heap *heap, hki_request request, uintptr_t *granule, bool *clean) {
    if (!arena->hardened)
        return alloc_or_reclaim(arena, heap, request, granule, clean);
    size_t asked = request.size;
    request.size += HKI_SLACK_MIN;
    hk_status status = alloc_or_reclaim(arena, heap, request, granule, clean);
    return status == HK_OK ? hki_hardened_finish(*granule, asked, clean) : status;
}

/* Where the caller is inside of the arena already. */
static void *allocate(hki_arena *arena, hki_request request) {
    if (request.size > HKI_BLOCK_MAX || !hki_is_power_of_two(request.alignment) ||
        request.alignment > HKI_ALIGNMENT_MAX) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    hki_arena_trim_cold_if_any(arena);
    hki_heap *heap = hki_thread_enter(arena);
    if (heap == NULL) {
        if (!request.optional)
            count_failure(&arena->quota, HK_ERR_NO_MEMORY);
        hki_fail(HK_ERR_NO_MEMORY);
        return NULL;
    }
    uintptr_t granule = 0;
    bool clean = false;
    hk_status status = alloc_block(arena, heap, request, &granule, &clean);
    hki_thread_leave(arena, heap);
    if (status == HK_ERR_WRITE_AFTER_FREE) {
        hki_written_after_free(request.function, hki_granule_address(granule));
    } else if (status != HK_OK) {
        hki_fail(status);
        return NULL;
    }
    void *block = hki_granule_address(granule);
    if (request.zero && !clean)
        memset(block, 0, request.size);
    return block;
}

void *hki_alloc(hki_arena *arena, hki_request request) {
    if (!hki_rewind_enter(arena)) {
        hki_fail(HK_ERR_BUSY);
        return NULL;
    }
    void *block = allocate(arena, request);
    hki_rewind_leave(arena);
    return block;
}

/* ---- free ---- */

static bool is_size(const hki_block *block, hki_target target) {
    size_t size = target.size;
    if (!target.sized || (block->any_size && size <= block->size))
        return true;
    if (block->kind != HK_POINTER_SMALL)
        return size <= HKI_BLOCK_MAX && hki_lines_of(size) << HKI_LINE_SHIFT == block->size;
    if (size > block->size)
        return false;
    unsigned size_class = hki_class_of(hki_arena_of_owner(block->owner)->heap.class_table, size);
    return size_class == block->size_class || (block->borrowed && hki_classes[size_class].size * 2U >= block->size);
}

/* The process heap takes over what is left of arenas that were retired. */
static bool may_free(const hki_arena *arena, const hki_block *block) {
    const hki_arena *owner = hki_arena_of_owner(block->owner);
    return owner == arena || (owner != NULL && hki_arena_is_retired(owner) &&
                              arena == atomic_load_explicit(&hki_default_arena, memory_order_relaxed));
}

static bool is_retired(const hki_block *block) {
    const hki_arena *owner = hki_arena_of_owner(block->owner);
    return owner != NULL && hki_arena_is_retired(owner);
}

/* HK_OK if the target is a live block of the arena and has the given size, if any; a hardened arena's is to be verified
 * by its canary yet. Else which misuse it would be; that is reported when the arena has been left, as the handler may
 * come in again, or never return. */
static hk_status find_target(const hki_arena *arena, hki_target target, hki_block *block) {
    *block = hki_block_find(target.pointer);
    hk_status status = block->status;
    if (status == HK_OK && !may_free(arena, block))
        status = HK_ERR_WRONG_ARENA;
    if (status == HK_OK && !hki_arena_of_owner(block->owner)->hardened && !is_size(block, target))
        status = HK_ERR_SIZE_MISMATCH;
    return status;
}

static hk_status free_block(hki_arena *arena, const hki_block *block, size_t size) {
    if (is_retired(block))
        return hki_arena_free_retired(hki_arena_of_owner(block->owner), hki_granule_address(block->granule), size);
    if ((block->owner & HKI_OWNER_IS_ARENA) != 0) {
        size_t lines = hki_large_give(&arena->large, block->granule);
        hki_quota_give(&arena->quota, lines);
        return lines != 0 ? HK_OK : HK_ERR_DOUBLE_FREE;
    }
    hki_heap *heap = hki_thread_heap(arena);
    if (block->owner != (uintptr_t)heap)
        return hki_heap_free_remote(block->granule);
    hki_heap_free(heap, block->granule);
    return HK_OK;
}

/* Frees a small block of another thread's heap, or of our own in a line where others have freed, without a look at the
 * unit and the run that its owner is writing. False, and nothing has changed, for all others. */
static bool free_small(const hki_arena *arena, hki_heap *own, uintptr_t granule) {
    if (!hki_granule_exists(granule))
        return false;
    uint64_t live = atomic_load_explicit(hki_live_word(granule), memory_order_acquire);
    uint32_t tag = hki_granule_tag(granule);
    const hki_heap *heap = hki_heap_of_tag(tag);
    if ((live & hki_granule_mask(granule)) == 0 || hki_tag_class(tag) >= HKI_CLASS_LARGE || heap == NULL)
        return false;
    if (heap == own)
        return hki_heap_free_marked(own, granule);
    return atomic_load_explicit(&heap->arena, memory_order_acquire) == arena && hki_heap_free_remote(granule) == HK_OK;
}

static hk_status free_target(hki_arena *arena, hki_target target, hki_block *block) {
    if (!target.sized) {
        hki_heap *own = hki_thread_heap(arena);
        uintptr_t granule = hki_granule_of(target.pointer);
        if (free_small(arena, own, granule))
            return HK_OK;
    }
    hk_status status = find_target(arena, target, block);
    return status == HK_OK ? free_block(arena, block, hki_size_known(target)) : status;
}

hk_status hki_free(hki_arena *arena, hki_target target) {
    hki_block block;
    if (target.pointer == NULL)
        return HK_OK;
    if (arena->hardened)
        return target.sized ? hki_hardened_free_sized(arena, target)
                            : hki_hardened_free(arena, target.pointer, target.function);
    if (!hki_rewind_enter(arena))
        return hki_fail(HK_ERR_BUSY);
    hk_status status = free_target(arena, target, &block);
    hki_rewind_leave(arena);
    return status == HK_OK ? HK_OK : hki_misuse(target, &block, status);
}

/* ---- reallocate ---- */

/* Whether the block is one of whole lines in a unit of the calling thread's heap. */
static bool is_own_lines(hki_arena *arena, const hki_block *block) {
    return block->kind == HK_POINTER_LARGE && block->owner == (uintptr_t)hki_thread_heap(arena);
}

static bool is_arenas(const hki_block *block) {
    return (block->owner & HKI_OWNER_IS_ARENA) != 0;
}

/* Resizes a block of the arena's without copying: its new granule, or 0. */
static uintptr_t resize_large(hki_arena *arena, const hki_block *block, size_t lines) {
    size_t now = block->size >> HKI_LINE_SHIFT;
    if (lines > now && !hki_quota_take(&arena->quota, lines - now))
        return 0;
    uintptr_t granule = hki_large_resize(&arena->large, block->granule, lines);
    if (granule == 0 && lines > now)
        hki_quota_give(&arena->quota, lines - now);
    if (granule != 0 && lines < now)
        hki_quota_give(&arena->quota, now - lines);
    return granule;
}

/* A size of the same kind of block: it may be had without copying. 0 if not. */
uintptr_t hki_resize_in_place(hki_arena *arena, const hki_block *block, size_t size) {
    if (is_retired(block))
        return size <= block->size && size > block->size / 2 ? block->granule : 0;
    if (size <= HKI_SMALL_MAX) {
        bool same = block->kind == HK_POINTER_SMALL && hki_class_of(arena->heap.class_table, size) == block->size_class;
        return same ? block->granule : 0;
    }
    size_t lines = hki_lines_of(size);
    if (is_arenas(block))
        return lines > HKI_LINES_PER_UNIT ? resize_large(arena, block, lines) : 0;
    if (lines << HKI_LINE_SHIFT == block->size)
        return block->granule;
    if (lines > HKI_LINES_PER_UNIT || !is_own_lines(arena, block))
        return 0;
    hki_heap *heap = (hki_heap *)block->owner;
    return hki_heap_resize_lines(heap, block->granule, (unsigned)lines) == HK_OK ? block->granule : 0;
}

/* A shrink for which there is no other block: the old one serves. Either it gives lines back, or else sized calls may
 * say its new size. */
uintptr_t hki_shrink_in_place(hki_arena *arena, const hki_block *block, size_t size) {
    size_t lines = hki_lines_of(size);
    if (is_retired(block))
        return block->granule;
    if (is_arenas(block))
        return resize_large(arena, block, lines);
    if (is_own_lines(arena, block)) {
        hki_heap_resize_lines((hki_heap *)block->owner, block->granule, (unsigned)lines);
        return block->granule;
    }
    hki_run *run = hki_run_record(hki_run_at(hki_granule_line(block->granule)));
    atomic_store_explicit(&run->any_size, true, memory_order_relaxed);
    return block->granule;
}

/* *status: HK_OK, or that of a misuse, of which `block` is the block. */
static void *reallocate(hki_arena *arena, hki_target target, size_t size, hki_block *block, hk_status *status) {
    *status = find_target(arena, target, block);
    if (*status != HK_OK)
        return NULL;
    if (hki_arena_of_owner(block->owner)->hardened)
        return hki_hardened_realloc(arena, target, size, block, status);
    uintptr_t granule = hki_resize_in_place(arena, block, size);
    if (granule != 0)
        return hki_granule_address(granule);
    hk_status before = hki_last_status;
    bool grows = size > block->size;
    void *copy = allocate(arena, (hki_request){.size = size, .alignment = 1, .grows = grows, .optional = !grows});
    if (copy == NULL && !grows) {
        hki_last_status = before; /* a shrink does not fail */
        return hki_granule_address(hki_shrink_in_place(arena, block, size));
    }
    if (copy == NULL)
        return NULL;
    memcpy(copy, target.pointer, hki_min(size, block->size));
    target.sized = false;
    *status = free_target(arena, target, block);
    return copy;
}

void *hki_realloc(hki_arena *arena, hki_target target, size_t size) {
    hki_block block;
    hk_status status;
    if (target.pointer == NULL && arena->hardened)
        return hki_hardened_alloc(arena, size, target.function);
    if (target.pointer == NULL)
        return hki_alloc(arena, (hki_request){.size = size, .alignment = 1});
    if (size > HKI_BLOCK_MAX) {
        hki_fail(HK_ERR_INVALID_ARGUMENT);
        return NULL;
    }
    if (size == 0) {
        hki_free(arena, target);
        return NULL;
    }
    if (!hki_rewind_enter(arena)) {
        hki_fail(HK_ERR_BUSY);
        return NULL;
    }
    void *result = reallocate(arena, target, size, &block, &status);
    hki_rewind_leave(arena);
    if (status != HK_OK)
        hki_misuse(target, &block, status);
    return result;
}
