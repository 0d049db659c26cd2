/* check: see check.h. Each function returns what is wrong, or NULL. */
#include "check.h"

#include "hardened.h"
#include "lock.h"
#include "unit.h"

/* What one heap's runs add up to. */
typedef struct totals {
    uint32_t blocks[HKI_CLASSES + 1];
    uint32_t parked[HKI_CLASSES + 1];
    uint32_t lines[HKI_CLASSES + 1];
    uint32_t live[HKI_CLASSES + 1];
    uint32_t runs_with_parked[HKI_CLASSES + 1];
    uint32_t units;
    size_t all_lines;
} totals;

static const void *place; /* what the last complaint is about; hki_pool_lock */

static const char *complain(uintptr_t granule, const char *what) {
    place = hki_granule_address(granule);
    return what;
}

#define CHECK(condition, granule, what)                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return complain(granule, what);                                                                            \
    } while (0)

#define CHECK_ALL(call)                                                                                                \
    do {                                                                                                               \
        const char *wrong = (call);                                                                                    \
        if (wrong != NULL)                                                                                             \
            return wrong;                                                                                              \
    } while (0)

static uint64_t live_word(size_t word) {
    return atomic_load_explicit(&hki_registry.live[word], memory_order_relaxed);
}

static uint64_t remote_word(size_t word) {
    return atomic_load_explicit(&hki_registry.remote[word], memory_order_relaxed);
}

/* Where blocks start in the word of a run that begins at granule `start`. */
static uint64_t block_starts(uintptr_t start, size_t word, unsigned stride, unsigned blocks) {
    uint64_t starts = 0;
    size_t first = hki_divide_up(word * 64 - start, stride);
    for (size_t i = first; i < blocks && start + i * stride < (word + 1) * 64; i++)
        starts |= UINT64_C(1) << ((start + i * stride) & 63);
    return starts;
}

static const char *check_run_bits(uint32_t first_line, unsigned stride, totals *sum) {
    const hki_run *run = hki_run_record(first_line);
    unsigned size_class = atomic_load(&run->size_class);
    uintptr_t start = hki_line_granule(first_line);
    unsigned parked = 0;
    size_t end = (size_t)(first_line + hki_run_lines(run)) * HKI_WORDS_PER_LINE;
    for (size_t word = (size_t)first_line * HKI_WORDS_PER_LINE; word < end; word++) {
        uint64_t starts = block_starts(start, word, stride, run->blocks);
        uint64_t live = live_word(word), remote = remote_word(word), rest = hki_registry.parked[word];
        CHECK((live & ~starts) == 0, word * 64, "a live bit where no block starts");
        CHECK((rest & ~starts) == 0, word * 64, "a parked bit where no block starts");
        CHECK((live & rest) == 0, word * 64, "a block is both live and parked");
        CHECK((remote & ~live) == 0, word * 64, "a remote bit without a live block");
        CHECK(remote == 0 || (hki_granule_tag(word * 64) & HKI_TAG_REMOTE) != 0, word * 64,
              "a remote bit in a line that is not marked");
        parked += hki_count_bits(rest);
        sum->live[size_class] += hki_count_bits(live);
    }
    CHECK(parked == run->parked, start, "a run's count of parked blocks is wrong");
    return NULL;
}

