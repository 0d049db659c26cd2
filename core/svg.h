/* svg: an XML document that is written through a buffer of its own. It takes no memory. One thread. */
#ifndef HKI_SVG_H
#define HKI_SVG_H

#include "base.h"

enum { HKI_SVG_BUFFER = 4096 };

typedef struct hki_svg {
    int descriptor;
    bool failed;   /* a write has failed, or something was longer than the buffer: nothing is written any more */
    size_t length; /* < HKI_SVG_BUFFER */
    char bytes[HKI_SVG_BUFFER];
} hki_svg;

/* As printf does, with whole numbers and strings that need no escape. */
__attribute__((format(printf, 2, 3))) void hki_svg_print(hki_svg *svg, const char *format, ...);
/* Any bytes, as character data or the value of an attribute: what XML or UTF-8 does not allow becomes U+FFFD. */
void hki_svg_print_escaped(hki_svg *svg, const char *text);
/* Writes what is left. Returns whether all has been written. */
bool hki_svg_finish(hki_svg *svg);

typedef struct hki_svg_text {
    char text[32];
} hki_svg_text;

/* A size for people: "512 B", "1.5 KiB", "312 MiB". */
hki_svg_text hki_svg_bytes(size_t bytes);
/* A number for people: "1,234,567". */
hki_svg_text hki_svg_count(size_t count);
/* A share for people: "12.5 %"; "0 %" of nothing. */
hki_svg_text hki_svg_percent(size_t part, size_t whole);

#endif
