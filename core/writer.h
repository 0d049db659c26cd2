/* writer: text that is written through a buffer of its own, and numbers for people. It takes no memory. One thread. */
#ifndef HKI_WRITER_H
#define HKI_WRITER_H

#include "base.h"

enum { HKI_WRITER_BUFFER = 4096 };

typedef struct hki_writer {
    int descriptor;
    bool failed;   /* a write has failed, or something was longer than the buffer: nothing is written any more */
    size_t length; /* < HKI_WRITER_BUFFER */
    char bytes[HKI_WRITER_BUFFER];
} hki_writer;

/* As printf does, with whole numbers and strings that need no escape. */
__attribute__((format(printf, 2, 3))) void hki_write(hki_writer *writer, const char *format, ...);
/* Any bytes, as character data or the value of an attribute: what XML or UTF-8 does not allow becomes U+FFFD. */
void hki_write_escaped(hki_writer *writer, const char *text);
/* Writes what is left. Returns whether all has been written. */
bool hki_writer_finish(hki_writer *writer);

typedef struct hki_readable {
    char text[32];
} hki_readable;

/* A size for people: "512 B", "1.5 KiB", "312 MiB". */
hki_readable hki_readable_bytes(size_t bytes);
/* A number for people: "1,234,567". */
hki_readable hki_readable_count(size_t count);
/* A share for people: "12.5 %"; "0 %" of nothing. */
hki_readable hki_readable_percent(size_t part, size_t whole);

#endif
