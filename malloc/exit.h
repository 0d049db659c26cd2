/* exit: what a process tells about its memory when it ends, or when it is asked by a signal. */
#ifndef HAKMEM_MALLOC_EXIT_H
#define HAKMEM_MALLOC_EXIT_H

#include "hakmem.h"

/* X(word, number): the signals that HAKMEM_STATS_SIGNAL may name. */
#define HKM_SIGNALS(X)                                                                                                 \
    X("USR1", SIGUSR1)                                                                                                 \
    X("USR2", SIGUSR2)                                                                                                 \
    X("HUP", SIGHUP)                                                                                                   \
    X("QUIT", SIGQUIT)

typedef enum hkm_format {
    HKM_AS_TABLE,
    HKM_AS_JSON, /* one line, an object */
} hkm_format;

/* The figures of the process heap; all 0 if hakmem cannot start. As of hki_statistics_peek. */
void hkm_peek(hk_statistics *figures);

/* Writes the figures of the process heap. No lock, no memory; it may be called in signal handlers. */
void hkm_write_figures(int file_descriptor, hkm_format format);

/* Reads what the environment asks for; and does at the end what is to be done then. */
void hkm_exit_begin(void);
void hkm_exit_end(void);

#endif
