/* hklua_heap_map: the picture of the state's memory that --heap-map writes into a file. */
#ifndef HKLUA_HEAP_MAP_H
#define HKLUA_HEAP_MAP_H

#include "hklua_options.h"

#include <hakmem.h>

/* Makes the file that the options name, or empties it. Says on standard error why that cannot be done. */
bool hklua_heap_map_open(const hklua_options *options);
/* Writes the picture and closes the file, if it was opened. Says on standard error if that cannot be done. */
void hklua_heap_map_write(hk_arena *arena, const hklua_options *options);
/* Whether a picture was to be written and was not. */
bool hklua_heap_map_has_failed(void);

#endif
