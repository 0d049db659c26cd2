/* options: see options.h. The policy goes to report; numbers stay here. */
#include "options.h"

#include "os.h"
#include "report.h"
#include "tables.h"

#include <string.h>

#define NUMBER(variable, name, initial, largest) _Atomic unsigned variable = initial;
HKI_NUMBER_OPTIONS(NUMBER)
#undef NUMBER
#define SIZE(variable, name) size_t variable;
HKI_SIZE_OPTIONS(SIZE)
#undef SIZE

void hki_options_complain(const char *name, const char *value, const char *expected) {
    hki_text text = {0};
    hki_text_add(&text, name);
    hki_text_add(&text, " is \"");
    hki_text_add(&text, value);
    hki_text_add(&text, "\", which is ");
    hki_text_add(&text, expected);
    hki_text_add(&text, "; it is ignored");
    hki_text_write(&text);
}

static bool is_given(const char *value) {
    return value != NULL && *value != '\0';
}

static void load_number(_Atomic unsigned *variable, const char *name, unsigned largest, const char *expected) {
    const char *value = hki_os_environment(name);
    uint64_t number = 0;
    if (!is_given(value))
        return;
    for (const char *digit = value; *digit != '\0'; digit++) {
        number = number * 10 + (uint64_t)(unsigned char)(*digit - '0');
        if (*digit < '0' || *digit > '9' || number > largest) {
            hki_options_complain(name, value, expected);
            return;
        }
    }
    atomic_store_explicit(variable, (unsigned)number, memory_order_relaxed);
}

bool hki_parse_size(const char *text, size_t *bytes) {
    static const char units[] = "KMGT";
    size_t size = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(size, (size_t)10, &size) || __builtin_add_overflow(size, (size_t)(*at - '0'), &size))
            return false;
    if (at == text)
        return false;
    if (*at != '\0') {
        const char *unit = strchr(units, *at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        if (unit == NULL || at[1] != '\0' || __builtin_mul_overflow(size, (size_t)1 << 10 * (unit - units + 1), &size))
            return false;
    }
    *bytes = size;
    return size >= HKI_LINE_SIZE && size <= (size_t)1 << 40;
}

static void load_size(size_t *variable, const char *name) {
    const char *value = hki_os_environment(name);
    size_t size;
    if (!is_given(value))
        return;
    if (hki_parse_size(value, &size))
        *variable = size;
    else
        hki_options_complain(name, value, "no " HKI_SIZE_EXPECTED);
}

static void load_policy(const char *value) {
#define POLICY(constant, word)                                                                                         \
    if (strcmp(value, word) == 0) {                                                                                    \
        hki_report_set_policy(constant);                                                                               \
        return;                                                                                                        \
    }
    HKI_POLICIES(POLICY)
#undef POLICY
#define POLICY(constant, word) " " word
    hki_options_complain("HAKMEM_ON_ERROR", value, "none of:" HKI_POLICIES(POLICY));
#undef POLICY
}

void hki_options_load(void) {
    const char *on_error = hki_os_environment("HAKMEM_ON_ERROR");
    if (is_given(on_error))
        load_policy(on_error);
#define NUMBER(variable, name, initial, largest)                                                                       \
    load_number(&(variable), name, largest, "no whole number from 0 to " #largest);
    HKI_NUMBER_OPTIONS(NUMBER)
#undef NUMBER
#define SIZE(variable, name) load_size(&(variable), name);
    HKI_SIZE_OPTIONS(SIZE)
#undef SIZE
}
