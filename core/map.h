/* map: a picture of an arena as an SVG document: its figures, its size classes, and its units by address
 * (map_units.h). No other thread is inside the arena. It takes no memory and holds no lock while it writes. No
 * state. */
#ifndef HKI_MAP_H
#define HKI_MAP_H

#include "arena.h"

/* `own` is the calling thread's heap in the arena, if any, as for hki_statistics_get. False if a write failed. */
bool hki_map_write(hki_arena *arena, hki_heap *own, int descriptor);

#endif
