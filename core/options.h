/* options: what the environment says. Read once, before the first allocation. */
#ifndef HKI_OPTIONS_H
#define HKI_OPTIONS_H

/* Reads HAKMEM_ON_ERROR. A value that is none gets one line on standard error, and the default stays. */
void hki_options_load(void);

#endif