static const char *check_run(const hki_heap *heap, uint32_t first_line, totals *sum) {
    const hki_run *run = hki_run_record(first_line);
    unsigned size_class = atomic_load(&run->size_class);
    unsigned lines = hki_run_lines(run);
    uintptr_t start = hki_line_granule(first_line);
    CHECK(size_class <= HKI_CLASS_LARGE, start, "a run has no size class");
    CHECK(lines >= 1 && first_line % HKI_LINES_PER_UNIT + lines <= HKI_LINES_PER_UNIT, start, "a run leaves its unit");
    bool large = size_class == HKI_CLASS_LARGE;
    size_t granules = (size_t)lines * HKI_GRANULES_PER_LINE;
    size_t stride = large ? granules : hki_classes[size_class].size / (size_t)HKI_GRANULE_SIZE;
    CHECK(run->blocks == granules / stride, start, "a run's count of blocks is wrong");
    for (unsigned i = 0; i < lines; i++)
        CHECK((atomic_load(&hki_registry.line_tags[first_line + i]) & ~HKI_TAG_REMOTE) == (heap->line_tag | size_class),
              start, "a line has another tag than its heap and run");
    sum->blocks[size_class] += run->blocks;
    sum->parked[size_class] += run->parked;
    sum->lines[size_class] += lines;
    sum->runs_with_parked[size_class] += run->parked > 0;
    return check_run_bits(first_line, (unsigned)stride, sum);
}

static const char *check_free_line(uint32_t line) {
    for (unsigned i = 0; i < HKI_WORDS_PER_LINE; i++) {
        size_t word = (size_t)line * HKI_WORDS_PER_LINE + i;
        CHECK(live_word(word) == 0 && remote_word(word) == 0 && hki_registry.parked[word] == 0, word * 64,
              "a free line has bits set");
    }
    return NULL;
}

static const char *check_unit(const hki_heap *heap, uint32_t number, bool on_room, totals *sum) {
    const hki_unit *unit = &hki_registry.units[number];
    uintptr_t granule = hki_unit_granule(number);
    uint64_t free_lines = atomic_load(&unit->free_lines), starts = atomic_load(&unit->run_starts), covered = 0,
             parked = 0;
    CHECK(atomic_load(&unit->owner) == (uintptr_t)heap, granule, "a unit on a heap's list has another owner");
    CHECK(atomic_load(&unit->kind) == HKI_UNIT_RUNS, granule, "a unit on a heap's list is of another kind");
    CHECK(unit->has_room == on_room && on_room == (free_lines != 0), granule, "a unit is on the wrong list");
    sum->units++;
    for (uint64_t rest = starts; rest != 0; rest &= rest - 1) {
        uint32_t first_line = number * HKI_LINES_PER_UNIT + hki_lowest_bit(rest);
        CHECK_ALL(check_run(heap, first_line, sum));
        uint64_t mask = hki_run_mask(first_line, hki_run_lines(hki_run_record(first_line)));
        CHECK((covered & mask) == 0, granule, "two runs overlap");
        covered |= mask;
        parked |= hki_run_parked_lines(first_line);
    }
    CHECK(atomic_load(&unit->collections) % 2 == 0, granule, "a unit is being collected");
    CHECK((unit->clean_lines & ~free_lines & ~parked) == 0, granule, "a line in use is marked clean");
    CHECK(covered == ~free_lines, granule, "runs and free lines do not make up the unit");
    for (uint64_t rest = free_lines; rest != 0; rest &= rest - 1)
        CHECK_ALL(check_free_line(number * HKI_LINES_PER_UNIT + hki_lowest_bit(rest)));
    sum->all_lines += hki_count_bits(covered);
    return NULL;
}

/* Where a heap keeps free blocks of a class: its stack; or a hardened heap's ring, urn, and the one that comes next. */
enum { STACKS = 3 };
typedef struct stacks {
    const uintptr_t *blocks[STACKS];
    uint32_t count[STACKS];
    uintptr_t drawn; /* what the third one holds */
} stacks;

static stacks stacks_of(const hki_heap *heap, unsigned size_class) {
    stacks found = {{NULL}, {0}, 0};
    if (heap->delays != NULL && size_class < HKI_CLASSES && heap->delays[size_class].slots != NULL) {
        const hki_delay *delay = &heap->delays[size_class];
        found.blocks[0] = delay->slots;
        found.count[0] = hki_delay_load(&delay->urn_blocks);
        found.blocks[1] = delay->slots + delay->urn_slots;
        found.count[1] = hki_delay_load(&delay->ring_blocks);
        found.drawn = atomic_load(&delay->next);
        found.count[2] = found.drawn != 0;
    } else {
        found.blocks[0] = hki_heap_bottom(heap, size_class) + 1;
        found.count[0] = hki_heap_stacked(heap, size_class);
    }
    return found;
}

