/* size_text: see size_text.h. No data of its own. */
#include "size_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

const char *size_text_parse(const char *text, size_t *bytes) {
    if (*text == '\0')
        return "is empty";
    if (*text == '-')
        return "is negative";
    if (!isdigit((unsigned char)*text))
        return "does not begin with a number";
    char *end;
    errno = 0;
    uintmax_t number = strtoumax(text, &end, 10);
    if (errno == ERANGE)
        return "is more than there can be";

    static const char units[] = "KMG";
    unsigned shift = 0;
    if (*end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL || end[1] != '\0')
            return "has something other than K, M or G after the number";
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (number > SIZE_MAX >> shift)
        return "is more than there can be";
    *bytes = (size_t)number << shift;
    return NULL;
}
