/* hklua_statistics: the figures that --stats prints on standard error. */
#ifndef HKLUA_STATISTICS_H
#define HKLUA_STATISTICS_H

#include "hklua_options.h"

#include <hakmem.h>

/* Takes the figures of the arena. */
void hklua_statistics_take(hk_arena *arena);
/* Prints what was taken; the arena may be gone. */
void hklua_statistics_print(hklua_statistics_format format);

#endif