static const char *mark_stacked(const hki_heap *heap, unsigned size_class, uintptr_t granule) {
    if (!hki_granule_exists(granule) || atomic_load(&hki_granule_unit(granule)->owner) != (uintptr_t)heap)
        return complain(granule, "a block on a stack is not the heap's");
    uint64_t mask = hki_granule_mask(granule);
    if (hki_granule_class(granule) != size_class)
        return complain(granule, "a block is on the stack of another class");
    if ((live_word(granule >> 6) & mask) != 0)
        return complain(granule, "a block on a stack is live");
    if ((hki_registry.parked[granule >> 6] & mask) != 0)
        return complain(granule, "a block on a stack is parked, or there twice");
    hki_registry.parked[granule >> 6] |= mask;
    return NULL;
}

/* Every block on a stack is marked as parked for a moment: so one that is there twice is seen. */
static const char *check_stack(const hki_heap *heap, unsigned size_class) {
    stacks all = stacks_of(heap, size_class);
    all.blocks[2] = &all.drawn;
    const char *wrong = NULL;
    uint32_t marked[STACKS] = {0};
    for (int i = 0; i < STACKS; i++)
        while (wrong == NULL && marked[i] < all.count[i]) {
            wrong = mark_stacked(heap, size_class, all.blocks[i][marked[i]]);
            marked[i] += wrong == NULL;
        }
    for (int i = 0; i < STACKS; i++)
        for (uint32_t k = 0; k < marked[i]; k++)
            hki_registry.parked[all.blocks[i][k] >> 6] &= ~hki_granule_mask(all.blocks[i][k]);
    return wrong;
}

static const char *check_class(const hki_heap *heap, unsigned size_class, const totals *sum) {
    const hki_class_books *books = &heap->books[size_class];
    stacks all = stacks_of(heap, size_class);
    uint32_t stacked = all.count[0] + all.count[1] + all.count[2];
    uint32_t listed = 0;
    place = heap;
    if (atomic_load(&books->blocks) != sum->blocks[size_class])
        return "a heap's count of blocks is wrong";
    if (atomic_load(&books->parked) != sum->parked[size_class])
        return "a heap's count of parked blocks is wrong";
    if (atomic_load(&books->lines) != sum->lines[size_class])
        return "a heap's count of lines is wrong";
    if (sum->live[size_class] + sum->parked[size_class] + stacked != sum->blocks[size_class])
        return "live, parked and stacked blocks do not make up a class";
    for (uint32_t line = books->parked_runs, previous = 0; line != 0; listed++) {
        if (hki_run_record(line)->previous != previous)
            return complain(hki_line_granule(line), "the list of runs with parked blocks is wrong");
        previous = line;
        line = hki_run_record(line)->next;
    }
    if (listed != sum->runs_with_parked[size_class])
        return "the list of runs with parked blocks is wrong";
    return check_stack(heap, size_class);
}

/* A list that leads back into itself has more members than units are owned, or a link that does not lead back. */
static const char *check_units(const hki_heap *heap, uint32_t first, bool room, totals *sum) {
    uint32_t previous = 0;
    for (uint32_t i = first; i != 0; previous = i, i = hki_registry.units[i].next) {
        CHECK(hki_registry.units[i].previous == previous, hki_unit_granule(i), "a heap's list of units is broken");
        CHECK_ALL(check_unit(heap, i, room, sum));
    }
    return NULL;
}

