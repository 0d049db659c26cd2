/* unit: the pool of units, one for all arenas. It takes segments from the registry and gives them back when enough
 * units are free; pages of free units go back to the OS as well. Guarded by hki_pool_lock.
 *
 * Invariants: a segment of state UNITS is on the list exactly if it has a free unit; dirty_units is the number of free
 * units that are not clean, over all segments; used_units that of units that are not free. */
#ifndef HKI_UNIT_H
#define HKI_UNIT_H

#include "registry.h"

/* What is asked of the pool: `count` units in a row (1..64), the first at a multiple of `alignment` units, if possible
 * with as many more free ones behind them that there are `room` in all. */
typedef struct hki_units_wanted {
    size_t count, alignment, room;
    uintptr_t owner;
    hki_unit_kind kind; /* of the first; the others are tails of it */
} hki_units_wanted;

/* Takes units and writes owners and kinds. Returns the first unit's number, 0 if the OS refuses. *clean tells whether
 * all of them read as zeros. */
uint32_t hki_units_take(const hki_units_wanted *wanted, bool *clean);
/* Takes the `more` units behind [first, first + count) into the same block, if they are free. */
bool hki_units_extend(uint32_t first, size_t count, size_t more);
/* Makes a huge block of one that begins a segment in which all other units are free. False if it is not so. */
bool hki_units_make_huge(uint32_t first, size_t count);
/* Gives units back; their bits are all clear. */
void hki_units_give(uint32_t first, size_t count);
/* Makes units of mapped segments that served another purpose; their bits are all clear. */
void hki_units_adopt(uint32_t first_segment, size_t count);
/* Recounts the pool's invariants: NULL, or what does not hold. */
const char *hki_units_check(void);

#endif
