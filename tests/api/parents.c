/* Arenas below others: how they are made; what they hold counts in each arena above, whose limits bound the sum. */
#include "parents_test.h"

static unsigned reports;
static hk_error_info last_report;

static void count_report(const hk_error_info *info, void *user_data) {
    (void)user_data;
    reports++;
    last_report = *info;
}

static void count_reports(void) {
    hk_set_error_handler(count_report, NULL);
}

/* ---- making them ---- */

Test(making, structure_without_a_parent_is_taken) {
    struct {
        unsigned char bytes[offsetof(hk_arena_config, parent)];
        unsigned char behind[sizeof(hk_arena *)];
    } old;
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    hk_arena *arena;
    config.struct_size = sizeof old.bytes;
    config.limit_bytes = 5 * LINE;
    config.name = "old";
    memset(&old, 0xa5, sizeof old);
    memcpy(old.bytes, &config, sizeof old.bytes);
    cr_assert_eq(hk_arena_create((const hk_arena_config *)(const void *)&old, &arena), HK_OK);
    cr_assert_str_eq(hk_arena_name(arena), "old");
    cr_assert_eq(hk_arena_limit(arena), 5 * LINE);
    end_arena(arena);
}

static void assert_bad_parent(hk_arena *parent) {
    hk_arena *child = hk_arena_default();
    unsigned before = reports;
    cr_assert_eq(try_child(parent, 0, 0, &child), HK_ERR_BAD_ARENA);
    cr_assert_null(child);
    cr_assert_eq(hk_last_status(), HK_ERR_BAD_ARENA);
    cr_assert_eq(reports, before + 1);
    cr_assert_eq(last_report.status, HK_ERR_BAD_ARENA);
    cr_assert_eq(last_report.pointer, parent);
    cr_assert_str_eq(last_report.function, "hk_arena_create");
}

Test(making, parent_must_be_a_live_arena, .init = count_reports) {
    static long none[16];
    hk_arena *parent = make_arena(0), *hardened = make_named_arena("hardened", HK_ARENA_HARDENED, 16);
    assert_bad_parent((hk_arena *)(void *)none);
    assert_bad_parent((hk_arena *)(uintptr_t)1);
    assert_bad_parent((hk_arena *)(void *)((char *)parent + 8));
    assert_bad_parent((hk_arena *)(void *)((char *)hardened - 4)); /* the handle without its bit */
    hk_arena *retired = make_arena(0);
    void *block = hk_arena_alloc(retired, 10);
    cr_assert_eq(hk_arena_retire(retired), HK_OK);
    assert_bad_parent(retired);
    hk_free(block);
    end_arena(parent);
    assert_bad_parent(parent);
    end_arena(hardened);
    assert_bad_parent(hardened);
}

Test(making, what_is_rewound_cannot_be_counted, .init = count_reports) {
    hk_arena *parent = make_arena(0), *rewindable = make_named_arena("rewindable", HK_ARENA_REWINDABLE, 16), *child;
    cr_assert_eq(try_child(parent, HK_ARENA_REWINDABLE, 0, &child), HK_ERR_UNSUPPORTED);
    cr_assert_null(child);
    cr_assert_eq(try_child(rewindable, 0, 0, &child), HK_ERR_UNSUPPORTED);
    cr_assert_null(child);
    cr_assert_eq(try_child(rewindable, HK_ARENA_REWINDABLE, 0, &child), HK_ERR_UNSUPPORTED);
    cr_assert_eq(reports, 0);
    end_arena(rewindable);
    end_arena(parent); /* which has got no child */
}

/* ---- what is counted ---- */

