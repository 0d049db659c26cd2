/* statistics: figures against a model, with blocks that are freed remotely, heaps that are idle, and threads inside. */
#include "unit_test.h"

#include "statistics.h"

enum { SLOTS = 2000 };

static hk_arena *handle;
static hki_arena *arena;

static void start(uint32_t flags, uint32_t min_alignment) {
    handle = make_arena(flags, min_alignment, 0);
    arena = hki_arena_find(handle);
}

static void start_shared(void) {
    start(0, 16);
}

static hk_statistics figures(void) {
    hk_statistics now = {.struct_size = sizeof now};
    cr_assert_eq(hk_arena_statistics(handle, &now), HK_OK);
    return now;
}

static void *alloc(size_t size) {
    void *block = hk_arena_alloc(handle, size);
    cr_assert_not_null(block);
    return block;
}

/* ---- a model ---- */

static struct {
    void *block;
    size_t usable;
} slots[SLOTS];

static void fill_slot(unsigned i, size_t size) {
    slots[i].block = alloc(size);
    slots[i].usable = hk_usable_size(slots[i].block);
}

static void empty_slot(unsigned i) {
    cr_assert_eq(hk_arena_free(handle, slots[i].block), HK_OK);
    slots[i].block = NULL;
}

static void resize_slot(unsigned i, size_t size) {
    slots[i].block = hk_arena_realloc(handle, slots[i].block, size);
    cr_assert_not_null(slots[i].block);
    slots[i].usable = hk_usable_size(slots[i].block);
}

static void change_slot(unsigned i, uint32_t *seed) {
    size_t size = 1 + random_size(seed, next_random(seed) % 64 == 0 ? (size_t)6 << 20 : 40000);
    if (slots[i].block == NULL)
        fill_slot(i, size);
    else if (next_random(seed) % 4 == 0)
        resize_slot(i, size);
    else
        empty_slot(i);
}

/* What the slots say of live blocks. */
static hk_statistics expected(void) {
    hk_statistics sum = {.struct_size = sizeof sum, .size_classes = HKI_CLASSES};
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].block == NULL)
            continue;
        hk_pointer_info info = {.struct_size = sizeof info};
        cr_assert_eq(hk_classify(slots[i].block, &info), HK_OK);
        sum.live_blocks++;
        sum.live_bytes += slots[i].usable;
        if (info.kind == HK_POINTER_SMALL) {
            sum.classes[hki_class_of(hki_class_table_8, slots[i].usable)].live_blocks++;
        } else {
            sum.large_blocks++;
            sum.large_bytes += slots[i].usable;
        }
    }
    return sum;
}

static void assert_live(const hk_statistics *now) {
    const hk_statistics wanted = expected();
    cr_assert_eq(now->live_blocks, wanted.live_blocks);
    cr_assert_eq(now->live_bytes, wanted.live_bytes);
    cr_assert_eq(now->large_blocks, wanted.large_blocks);
    cr_assert_eq(now->large_bytes, wanted.large_bytes);
    cr_assert_eq(now->size_classes, HKI_CLASSES);
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        cr_assert_eq(now->classes[i].block_size, hki_classes[i].size);
        cr_assert_eq(now->classes[i].live_blocks, wanted.classes[i].live_blocks, "class %u", i);
    }
}

/* Units whose records name the arena or one of its heaps. Segments of a huge block have one such unit alone. */
static size_t owned_units(void) {
    size_t owned = 0;
    uint32_t end = hki_segments_end() * HKI_UNITS_PER_SEGMENT;
    for (uint32_t i = HKI_UNITS_PER_SEGMENT; i < end; i++) {
        const hki_unit *unit = &hki_registry.units[i];
        if (hki_arena_of_owner(atomic_load(&unit->owner)) != arena)
            continue;
        unsigned kind = atomic_load(&unit->kind);
        owned += kind == HKI_UNIT_RUNS ? 1 : hki_large_units(atomic_load(&unit->lines), kind == HKI_UNIT_HUGE);
    }
    return owned;
}

/* Lines are those of runs, or of large blocks. */
static void assert_held(const hk_statistics *now) {
    size_t held = now->large_bytes;
    for (unsigned i = 0; i < HKI_CLASSES; i++) {
        held += now->classes[i].held_bytes;
        cr_assert_geq(now->classes[i].held_bytes, now->classes[i].live_blocks * now->classes[i].block_size);
    }
    cr_assert_eq(now->held_bytes, held);
    cr_assert_eq(now->held_bytes, held_lines(arena) << HKI_LINE_SHIFT);
    cr_assert_geq(now->peak_held_bytes, now->held_bytes);
    cr_assert_eq(now->units, owned_units());
}

