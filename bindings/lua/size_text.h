/* size_text: sizes as people write them. */
#ifndef HAKMEM_LUA_SIZE_TEXT_H
#define HAKMEM_LUA_SIZE_TEXT_H

#include <stddef.h>

/* Reads a size: a whole number, and K, M or G for 2^10, 2^20, 2^30 bytes. NULL and the size in *bytes, or what is wrong
 * with the text as the end of a sentence that began with it. */
const char *size_text_parse(const char *text, size_t *bytes);

#endif
