/* options: what the environment says. Read once, when hakmem starts. */
#ifndef HKI_OPTIONS_H
#define HKI_OPTIONS_H

#include "base.h"

/* How many milliseconds memory that is free keeps its pages: from one to two times this, or
 * from 8 to 16 times as long as little is free. 0: they go at once. */
HKI_DATA _Atomic unsigned hki_purge_delay_ms;

/* The limit of the process heap; 0: none. */
HKI_DATA size_t hki_process_limit_bytes;

/* Reads HAKMEM_ON_ERROR, HKI_NUMBER_OPTIONS and HKI_SIZE_OPTIONS. A value that is none gets one line on standard error,
 * and the default stays. */
void hki_options_load(void);

/* One line on standard error about an environment variable with a value that is not as expected. */
HKI_SLOW void hki_options_complain(const char *name, const char *value, const char *expected);

/* Reads the value of one of HKI_SIZE_OPTIONS, as bytes; false if it is not HKI_SIZE_EXPECTED. */
#define HKI_SIZE_EXPECTED "size from 1K to 1T, such as 512K, 64M or 2G"
bool hki_parse_size(const char *text, size_t *bytes);

#endif
