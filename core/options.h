/* options: what the environment says. Read once, before the first allocation. */
#ifndef HKI_OPTIONS_H
#define HKI_OPTIONS_H

#include "base.h"

/* How many milliseconds memory that is free keeps its pages: from one to two times this. 0: they go at once. */
extern _Atomic unsigned hki_purge_delay_ms;

/* Reads HAKMEM_ON_ERROR and HKI_NUMBER_OPTIONS. A value that is none gets one line on standard error, and the default
 * stays. */
void hki_options_load(void);

#endif