/* All kinds of blocks of an arena are charged to all above it, and only to these; live figures stay its own. */
static void count_in_all(hk_arena *root, uint32_t flags) {
    size_t root_held = held_bytes_of(root), root_live = totals_of(root).live_blocks;
    hk_arena *parent = make_child_of_kind(root, flags, 0), *other = make_child_of_kind(root, flags, 0);
    hk_arena *child = make_child_of_kind(parent, flags, 0);
    static const size_t sizes[] = {1, 100, 3000, 20 * LINE, 300 * LINE, 6 * MIB};
    void *blocks[2][LENGTH_OF(sizes)];
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        blocks[0][i] = hk_arena_alloc(child, sizes[i]);
        blocks[1][i] = hk_arena_alloc(parent, sizes[i]);
        cr_assert(blocks[0][i] != NULL && blocks[1][i] != NULL);
        cr_assert_eq(children_bytes_of(parent), held_bytes_of(child));
        cr_assert_eq(children_bytes_of(root), held_bytes_of(parent));
        cr_assert_eq(held_bytes_of(root), root_held + held_bytes_of(parent));
        cr_assert_eq(totals_of(parent).live_blocks, i + 1);
        cr_assert_eq(totals_of(root).live_blocks, root_live);
    }
    cr_assert(held_bytes_of(child) > 6 * MIB && held_bytes_of(parent) == 2 * held_bytes_of(child));
    cr_assert(held_bytes_of(other) == 0 && children_bytes_of(child) == 0);
    blocks[0][4] = hk_arena_realloc(child, blocks[0][4], 400 * LINE);
    blocks[0][3] = hk_arena_realloc(child, blocks[0][3], 30 * LINE);
    blocks[0][5] = hk_arena_realloc(child, blocks[0][5], 5 * MIB);
    assert_sound(root);
    cr_assert_eq(held_bytes_of(root), root_held + held_bytes_of(parent));
    cr_assert_eq(children_bytes_of(parent), held_bytes_of(child));
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        cr_assert_eq(hk_arena_free(child, blocks[0][i]), HK_OK);
        cr_assert_eq(hk_arena_free(parent, blocks[1][i]), HK_OK);
        assert_sound(root);
    }
    cr_assert_eq(hk_arena_trim(child), HK_OK);
    cr_assert_eq(hk_arena_trim(parent), HK_OK);
    cr_assert_eq(held_bytes_of(root), root_held);
    cr_assert_geq(totals_of(root).peak_held_bytes, 12 * (size_t)MIB);
    assert_sound(child);
    end_arena(child);
    end_arena(parent);
    end_arena(other);
    assert_sound(root);
}

Test(counting, in_a_one_thread_arena) {
    count_in_all(make_arena(0), HK_ARENA_ONE_THREAD_AT_A_TIME);
}

Test(counting, in_a_shared_arena) {
    count_in_all(make_named_arena("root", 0, 16), 0);
}

Test(counting, in_the_process_heap) {
    count_in_all(hk_arena_default(), HK_ARENA_ONE_THREAD_AT_A_TIME);
    count_in_all(hk_arena_default(), 0);
}

Test(counting, between_hardened_arenas) {
    count_in_all(make_named_arena("hardened", HK_ARENA_HARDENED, 16), HK_ARENA_HARDENED);
    count_in_all(make_arena(0), HK_ARENA_HARDENED | HK_ARENA_ONE_THREAD_AT_A_TIME);
    count_in_all(make_named_arena("hardened", HK_ARENA_HARDENED, 16), 0);
}

Test(counting, reset_frees_the_arena_alone) {
    hk_arena *root = make_arena(0), *parent = make_child(root, 0), *child = make_child(parent, 0);
    hk_arena *const all[] = {root, parent, child};
    char *block = NULL;
    for (int i = 0; i < 3; i++)
        for (size_t size = 10; size < 3 * MIB; size *= 6)
            cr_assert_not_null(block = hk_arena_alloc(all[i], size));
    memset(block, 7, 1000); /* of the child */
    cr_assert_eq(hk_arena_reset(root), HK_OK);
    cr_assert(held_bytes_of(root) == held_bytes_of(parent) && children_bytes_of(root) == held_bytes_of(parent));
    cr_assert_eq(hk_arena_reset(parent), HK_OK);
    cr_assert(held_bytes_of(root) == held_bytes_of(child) && held_bytes_of(parent) == held_bytes_of(child) &&
              held_bytes_of(child) > MIB);
    assert_sound(root);
    cr_assert(block[0] == 7 && block[999] == 7 && hk_arena_owns(child, block));
    cr_assert_eq(hk_arena_reset(child), HK_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(held_bytes_of(all[i]), 0);
        assert_sound(all[i]);
    }
    for (int i = 2; i >= 0; i--)
        end_arena(all[i]);
}

/* ---- limits ---- */

