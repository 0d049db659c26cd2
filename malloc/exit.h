/* exit: what a process tells about its memory when it ends, or when it is asked by a signal. */
#ifndef HAKMEM_MALLOC_EXIT_H
#define HAKMEM_MALLOC_EXIT_H

typedef enum hkm_format {
    HKM_AS_TABLE,
    HKM_AS_JSON, /* one line, an object */
} hkm_format;

/* Writes the figures of the process heap. No lock, no memory; it may be called in signal handlers. */
void hkm_write_figures(int file_descriptor, hkm_format format);

#endif
