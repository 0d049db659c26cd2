/* options: what HAKMEM_ON_ERROR and HAKMEM_PURGE_DELAY_MS may say. */
#include "unit_test.h"

#include "options.h"

#include <signal.h>

static capture errors;

static const char *load(const char *value) {
    if (value != NULL)
        setenv("HAKMEM_ON_ERROR", value, 1);
    else
        unsetenv("HAKMEM_ON_ERROR");
    capture_begin(&errors);
    hki_options_load();
    return capture_end(&errors);
}

static const char *what_misuse_says(void) {
    capture_begin(&errors);
    hki_report(&(hk_error_info){.status = HK_ERR_BAD_ARENA, .function = "f"});
    return capture_end(&errors);
}

Test(options, report) {
    cr_assert_str_eq(load("report"), "");
    cr_assert_str_eq(what_misuse_says(), "hakmem: HK_ERR_BAD_ARENA in f(0x0): not a live arena\n");
}

Test(options, ignore) {
    cr_assert_str_eq(load("ignore"), "");
    cr_assert_str_eq(what_misuse_says(), "");
}

Test(options, abort, .signal = SIGABRT) {
    load("ignore");
    cr_assert_str_eq(load("abort"), "");
    what_misuse_says();
}

Test(options, nothing_is_said_about_nothing) {
    load("ignore");
    cr_assert_str_eq(load(NULL), "");
    cr_assert_str_eq(load(""), "");
    cr_assert_str_eq(what_misuse_says(), "");
}

Test(options, nonsense_gets_one_line_and_changes_nothing) {
    load("ignore");
    cr_assert_str_eq(load("Report"),
                     "hakmem: HAKMEM_ON_ERROR is \"Report\", which is none of: abort report ignore; it is ignored\n");
    cr_assert_str_eq(what_misuse_says(), "");
    load("reports");
    cr_assert_str_eq(what_misuse_says(), "");
}

Test(options, long_nonsense_is_cut_off) {
    static char value[2000];
    memset(value, 'x', sizeof value - 1);
    const char *line = load(value);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
    cr_assert_lt(strlen(line), 600);
}

/* ---- numbers ---- */

static const char *load_delay(const char *value) {
    setenv("HAKMEM_PURGE_DELAY_MS", value, 1);
    capture_begin(&errors);
    hki_options_load();
    return capture_end(&errors);
}

Test(options, purge_delay) {
    static const struct {
        const char *value;
        unsigned number;
    } cases[] = {{"0", 0}, {"1", 1}, {"0250", 250}, {"3600000", 3600000}, {"", 3600000}};
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        cr_assert_str_eq(load_delay(cases[i].value), "");
        cr_assert_eq(atomic_load(&hki_purge_delay_ms), cases[i].number);
    }
}

Test(options, nonsense_delays_get_one_line_and_change_nothing) {
    static const char *const values[] = {"-1", "3600001", "10ms", "ten", " 5", "1e3", "99999999999999999999999"};
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        char expected[200];
        snprintf(expected, sizeof expected,
                 "hakmem: HAKMEM_PURGE_DELAY_MS is \"%s\", which is no whole number from 0 to 3600000; it is ignored\n",
                 values[i]);
        cr_assert_str_eq(load_delay(values[i]), expected);
        cr_assert_eq(atomic_load(&hki_purge_delay_ms), 10);
    }
}