static const char *check_heap(const hki_heap *heap, totals *sum) {
    CHECK_ALL(check_units(heap, heap->room, true, sum));
    CHECK_ALL(check_units(heap, heap->full, false, sum));
    if (heap->spare != 0)
        CHECK(atomic_load(&hki_registry.units[heap->spare].run_starts) == 0, hki_unit_granule(heap->spare),
              "the spare unit has runs");
    for (unsigned size_class = 0; size_class <= HKI_CLASS_LARGE; size_class++)
        CHECK_ALL(check_class(heap, size_class, sum));
    place = heap;
    return atomic_load(&heap->units) == sum->units ? NULL : "a heap's count of units is wrong";
}

static const char *check_large(const hki_arena *arena, size_t *all_lines) {
    size_t blocks = 0, lines = 0, units = 0;
    uint32_t previous = 0;
    for (uint32_t i = arena->large.first; i != 0; previous = i, i = hki_registry.units[i].next, blocks++) {
        const hki_unit *unit = &hki_registry.units[i];
        uintptr_t granule = hki_unit_granule(i);
        CHECK(unit->previous == previous, granule, "the list of large blocks is broken");
        CHECK(atomic_load(&unit->owner) == ((uintptr_t)arena | HKI_OWNER_IS_ARENA), granule,
              "a large block has another owner");
        CHECK(live_word(granule >> 6) == 1, granule, "a large block is not live, or not alone");
        lines += atomic_load(&unit->lines);
        units += hki_large_units(atomic_load(&unit->lines), atomic_load(&unit->kind) == HKI_UNIT_HUGE);
    }
    place = arena;
    *all_lines += lines;
    if (blocks != atomic_load(&arena->large.blocks) || lines != atomic_load(&arena->large.lines) ||
        units != atomic_load(&arena->large.units))
        return "the count of large blocks is wrong";
    return NULL;
}

static const char *check_blocks(const hki_arena *arena, size_t *all_lines) {
    totals sum = {0};
    CHECK_ALL(check_heap(&arena->heap, &sum));
    *all_lines += sum.all_lines;
    for (const hki_heap *heap = arena->heaps; heap != NULL; heap = heap->next) {
        sum = (totals){0};
        CHECK_ALL(check_heap(heap, &sum));
        *all_lines += sum.all_lines;
    }
    return check_large(arena, all_lines);
}

static bool is_below(const hki_arena *arena, const hki_arena *above) {
    do
        arena = hki_arena_parent(arena);
    while (arena != NULL && arena != above);
    return arena != NULL;
}

/* One after the other, as they may be nested deeply. */
static const char *check_descendants(const hki_arena *arena, size_t *all_lines) {
    uint32_t children = 0;
    if (hki_arena_children(arena) == 0)
        return NULL;
    for (const hki_arena *other = hki_arena_next(NULL); other != NULL; other = hki_arena_next(other)) {
        if (!is_below(other, arena))
            continue;
        children += hki_arena_parent(other) == arena;
        CHECK_ALL(check_blocks(other, all_lines));
    }
    place = arena;
    return children == hki_arena_children(arena) ? NULL : "the count of children is wrong";
}

static const char *check_arena(const hki_arena *arena) {
    size_t lines = 0;
    CHECK_ALL(check_blocks(arena, &lines));
    CHECK_ALL(check_descendants(arena, &lines));
    place = arena;
    if (atomic_load(&arena->quota.peak_lines) < lines)
        return "the quota's peak is below what is held";
    if (lines != atomic_load(&arena->quota.held_lines))
        return "the quota does not hold the sum of all lines";
    place = NULL;
    const char *wrong = hki_units_check(&hki_shared_pool);
    return wrong != NULL || !arena->pool->is_private ? wrong : hki_units_check(arena->pool);
}

const char *hki_arena_check(hki_arena *arena, const void **where) {
    hki_lock_acquire(&hki_arenas_lock);
    hki_lock_acquire(&hki_pool_lock);
    const char *wrong = check_arena(arena);
    *where = place;
    hki_lock_release(&hki_pool_lock);
    hki_lock_release(&hki_arenas_lock);
    return wrong;
}
