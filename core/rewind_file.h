/* rewind_file: the base as a sealed file in memory, mapped privately over the ranges, so that pages which are dropped
 * come back as they were. A file cannot be changed: each checkpoint makes a new one. For the arena's thread. */
#ifndef HKI_REWIND_FILE_H
#define HKI_REWIND_FILE_H

#include "rewind.h"

/* Whether this system has such files. */
bool hki_file_way_works(void);
/* Makes what is there the base, of which the pool has reached so many segments. False if the OS refuses: then nothing
 * has changed. */
bool hki_file_checkpoint(hki_rewind *rewind, size_t reached);

#endif
