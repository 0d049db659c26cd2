/* rewind_fixture: arenas that can be rewound, and exact copies of all that they are: every byte of their ranges. */
#ifndef HAKMEM_REWIND_FIXTURE_H
#define HAKMEM_REWIND_FIXTURE_H

#include "unit_test.h"

#include "rewind.h"
#include "rewind_pages.h"

#include <fcntl.h>

static const hki_rewind_way ways[] = {HKI_REWIND_TRACKING, HKI_REWIND_FILE};

#define RESERVE ((size_t)32 << 20)

/* NULL where the system has not this way. */
static inline hki_arena *make_rewindable(hki_rewind_way way, size_t reserve_bytes) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *handle;
    config.flags = HK_ARENA_REWINDABLE;
    config.reserve_bytes = reserve_bytes;
    config.name = "rewindable";
    hki_rewind_force(way);
    hk_status status = hk_arena_create(&config, &handle);
    hki_rewind_force(HKI_REWIND_ANY);
    cr_assert(status == HK_OK || status == HK_ERR_UNSUPPORTED);
    return status == HK_OK ? hki_arena_find(handle) : NULL;
}

static inline hk_arena *handle_of(const hki_arena *arena) {
    return hki_arena_handle(arena);
}

static inline void end_arena(hki_arena *arena) {
    cr_assert_eq(hk_arena_destroy(handle_of(arena)), HK_OK);
}

/* ---- copies ---- */

typedef struct copy {
    size_t used[HKI_RANGES];
    char *bytes[HKI_RANGES];
    hki_segment *segments;
    uint32_t reached;
} copy;

/* By malloc, which is not hakmem's here. */
static inline copy copy_of(const hki_arena *arena) {
    copy made = {.reached = arena->own_pool.reached};
    for (int i = 0; i < HKI_RANGES; i++) {
        const hki_range *range = &arena->rewind->ranges[i];
        made.used[i] = hki_range_used(range, made.reached);
        made.bytes[i] = malloc(made.used[i] + 1);
        memcpy(made.bytes[i], range->start, made.used[i]);
    }
    size_t bytes = arena->own_pool.count * sizeof(hki_segment);
    made.segments = malloc(bytes);
    memcpy(made.segments, &hki_registry.segments[arena->own_pool.start], bytes);
    return made;
}

static inline void free_copy(copy *of) {
    for (int i = 0; i < HKI_RANGES; i++)
        free(of->bytes[i]);
    free(of->segments);
}

/* Whether the arena is as it was; what it has not reached is zeros. */
static inline bool is_as_copied(const hki_arena *arena, const copy *of) {
    bool same = arena->own_pool.reached == of->reached;
    for (int i = 0; i < HKI_RANGES; i++) {
        const hki_range *range = &arena->rewind->ranges[i];
        size_t rest = hki_min(range->bytes - of->used[i], range->bytes_per_segment); /* of the next segment */
        same = same && memcmp(range->start, of->bytes[i], of->used[i]) == 0;
        same = same && is_zero(range->start + of->used[i], rest);
    }
    for (uint32_t i = 0; i < arena->own_pool.count; i++) {
        const hki_segment *now = &hki_registry.segments[arena->own_pool.start + i], *then = &of->segments[i];
        same = same && now->free_units == then->free_units && now->clean_units == then->clean_units &&
               now->stale_units == then->stale_units && atomic_load(&now->state) == atomic_load(&then->state) &&
               atomic_load(&now->head) == atomic_load(&then->head) && now->is_private;
        if (i < of->reached)
            same = same && now->next == then->next && now->previous == then->previous;
    }
    return same;
}

/* ---- use ---- */

enum { BLOCKS = 200 };

typedef struct blocks {
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
} blocks;

static inline void forget(blocks *in, unsigned i) {
    in->block[i] = NULL;
}

/* One random change: a block comes, goes, changes its size or its bytes. What the reserve does not allow is left
 * out. */
static inline void change(hki_arena *arena, blocks *in, uint32_t *seed, size_t max) {
    unsigned i = next_random(seed) % BLOCKS;
    size_t size = random_size(seed, max);
    hk_arena *handle = handle_of(arena);
    unsigned char *block;
    if (in->block[i] == NULL) {
        block = next_random(seed) % 4 == 0 ? hk_arena_calloc(handle, 1, size) : hk_arena_alloc(handle, size);
    } else if (next_random(seed) % 3 == 0) {
        block = hk_arena_realloc(handle, in->block[i], size);
        if (block == NULL)
            return;
    } else if (next_random(seed) % 2 == 0) {
        memset(in->block[i] + in->size[i] / 2, (int)next_random(seed), hki_min(in->size[i] / 2, 8192));
        return;
    } else {
        cr_assert_eq(hk_arena_free_sized(handle, in->block[i], in->size[i]), HK_OK);
        forget(in, i);
        return;
    }
    in->block[i] = block;
    in->size[i] = size;
    if (block != NULL)
        memset(block, (int)next_random(seed), hki_min(size, 70000));
}

static inline void change_often(hki_arena *arena, blocks *in, uint32_t *seed, size_t max, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        change(arena, in, seed, max);
}

#define EACH_WAY(arena, reserve_bytes)                                                                                 \
    for (size_t way = 0; way < LENGTH_OF(ways); way++)                                                                 \
        for (hki_arena *arena = make_rewindable(ways[way], reserve_bytes); arena != NULL; arena = NULL)

static inline void checkpoint(hki_arena *arena) {
    cr_assert_eq(hk_arena_checkpoint(handle_of(arena)), HK_OK);
}

static inline void roll_back_to(hki_arena *arena, const copy *base) {
    cr_assert_eq(hk_arena_rollback(handle_of(arena)), HK_OK);
    cr_assert(is_as_copied(arena, base));
    assert_sound(arena);
}

/* ---- what is left ---- */

static inline unsigned count_segments(hki_segment_state state, bool is_private) {
    unsigned count = 0;
    for (uint32_t i = 1; i < hki_segments_end(); i++)
        count +=
            atomic_load(&hki_registry.segments[i].state) == state && hki_registry.segments[i].is_private == is_private;
    return count;
}

/* Segments that private pools have. */
static inline unsigned count_private(void) {
    static const hki_segment_state states[] = {HKI_SEGMENT_UNITS, HKI_SEGMENT_HUGE, HKI_SEGMENT_HUGE_TAIL,
                                               HKI_SEGMENT_SPARE};
    unsigned count = 0;
    for (size_t i = 0; i < LENGTH_OF(states); i++)
        count += count_segments(states[i], true);
    return count;
}

/* How many lines of a file of /proc have a word in them. */
static inline unsigned count_lines(const char *file, const char *word) {
    char line[512];
    unsigned count = 0;
    FILE *stream = fopen(file, "r");
    cr_assert_not_null(stream);
    while (fgets(line, sizeof line, stream) != NULL)
        count += strstr(line, word) != NULL;
    fclose(stream);
    return count;
}

static inline unsigned open_files(void) {
    unsigned count = 0;
    for (int file = 0; file < 256; file++)
        count += fcntl(file, F_GETFD) >= 0;
    return count;
}

/* Mappings of the base's files, and memory whose writes are tracked. */
static inline unsigned files_mapped(void) {
    return count_lines("/proc/self/maps", "memfd:hakmem");
}

static inline unsigned areas_tracked(void) {
    return count_lines("/proc/self/smaps", " uw ") + count_lines("/proc/self/smaps", " uw\n");
}

#endif
