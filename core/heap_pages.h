/* heap_pages: gives pages of a heap's units back to the OS on which no live block lies, also inside runs that are
 * partly in use: free blocks hold nothing of the allocator's. The heap's owner is inside.
 *
 * A page may go if each of its lines is free or reached into by parked blocks only; its lines are clean afterwards, and
 * stay so until a block on them leaves its run. Blocks on stacks are about to be used again, so their pages stay. A
 * page goes at the second look that finds it so, `hki_purge_delay_ms` after the first one or later. */
#ifndef HKI_HEAP_PAGES_H
#define HKI_HEAP_PAGES_H

#include "heap_lines.h"

/* Notes that so many bytes have come free in runs or lines, and looks for pages that may go if it is time: when enough
 * has come free since the last look to be worth one, and the delay is over. */
void hki_heap_pages_freed(hki_heap *heap, size_t bytes);
/* Every such page goes now. */
void hki_heap_pages_purge(hki_heap *heap);

#endif
