/* report: the one sink for misuse. It takes no memory and writes with write(2) only.
 *
 * Owns the error handler, the policy and each thread's last status. */
#ifndef HKI_REPORT_H
#define HKI_REPORT_H

#include "base.h"
#include "hakmem.h"

HKI_DATA _Thread_local hk_status hki_last_status;

/* Stores a failure where hk_last_status() finds it, and returns it. */
HKI_INLINE hk_status hki_fail(hk_status status) {
    hki_last_status = status;
    return status;
}

/* Hands misuse to the handler, or else does as the policy says; returns info->status if that returns. No lock may be
 * held. */
HKI_SLOW hk_status hki_report(const hk_error_info *info);

void hki_report_set_handler(hk_error_handler handler, void *user_data);
void hki_report_set_policy(hk_error_policy policy);

/* A line of text that is built up without memory of its own; what does not fit is cut off. */
typedef struct hki_text {
    size_t length;
    char bytes[480];
} hki_text;

void hki_text_add(hki_text *text, const char *string);
void hki_text_add_number(hki_text *text, uint64_t number);
void hki_text_add_address(hki_text *text, const void *address);
/* Writes "hakmem: ", the text and a newline to standard error. */
void hki_text_write(const hki_text *text);

#endif
