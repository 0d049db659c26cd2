/* figures: what glibc tells and lets choose about its malloc, as far as hakmem has the like: mallinfo, mallinfo2,
 * malloc_stats, malloc_trim, mallopt. They tell of the process heap. Any thread. */
#include "exit.h"
#include "names.h"
#include "statistics.h"

#include <limits.h>
#include <malloc.h>
#include <unistd.h>

/* In glibc's words: `arena` is what came from the heap and `hblkhd` from mappings of their own, which here are the
 * blocks above the size classes; `uordblks` is in use and `fordblks` is free. */
HKM_EXPORT struct mallinfo2 mallinfo2(void) {
    hk_statistics figures;
    hkm_peek(&figures);
    size_t held = hki_max(hki_statistics_own_held(&figures), figures.live_bytes); /* a snapshot may not add up */
    return (struct mallinfo2){
        .arena = held - figures.large_bytes,
        .ordblks = 1,
        .hblks = figures.large_blocks,
        .hblkhd = figures.large_bytes,
        .usmblks = figures.peak_held_bytes,
        .uordblks = figures.live_bytes - figures.large_bytes,
        .fordblks = held - figures.live_bytes,
        .keepcost = held - figures.live_bytes,
    };
}

static int as_int(size_t n) {
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* Its fields are too narrow for today's heaps: what does not fit is the largest number. */
HKM_EXPORT struct mallinfo mallinfo(void) {
    struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = as_int(wide.arena),
        .ordblks = as_int(wide.ordblks),
        .hblks = as_int(wide.hblks),
        .hblkhd = as_int(wide.hblkhd),
        .usmblks = as_int(wide.usmblks),
        .uordblks = as_int(wide.uordblks),
        .fordblks = as_int(wide.fordblks),
        .keepcost = as_int(wide.keepcost),
    };
}

HKM_EXPORT void malloc_stats(void) {
    hkm_write_figures(STDERR_FILENO, HKM_AS_TABLE);
}

/* 1 if anything was held that no live block needed, as it has gone back then; `pad` bytes to keep are not kept. */
HKM_EXPORT int malloc_trim(size_t pad) {
    (void)pad;
    struct mallinfo2 before = mallinfo2();
    hk_purge();
    struct mallinfo2 after = mallinfo2();
    return after.fordblks < before.fordblks;
}

/* What would tune glibc's malloc is accepted and has no effect; 0 for what hakmem does not do. */
HKM_EXPORT int mallopt(int parameter, int value) {
    (void)value;
    switch (parameter) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1;
    default: /* M_CHECK_ACTION, M_PERTURB */
        return 0;
    }
}