static void assert_model(size_t heaps) {
    hk_statistics now = figures();
    assert_live(&now);
    assert_held(&now);
    cr_assert_eq(now.heaps, heaps);
    cr_assert(now.limit_failures == 0 && now.system_failures == 0 && now.limit_bytes == 0);
}

static void follow_a_model(uint32_t flags, uint32_t min_alignment) {
    uint32_t seed = 20261124;
    size_t peak = 0;
    start(flags, min_alignment);
    for (int round = 0; round < 20000; round++) {
        change_slot(next_random(&seed) % SLOTS, &seed);
        peak = hki_max(peak, held_lines(arena));
        if (round % 500 == 0)
            assert_model(1);
    }
    cr_assert_geq(figures().peak_held_bytes, peak << HKI_LINE_SHIFT);
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL)
            empty_slot(i);
    assert_model(1);
    hki_heap_reclaim(hki_thread_heap(arena));
    hk_statistics end = figures();
    cr_assert(end.live_blocks == 0 && end.live_bytes == 0 && end.held_bytes == 0 && end.units == 0);
}

Test(statistics, one_thread_follows_a_model) {
    follow_a_model(HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
}

Test(statistics, alignment_8_follows_a_model) {
    follow_a_model(HK_ARENA_ONE_THREAD_AT_A_TIME, 8);
}

Test(statistics, shared_arena_follows_a_model) {
    follow_a_model(0, 16);
}

/* ---- single figures ---- */

Test(statistics, new_arenas_have_nothing) {
    const uint32_t flags[] = {HK_ARENA_ONE_THREAD_AT_A_TIME, 0};
    for (size_t i = 0; i < LENGTH_OF(flags); i++) {
        start(flags[i], 16);
        hk_statistics now = figures();
        cr_assert(now.held_bytes == 0 && now.peak_held_bytes == 0 && now.live_blocks == 0 && now.units == 0);
        cr_assert_eq(now.heaps, flags[i] == 0 ? 0 : 1);
    }
}

Test(statistics, peak_stays) {
    start(HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
    hk_arena_free(handle, alloc((size_t)7 << 20));
    hk_arena_free(handle, alloc((size_t)1 << 20));
    cr_assert_eq(figures().peak_held_bytes, (size_t)7 << 20);
    cr_assert_eq(figures().held_bytes, 0);
}

Test(statistics, large_blocks_count_their_address_space) {
    start(HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
    alloc((size_t)65 << HKI_LINE_SHIFT);
    cr_assert_eq(figures().units, 2);
    alloc((size_t)(4 << 20) + 1);
    hk_statistics now = figures();
    cr_assert_eq(now.units, 2 + 2 * HKI_UNITS_PER_SEGMENT);
    cr_assert_eq(now.large_bytes, (size_t)(65 + 4096 + 1) << HKI_LINE_SHIFT);
    cr_assert_eq(now.live_blocks, 2);
}

Test(statistics, refused_requests_are_counted_apart) {
    start(HK_ARENA_ONE_THREAD_AT_A_TIME, 16);
    cr_assert_eq(hk_arena_set_limit(handle, (4 << 20) + 1023), HK_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_null(hk_arena_alloc(handle, (size_t)5 << 20));
    fail_from(0);
    for (int i = 0; i < 2; i++)
        cr_assert_null(hk_arena_alloc(handle, (size_t)4 << 20));
    hki_os_fail_calls(0, 0);
    cr_assert_null(hk_arena_alloc(handle, SIZE_MAX)); /* an argument, not a failure */
    hk_statistics now = figures();
    cr_assert_eq(now.limit_failures, 3);
    cr_assert_eq(now.system_failures, 2);
    cr_assert_eq(now.limit_bytes, (size_t)4 << 20);
    cr_assert_eq(now.held_bytes, 0);
}

/* ---- what other threads do ---- */

static void *empty_slots(void *step) {
    for (unsigned i = 0; i < SLOTS; i += *(unsigned *)step)
        if (slots[i].block != NULL && hk_arena_free(handle, slots[i].block) != HK_OK)
            return NULL;
    return step;
}

static void forget_slots(unsigned step) {
    for (unsigned i = 0; i < SLOTS; i += step)
        slots[i].block = NULL;
}

/* Small blocks, whole lines and, among the first ones, units. */
static void fill_slots(void) {
    for (unsigned i = 0; i < SLOTS; i++)
        fill_slot(i, i < 10 ? (size_t)100 << 10 : i % 50 == 0 ? 17000 + i * 10 : 1 + i);
}

static void *fill_slots_in_thread(void *unused) {
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i].block = hk_arena_alloc(handle, i % 50 == 0 ? 17000 + i * 10 : 1 + i);
        if (slots[i].block == NULL)
            return NULL;
        slots[i].usable = hk_usable_size(slots[i].block);
    }
    return unused;
}

Test(statistics, own_heap_is_collected, .init = start_shared) {
    unsigned every_third = 3;
    fill_slots();
    cr_assert_not_null(run_in_thread(empty_slots, &every_third));
    cr_assert(hki_heap_has_pending(hki_thread_heap(arena)));
    forget_slots(every_third);
    assert_model(1);
    cr_assert_not(hki_heap_has_pending(hki_thread_heap(arena)));
}

Test(statistics, idle_heaps_count, .init = start_shared) {
    cr_assert_not_null(run_in_thread(fill_slots_in_thread, handle));
    cr_assert_not_null(arena->idle);
    assert_model(1);
    void *block = alloc(1); /* the idle heap is taken over */
    cr_assert_null(arena->idle);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    assert_model(1);
}

Test(statistics, idle_heaps_are_collected, .init = start_shared) {
    unsigned every_second = 2;
    void *own = alloc(1);
    cr_assert_not_null(run_in_thread(fill_slots_in_thread, handle));
    cr_assert_not_null(empty_slots(&every_second));
    forget_slots(every_second);
    cr_assert(hki_heap_has_pending(arena->idle));
    cr_assert_eq(hk_arena_free(handle, own), HK_OK);
    assert_model(2);
    cr_assert_not(hki_heap_has_pending(arena->idle));
}

/* A thread that fills the slots and stays until it is let go. */
static pthread_barrier_t filled, let_go;

static void *fill_and_stay(void *argument) {
    void *result = fill_slots_in_thread(argument);
    pthread_barrier_wait(&filled);
    pthread_barrier_wait(&let_go);
    return result;
}

static pthread_t start_and_fill(void) {
    pthread_t thread;
    pthread_barrier_init(&filled, NULL, 2);
    pthread_barrier_init(&let_go, NULL, 2);
    cr_assert_eq(pthread_create(&thread, NULL, fill_and_stay, handle), 0);
    pthread_barrier_wait(&filled);
    return thread;
}

static void end_thread(pthread_t thread) {
    void *result;
    pthread_barrier_wait(&let_go);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_not_null(result);
}

/* A large block that was freed remotely is no live one, though its lines are held until its owner collects it. */
static void assert_pending(size_t pending_large_bytes) {
    hk_statistics now = figures();
    assert_live(&now);
    size_t held = now.large_bytes + pending_large_bytes;
    for (unsigned i = 0; i < HKI_CLASSES; i++)
        held += now.classes[i].held_bytes;
    cr_assert_eq(now.held_bytes, held);
    cr_assert_eq(now.units, owned_units());
}

static size_t large_bytes_of(unsigned step) {
    size_t bytes = 0;
    for (unsigned i = 0; i < SLOTS; i += step)
        bytes += i % 50 == 0 ? slots[i].usable : 0;
    return bytes;
}

Test(statistics, remote_frees_that_nobody_collected_are_not_live, .init = start_shared) {
    const unsigned steps[] = {7, 50, 1};
    pthread_t thread = start_and_fill();
    assert_pending(0);
    size_t pending = 0;
    for (size_t i = 0; i < LENGTH_OF(steps); i++) {
        unsigned step = steps[i];
        for (unsigned k = 0; k < SLOTS; k += step)
            if (slots[k].block != NULL) {
                pending += k % 50 == 0 ? slots[k].usable : 0;
                empty_slot(k);
            }
        assert_pending(pending);
    }
    cr_assert_eq(pending, large_bytes_of(1));
    cr_assert_eq(figures().live_blocks, 0);
    cr_assert_eq(figures().live_bytes, 0);
    end_thread(thread);
    cr_assert_eq(figures().held_bytes, 0);
    cr_assert_eq(figures().units, 0);
}

Test(statistics, heaps_are_counted, .init = start_shared) {
    cr_assert_eq(figures().heaps, 0);
    pthread_t thread = start_and_fill();
    cr_assert_eq(figures().heaps, 1);
    void *block = alloc(10);
    cr_assert_eq(figures().heaps, 2);
    cr_assert_eq(hk_arena_free(handle, block), HK_OK);
    end_thread(thread);
    cr_assert_eq(figures().heaps, 2);
    cr_assert_not_null(run_in_thread(fill_slots_in_thread, handle)); /* takes the idle heap over */
    cr_assert_eq(figures().heaps, 2);
}

/* ---- snapshots ---- */

enum { WORKERS = 3, KEPT = 64, LIMIT = 8 << 20, ROUNDS = 60000, KINDS = 5 };

static const size_t kinds[KINDS] = {16, 100, 1000, 20000, 100000};
static _Atomic(void *) exchange[KEPT];
static _Atomic unsigned working = WORKERS;

/* Blocks go through cells that the threads share, so that most are freed by another one. */
static void *work(void *argument) {
    uint32_t seed = *(uint32_t *)argument;
    bool sound = true;
    for (int i = 0; i < ROUNDS; i++) {
        void *block = hk_arena_alloc(handle, kinds[next_random(&seed) % KINDS]);
        block = atomic_exchange(&exchange[next_random(&seed) % KEPT], block);
        sound = sound && hk_arena_free(handle, block) == HK_OK;
    }
    atomic_fetch_sub(&working, 1);
    return sound ? argument : NULL;
}

/* No class ever holds more than the limit; the classes are read one after the other. */
static bool is_plausible(const hk_statistics *now) {
    bool sound = now->held_bytes <= LIMIT && now->peak_held_bytes <= LIMIT && now->heaps <= WORKERS;
    sound = sound && now->live_bytes <= (size_t)LIMIT * KINDS && now->large_bytes <= (size_t)2 * LIMIT;
    sound = sound && now->live_blocks <= now->live_bytes / 16 && now->units <= 4 * LIMIT / HKI_UNIT_SIZE * WORKERS;
    for (unsigned i = 0; i < HKI_CLASSES; i++)
        sound = sound && now->classes[i].live_blocks <= LIMIT / now->classes[i].block_size &&
                now->classes[i].held_bytes <= LIMIT;
    return sound;
}

Test(statistics, snapshots_are_plausible) {
    uint32_t seeds[WORKERS] = {11, 22, 33};
    pthread_t threads[WORKERS];
    handle = make_arena(0, 16, LIMIT);
    arena = hki_arena_find(handle);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
    while (atomic_load(&working) > 0) {
        hk_statistics now = figures();
        cr_assert(is_plausible(&now));
    }
    for (int i = 0; i < WORKERS; i++) {
        void *result;
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_not_null(result);
    }
    for (int i = 0; i < KEPT; i++)
        cr_assert_eq(hk_arena_free(handle, atomic_load(&exchange[i])), HK_OK);
    hk_statistics end = figures();
    cr_assert(end.live_blocks == 0 && end.live_bytes == 0 && end.large_blocks == 0);
    assert_sound(arena);
}

/* ---- the structure ---- */

typedef union room {
    hk_statistics statistics;
    unsigned char bytes[sizeof(hk_statistics) + 64];
} room;

Test(statistics, only_what_fits_is_written, .init = start_shared) {
    fill_slots();
    hk_statistics all = figures();
    for (size_t size = sizeof(size_t); size <= sizeof(room); size++) {
        static room some;
        memset(&some, 0xa5, sizeof some);
        some.statistics.struct_size = all.struct_size = size;
        cr_assert_eq(hk_arena_statistics(handle, &some.statistics), HK_OK);
        size_t written = hki_min(size, sizeof all);
        cr_assert_arr_eq(&some, &all, written);
        for (size_t i = written; i < sizeof some; i++)
            cr_assert_eq(some.bytes[i], 0xa5);
    }
}

Test(statistics, structures_without_a_size_are_refused, .init = start_shared) {
    hk_statistics now;
    for (size_t size = 0; size < sizeof now.struct_size; size++) {
        memset(&now, 0xa5, sizeof now);
        now.struct_size = size;
        cr_assert_eq(hk_arena_statistics(handle, &now), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(hk_last_status(), HK_ERR_INVALID_ARGUMENT);
        cr_assert_eq(now.struct_size, size);
        cr_assert_eq(*((unsigned char *)&now + sizeof now.struct_size), 0xa5);
    }
    cr_assert_eq(hk_arena_statistics(handle, NULL), HK_ERR_INVALID_ARGUMENT);
}

Test(statistics, classes_that_do_not_exist_are_zero, .init = start_shared) {
    hk_statistics now;
    memset(&now, 0xa5, sizeof now);
    now.struct_size = sizeof now;
    cr_assert_eq(hk_arena_statistics(handle, &now), HK_OK);
    cr_assert(is_zero(&now.classes[HKI_CLASSES], (HK_SIZE_CLASSES_MAX - HKI_CLASSES) * sizeof now.classes[0]));
}
