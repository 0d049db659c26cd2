/* report (and the tables of statuses and policies): texts, handler and policy. */
#include "unit_test.h"

#include "tables.h"

#include <signal.h>

static const hk_error_info sample = {
    .struct_size = sizeof sample,
    .status = HK_ERR_DOUBLE_FREE,
    .function = "hk_free",
    .pointer = (const void *)0x7f00,
};

Test(report, statuses_have_their_values_for_ever) {
    static const hk_status in_order[] = {
#define CONSTANT(constant, message) constant,
        HKI_STATUSES(CONSTANT)
#undef CONSTANT
    };
    cr_assert_eq(LENGTH_OF(in_order), 16);
    for (size_t i = 0; i < LENGTH_OF(in_order); i++)
        cr_assert_eq((size_t)in_order[i], i);
    cr_assert_eq(HK_OK, 0);
    cr_assert_eq(HK_ERR_LIMIT, 2);
    cr_assert_eq(HK_ERR_DOUBLE_FREE, 7);
    cr_assert_eq(HK_ERR_CORRUPT, 12);
    cr_assert_eq(HK_ERR_WRITE_AFTER_FREE, 14);
    cr_assert_eq(HK_ERR_CALLBACK, 15);
}

Test(report, statuses_have_names_and_sentences) {
#define NAMED(constant, message)                                                                                       \
    cr_assert_str_eq(hk_status_name(constant), #constant);                                                             \
    cr_assert_str_eq(hk_status_message(constant), message);
    HKI_STATUSES(NAMED)
#undef NAMED
    cr_assert_str_eq(hk_status_name((hk_status)16), "HK_ERR_?");
    cr_assert_str_eq(hk_status_name((hk_status)-1), "HK_ERR_?");
    cr_assert_not_null(hk_status_message((hk_status)16));
    cr_assert_not_null(hk_status_message((hk_status)-1));
}

static const char *text_of_number(uint64_t number) {
    static char string[32];
    hki_text text = {0};
    hki_text_add_number(&text, number);
    memcpy(string, text.bytes, text.length);
    string[text.length] = '\0';
    return string;
}

Test(report, numbers) {
    cr_assert_str_eq(text_of_number(0), "0");
    cr_assert_str_eq(text_of_number(9), "9");
    cr_assert_str_eq(text_of_number(10), "10");
    cr_assert_str_eq(text_of_number(UINT64_MAX), "18446744073709551615");
}

Test(report, addresses) {
    hki_text text = {0};
    hki_text_add_address(&text, NULL);
    hki_text_add_address(&text, (const void *)UINTPTR_MAX);
    cr_assert_eq(text.length, strlen("0x00xffffffffffffffff"));
    cr_assert_arr_eq(text.bytes, "0x00xffffffffffffffff", text.length);
}

Test(report, text_that_does_not_fit_is_cut_off) {
    static capture errors;
    hki_text text = {0};
    for (int i = 0; i < 100; i++)
        hki_text_add(&text, "seven..");
    cr_assert_eq(text.length, sizeof text.bytes);
    hki_text_add_number(&text, 5);
    cr_assert_eq(text.length, sizeof text.bytes);
    capture_begin(&errors);
    hki_text_write(&text);
    const char *line = capture_end(&errors);
    cr_assert_eq(strlen(line), strlen("hakmem: ") + sizeof text.bytes + 1);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(report, abort_is_the_default_policy, .signal = SIGABRT) {
    hki_report(&sample);
}

static const char *line_of(const hk_error_info *info) {
    static capture errors;
    hki_report_set_policy(HK_ON_ERROR_REPORT);
    capture_begin(&errors);
    hk_status status = hki_report(info);
    const char *line = capture_end(&errors);
    cr_assert_eq(status, info->status);
    return line;
}

Test(report, lines_name_all_that_is_known) {
    hk_error_info info = sample;
    cr_assert_str_eq(line_of(&info), "hakmem: HK_ERR_DOUBLE_FREE in hk_free(0x7f00): the block is free already\n");
    info.arena_name = "lua";
    cr_assert_str_eq(line_of(&info),
                     "hakmem: HK_ERR_DOUBLE_FREE in hk_free(0x7f00): the block is free already; arena \"lua\"\n");
    info.block_size = 48;
    info.status = HK_ERR_SIZE_MISMATCH;
    info.given_size = 64;
    cr_assert_str_eq(line_of(&info), "hakmem: HK_ERR_SIZE_MISMATCH in hk_free(0x7f00): the block has another size; "
                                     "block of 48 bytes in arena \"lua\", given size 64\n");
    info.arena_name = NULL;
    info.status = HK_ERR_INTERIOR_POINTER;
    cr_assert_str_eq(line_of(&info), "hakmem: HK_ERR_INTERIOR_POINTER in hk_free(0x7f00): pointer into a block, not to "
                                     "its start; block of 48 bytes\n");
}

Test(report, ignore_is_silent) {
    static capture errors;
    hki_report_set_policy(HK_ON_ERROR_IGNORE);
    capture_begin(&errors);
    hki_report(&sample);
    cr_assert_str_eq(capture_end(&errors), "");
    cr_assert_eq(hk_last_status(), HK_ERR_DOUBLE_FREE);
}

Test(report, errno_stays) {
    errno = 4711;
    line_of(&sample);
    cr_assert_eq(errno, 4711);
}

typedef struct seen {
    hk_error_info info;
    int calls;
    hk_status status; /* what hk_last_status said inside */
} seen;

static void see(const hk_error_info *info, void *user_data) {
    seen *to = user_data;
    to->info = *info;
    to->calls++;
    to->status = hk_last_status();
    hki_fail(HK_ERR_LIMIT);             /* as a handler that allocates may */
    hki_report_set_handler(NULL, NULL); /* no lock is held */
}

Test(report, handler_replaces_policy) {
    seen last = {0};
    hki_report_set_handler(see, &last);
    cr_assert_eq(hki_report(&sample), HK_ERR_DOUBLE_FREE);
    cr_assert_eq(last.calls, 1);
    cr_assert_arr_eq(&last.info, &sample, sizeof sample);
    cr_assert_eq(last.status, HK_ERR_DOUBLE_FREE);
    cr_assert_eq(hk_last_status(), HK_ERR_DOUBLE_FREE);
    line_of(&sample);
    cr_assert_eq(last.calls, 1);
}

static void report_again(const hk_error_info *info, void *user_data) {
    int *depth = user_data;
    if (++*depth < 3)
        hki_report(info);
}

Test(report, handler_may_cause_another_report) {
    int depth = 0;
    hki_report_set_handler(report_again, &depth);
    hki_report(&sample);
    cr_assert_eq(depth, 3);
}

static void *fail_with_limit(void *unused) {
    hk_status before = hk_last_status();
    (void)unused;
    hki_fail(HK_ERR_LIMIT);
    return before == HK_OK && hk_last_status() == HK_ERR_LIMIT ? &hki_last_status : NULL;
}

Test(report, last_status_is_the_threads_own) {
    cr_assert_eq(hk_last_status(), HK_OK);
    cr_assert_eq(hki_fail(HK_ERR_BUSY), HK_ERR_BUSY);
    cr_assert_not_null(run_in_thread(fail_with_limit, NULL));
    cr_assert_eq(hk_last_status(), HK_ERR_BUSY);
}