Test(limits, at_each_level) {
    for (int level = 0; level < 3; level++) {
        hk_arena *all[3];
        for (int i = 0; i < 3; i++)
            all[i] = make_child(i == 0 ? NULL : all[i - 1], i == level ? 100 * LINE : 0);
        void *block = hk_arena_alloc(all[2], 60 * LINE);
        cr_assert_not_null(block);
        assert_refused(all[2], 41 * LINE);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(held_bytes_of(all[i]), 60 * LINE);
            cr_assert_eq(totals_of(all[i]).peak_held_bytes, 60 * LINE);
            cr_assert_eq(limit_failures_of(all[i]), i == 2 || i == level);
            cr_assert_eq(hk_arena_limit(all[i]), i == level ? 100 * LINE : 0);
        }
        cr_assert_not_null(hk_arena_alloc(all[2], 40 * LINE));
        assert_refused(all[2], 1);
        assert_refused(all[2], 65 * LINE);
        cr_assert_null(hk_arena_realloc(all[2], block, 61 * LINE));
        cr_assert_null(hk_arena_calloc(all[2], 20, LINE));
        for (int i = 0; i < 3; i++)
            cr_assert_eq(limit_failures_of(all[i]), i == 2 || i == level ? 5 : 0);
        assert_sound(all[0]);
        for (int i = 2; i >= 0; i--)
            end_arena(all[i]);
    }
}

Test(limits, the_nearest_one_that_refuses_counts) {
    hk_arena *root = make_arena(50 * LINE), *parent = make_child(root, 30 * LINE),
             *child = make_child(parent, 20 * LINE);
    hk_arena *sibling = make_child(root, 0);
    assert_refused(child, 21 * LINE);
    cr_assert(limit_failures_of(child) == 1 && limit_failures_of(parent) == 0 && limit_failures_of(root) == 0);
    cr_assert_not_null(hk_arena_alloc(parent, 17 * LINE));
    assert_refused(child, 17 * LINE);
    cr_assert(limit_failures_of(child) == 2 && limit_failures_of(parent) == 1 && limit_failures_of(root) == 0);
    cr_assert_not_null(hk_arena_alloc(sibling, 33 * LINE));
    for (int i = 0; i < 5; i++)
        assert_refused(child, 2000 + 1000 * (size_t)i);
    cr_assert(limit_failures_of(child) == 7 && limit_failures_of(parent) == 1 && limit_failures_of(root) == 5);
    cr_assert(limit_failures_of(sibling) == 0);
    cr_assert(totals_of(child).system_failures == 0 && totals_of(root).system_failures == 0);
}

Test(limits, siblings_share_what_their_parent_may_hold) {
    enum { SIBLINGS = 5 };
    hk_arena *parent = make_arena(1000 * LINE), *all[SIBLINGS];
    void *blocks[SIBLINGS][10];
    for (int i = 0; i < SIBLINGS; i++)
        all[i] = make_child_of_kind(parent, i % 2 == 0 ? 0 : HK_ARENA_ONE_THREAD_AT_A_TIME, 0);
    for (int k = 0; k < 10; k++)
        for (int i = 0; i < SIBLINGS; i++)
            cr_assert_not_null(blocks[i][k] = hk_arena_alloc(all[i], 20 * LINE));
    cr_assert_eq(held_bytes_of(parent), 1000 * LINE);
    for (int i = 0; i < SIBLINGS; i++) {
        assert_refused(all[i], 1);
        assert_refused(parent, 1);
        cr_assert_eq(hk_arena_free(all[(i + 1) % SIBLINGS], blocks[(i + 1) % SIBLINGS][0]), HK_OK);
        cr_assert_not_null(blocks[(i + 1) % SIBLINGS][0] = hk_arena_alloc(all[i], 20 * LINE));
        assert_refused(all[i], 1);
        cr_assert_eq(hk_arena_free(all[i], blocks[(i + 1) % SIBLINGS][0]), HK_OK);
        cr_assert_not_null(blocks[(i + 1) % SIBLINGS][0] = hk_arena_alloc(all[(i + 1) % SIBLINGS], 20 * LINE));
    }
    assert_sound(parent);
    for (int i = 0; i < SIBLINGS; i++)
        end_arena(all[i]);
    cr_assert_eq(held_bytes_of(parent), 0);
    cr_assert_not_null(hk_arena_alloc(parent, 1000 * LINE));
    end_arena(parent);
}

