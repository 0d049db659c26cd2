/* report: see report.h. There is no lock on the way of a report, as misuse may happen in a signal handler that has
 * interrupted one. A handler and its data are read as one: `changes` is odd while they are being set. */
#include "report.h"

#include "lock.h"
#include "os.h"
#include "tables.h"

#include <stdlib.h>
#include <string.h>

_Thread_local hk_status hki_last_status;

static _Atomic(hk_error_handler) handler;
static _Atomic(void *) handler_data;
static _Atomic unsigned changes;
static _Atomic hk_error_policy policy = HK_ON_ERROR_ABORT;

static const struct {
    const char *name;
    const char *message;
} statuses[] = {
#define STATUS(constant, message) [constant] = {#constant, message},
    HKI_STATUSES(STATUS)
#undef STATUS
};

static bool is_status(hk_status status) {
    return (size_t)status < sizeof statuses / sizeof *statuses;
}

const char *hk_status_name(hk_status status) {
    return is_status(status) ? statuses[status].name : "HK_ERR_?";
}

const char *hk_status_message(hk_status status) {
    return is_status(status) ? statuses[status].message : "unknown status";
}

hk_status hk_last_status(void) {
    return hki_last_status;
}

/* Sequentially consistent throughout, as nobody is in a hurry. */
void hki_report_set_handler(hk_error_handler new_handler, void *user_data) {
    hki_lock_acquire(&hki_report_lock);
    atomic_fetch_add(&changes, 1);
    atomic_store(&handler, new_handler);
    atomic_store(&handler_data, user_data);
    atomic_fetch_add(&changes, 1);
    hki_lock_release(&hki_report_lock);
}

/* The handler and its data. One that is being set by the very thread that this call has interrupted is not waited for:
 * then there is none. */
static hk_error_handler current_handler(void **user_data) {
    enum { ATTEMPTS = 1000 };
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        unsigned before = atomic_load(&changes);
        hk_error_handler found = atomic_load(&handler);
        *user_data = atomic_load(&handler_data);
        if (before % 2 == 0 && before == atomic_load(&changes))
            return found;
        hki_os_yield();
    }
    return NULL;
}

void hki_report_set_policy(hk_error_policy new_policy) {
    atomic_store(&policy, new_policy);
}

void hki_text_add(hki_text *text, const char *string) {
    size_t room = sizeof text->bytes - text->length;
    size_t length = hki_min(strlen(string), room);
    memcpy(text->bytes + text->length, string, length);
    text->length += length;
}

static void add_in_base(hki_text *text, uint64_t number, unsigned base) {
    char digits[21];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do {
        *--first = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    hki_text_add(text, first);
}

void hki_text_add_number(hki_text *text, uint64_t number) {
    add_in_base(text, number, 10);
}

void hki_text_add_address(hki_text *text, const void *address) {
    hki_text_add(text, "0x");
    add_in_base(text, (uintptr_t)address, 16);
}

void hki_text_write(const hki_text *text) {
    static const char prefix[] = "hakmem: ";
    char line[sizeof prefix + sizeof text->bytes];
    memcpy(line, prefix, sizeof prefix - 1);
    memcpy(line + sizeof prefix - 1, text->bytes, text->length);
    line[sizeof prefix - 1 + text->length] = '\n';
    hki_os_write_error(line, sizeof prefix + text->length);
}

/* For example: HK_ERR_SIZE_MISMATCH in hk_free_sized(0x7f00): the block has another size; block of 48 bytes in arena
 * "lua", given size 64 */
static void write_misuse(const hk_error_info *info) {
    hki_text text = {0};
    hki_text_add(&text, hk_status_name(info->status));
    hki_text_add(&text, " in ");
    hki_text_add(&text, info->function);
    hki_text_add(&text, "(");
    hki_text_add_address(&text, info->pointer);
    hki_text_add(&text, "): ");
    hki_text_add(&text, hk_status_message(info->status));
    if (info->block_size != 0) {
        hki_text_add(&text, "; block of ");
        hki_text_add_number(&text, info->block_size);
        hki_text_add(&text, " bytes");
    }
    if (info->arena_name != NULL) {
        hki_text_add(&text, info->block_size != 0 ? " in arena \"" : "; arena \"");
        hki_text_add(&text, info->arena_name);
        hki_text_add(&text, "\"");
    }
    if (info->status == HK_ERR_SIZE_MISMATCH) {
        hki_text_add(&text, ", given size ");
        hki_text_add_number(&text, info->given_size);
    }
    hki_text_write(&text);
}

hk_status hki_report(const hk_error_info *info) {
    void *user_data;
    hk_error_handler to_call = current_handler(&user_data);
    hk_error_policy to_follow = atomic_load(&policy);

    hki_fail(info->status);
    if (to_call != NULL) {
        to_call(info, user_data);
        return hki_fail(info->status); /* the handler may have called hakmem */
    }
    if (to_follow != HK_ON_ERROR_IGNORE)
        write_misuse(info);
    if (to_follow == HK_ON_ERROR_ABORT)
        abort();
    return info->status;
}
