/* writer: see writer.h. */
#include "writer.h"

#include "os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void flush(hki_writer *writer) {
    if (!writer->failed && writer->length > 0 && !hki_os_write(writer->descriptor, writer->bytes, writer->length))
        writer->failed = true;
    writer->length = 0;
}

bool hki_writer_finish(hki_writer *writer) {
    flush(writer);
    return !writer->failed;
}

/* Fits if what would have been written is shorter than the room. */
static bool fits(hki_writer *writer, const char *format, va_list arguments) {
    size_t room = sizeof writer->bytes - writer->length;
    int wanted = vsnprintf(writer->bytes + writer->length, room, format, arguments);
    if (wanted < 0 || (size_t)wanted >= room)
        return false;
    writer->length += (size_t)wanted;
    return true;
}

void hki_write(hki_writer *writer, const char *format, ...) {
    va_list arguments;
    if (writer->failed)
        return;
    va_start(arguments, format);
    bool done = fits(writer, format, arguments);
    va_end(arguments);
    if (done)
        return;
    flush(writer);
    va_start(arguments, format);
    writer->failed |= !fits(writer, format, arguments);
    va_end(arguments);
}

/* ---- characters ---- */

static const char *entity_of(char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static bool is_allowed(uint32_t code, unsigned length) {
    static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000};
    bool is_control = code >= 0x7f && code < 0xa0;
    bool is_surrogate = code >= 0xd800 && code < 0xe000;
    return code >= least[length] && code <= 0x10ffff && !is_control && !is_surrogate && (code & 0xfffe) != 0xfffe;
}

/* How many bytes the well-formed character at `text` has that XML allows; 0 if there is none. */
static unsigned length_of_character(const char *text) {
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned length = bytes[0] < 0x80       ? 1
                      : bytes[0] >> 5 == 6  ? 2
                      : bytes[0] >> 4 == 14 ? 3
                      : bytes[0] >> 3 == 30 ? 4
                                            : 0;
    if (length == 0)
        return 0;
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0x7fU >> length);
    for (unsigned i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2)
            return 0;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    return is_allowed(code, length) ? length : 0;
}

void hki_write_escaped(hki_writer *writer, const char *text) {
    while (*text != '\0') {
        const char *entity = entity_of(*text);
        unsigned length = length_of_character(text);
        if (entity != NULL)
            hki_write(writer, "%s", entity);
        else if (length != 0)
            hki_write(writer, "%.*s", (int)length, text);
        else
            hki_write(writer, "\xef\xbf\xbd");
        text += length != 0 ? length : 1;
    }
}

/* ---- numbers for people ---- */

hki_readable hki_readable_bytes(size_t bytes) {
    static const char units[] = "KMGTPE";
    hki_readable human;
    unsigned unit = 0;
    if (bytes < 1024) {
        snprintf(human.text, sizeof human.text, "%zu B", bytes);
        return human;
    }
    while (unit < 5 && bytes >> (10 * (unit + 1)) >= 1024)
        unit++;
    unsigned shift = 10 * (unit + 1);
    size_t whole = bytes >> shift, tenth = ((bytes >> (shift - 10) & 1023) * 10) >> 10;
    if (whole >= 100 || tenth == 0)
        snprintf(human.text, sizeof human.text, "%zu %ciB", whole, units[unit]);
    else
        snprintf(human.text, sizeof human.text, "%zu.%zu %ciB", whole, tenth, units[unit]);
    return human;
}

hki_readable hki_readable_count(size_t count) {
    hki_readable human;
    char digits[32];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%zu", count), to = 0;
    for (size_t from = 0; from < length; from++) {
        if (from > 0 && (length - from) % 3 == 0)
            human.text[to++] = ',';
        human.text[to++] = digits[from];
    }
    human.text[to] = '\0';
    return human;
}

hki_readable hki_readable_percent(size_t part, size_t whole) {
    hki_readable human;
    size_t thousandths = whole == 0 ? 0 : (part * 1000 + whole / 2) / whole;
    if (thousandths % 10 == 0)
        snprintf(human.text, sizeof human.text, "%zu %%", thousandths / 10);
    else
        snprintf(human.text, sizeof human.text, "%zu.%zu %%", thousandths / 10, thousandths % 10);
    return human;
}