Test(limits, set_below_what_children_hold_only_stops_growth) {
    hk_arena *parent = make_arena(0), *child = make_child(parent, 0);
    void *block = hk_arena_alloc(child, 500 * LINE);
    cr_assert_eq(hk_arena_set_limit(parent, 100 * LINE), HK_OK);
    assert_refused(child, 1);
    cr_assert_not_null(block = hk_arena_realloc(child, block, 450 * LINE)); /* a shrink */
    cr_assert_eq(held_bytes_of(parent), 450 * LINE);
    cr_assert_eq(hk_arena_free(child, block), HK_OK);
    cr_assert_not_null(hk_arena_alloc(child, 100 * LINE));
    assert_refused(parent, 1);
    assert_sound(parent);
}

Test(limits, of_the_process_heap_bounds_its_children) {
    hk_arena *process = hk_arena_default(), *child = make_child(process, 0);
    cr_assert_eq(hk_arena_set_limit(process, held_bytes_of(process) + 200 * LINE), HK_OK);
    void *block = hk_arena_alloc(child, 150 * LINE);
    cr_assert_not_null(block);
    cr_assert_null(hk_malloc(51 * LINE));
    cr_assert_eq(hk_last_status(), HK_ERR_LIMIT);
    assert_refused(child, 51 * LINE);
    cr_assert_eq(limit_failures_of(process), 2);
    end_arena(child);
    hk_free(block = hk_malloc(150 * LINE));
    cr_assert_not_null(block);
}

/* What is free in the arena above, and this thread's, is no reason to refuse. */
Test(limits, caches_above_give_way) {
    hk_arena *parent = make_named_arena("parent", 0, 16), *child = make_child(parent, 0);
    static void *blocks[100];
    cr_assert_eq(hk_arena_set_limit(parent, 100 * LINE), HK_OK);
    for (int i = 0; i < 100; i++)
        cr_assert_not_null(blocks[i] = hk_arena_alloc(parent, LINE));
    assert_refused(child, LINE);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(hk_arena_free(parent, blocks[i]), HK_OK);
    cr_assert_gt(held_bytes_of(parent), 0);
    cr_assert_not_null(hk_arena_alloc(child, 100 * LINE));
    cr_assert_eq(limit_failures_of(child), 1);
    assert_sound(parent);
}

static void *fill_and_free(void *arena) {
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = hk_arena_alloc(arena, LINE);
    for (int i = 0; i < 100; i++)
        hk_arena_free(arena, blocks[i]);
    return NULL;
}

Test(limits, caches_of_a_sibling_go_back_when_it_is_trimmed) {
    hk_arena *parent = make_arena(100 * LINE), *child = make_child(parent, 0), *sibling = make_child(parent, 0);
    fill_and_free(sibling);
    cr_assert_gt(held_bytes_of(sibling), 0);
    assert_refused(child, 100 * LINE);
    cr_assert_eq(hk_arena_trim(sibling), HK_OK);
    cr_assert_eq(held_bytes_of(sibling), 0);
    cr_assert_not_null(hk_arena_alloc(child, 100 * LINE));
}

static bool allocate_beside(const void *block, size_t size, void *child) {
    (void)block;
    return size == 48 && hk_arena_alloc(child, 65 * LINE) == NULL;
}

/* A visitor's request in an arena below may make the arena that is walked give free lines back; its units stay, as a
 * block that lives is in each that is looked at. */
Test(limits, a_walk_above_is_not_disturbed) {
    hk_arena *parent = make_named_arena("parent", 0, 16), *child = make_child(parent, 0);
    void *kept[64];
    for (int i = 0; i < 64; i++) {
        void *in_between = hk_arena_alloc(parent, 1024);
        cr_assert_not_null(kept[i] = hk_arena_alloc(parent, 48));
        if (i % 2 == 0)
            cr_assert_eq(hk_arena_free(parent, in_between), HK_OK);
    }
    for (int i = 0; i < 64; i++)
        cr_assert_not_null(kept[i]);
    cr_assert_eq(hk_arena_set_limit(parent, held_bytes_of(parent)), HK_OK);
    cr_assert_eq(hk_arena_walk(parent, allocate_beside, child), HK_OK);
    assert_sound(parent);
}
