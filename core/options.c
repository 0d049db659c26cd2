/* options: see options.h. No state: each value goes to the layer that it is for. */
#include "options.h"

#include "os.h"
#include "report.h"
#include "tables.h"

#include <string.h>

static void load_policy(const char *value) {
    hki_text text = {0};
#define POLICY(constant, word)                                                                                         \
    if (strcmp(value, word) == 0) {                                                                                    \
        hki_report_set_policy(constant);                                                                               \
        return;                                                                                                        \
    }
    HKI_POLICIES(POLICY)
#undef POLICY
    hki_text_add(&text, "HAKMEM_ON_ERROR is \"");
    hki_text_add(&text, value);
    hki_text_add(&text, "\", which is none of:");
#define POLICY(constant, word) hki_text_add(&text, " " word);
    HKI_POLICIES(POLICY)
#undef POLICY
    hki_text_add(&text, "; it is ignored");
    hki_text_write(&text);
}

void hki_options_load(void) {
    const char *on_error = hki_os_environment("HAKMEM_ON_ERROR");
    if (on_error != NULL && *on_error != '\0')
        load_policy(on_error);
}
