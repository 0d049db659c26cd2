/* The part of Criterion's interface that hakmem's tests use, for TSan, under which Criterion itself cannot start (the
 * memory that it shares with its children lies where TSan forbids). Each test runs in a child process, as it does there.
 * A test program is one file, so everything is static. */
#ifndef HAKMEM_TESTS_CRITERION_H
#define HAKMEM_TESTS_CRITERION_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct criterion_test_extra_data {
    int signal;
    int exit_code;
    bool disabled;
    double timeout;
    const char *description;
    void (*init)(void);
    void (*fini)(void);
};

struct hk_test {
    struct hk_test *next;
    const char *name;
    void (*body)(void);
    struct criterion_test_extra_data options;
};

static struct hk_test *hk_tests;
static volatile int hk_test_failures; /* of this child; only its main thread expects and asserts */

__attribute__((noreturn)) static inline void hk_test_finish(const struct hk_test *test) {
    if (test->options.fini != NULL)
        test->options.fini();
    exit(hk_test_failures == 0 ? test->options.exit_code : 99);
}

/* The child's status is what the test's options expect. */
static inline bool hk_test_passes(const struct hk_test *test) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(test->options.timeout > 0 ? (unsigned)test->options.timeout * 10 : 280);
        if (test->options.init != NULL)
            test->options.init();
        test->body();
        hk_test_finish(test);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == test->options.signal;
    /* An expected signal may not be replaced by an exit, not even by that of a TSan report. */
    return test->options.signal == 0 && WEXITSTATUS(status) == test->options.exit_code;
}

int main(void) {
    int passed = 0;
    int failed = 0;
    for (const struct hk_test *test = hk_tests; test != NULL; test = test->next) {
        if (test->options.disabled)
            continue;
        bool ok = hk_test_passes(test);
        printf("[%s] %s\n", ok ? "PASS" : "FAIL", test->name);
        passed += ok;
        failed += !ok;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}

#define Test(suite, test, ...)                                                                                         \
    static void suite##_##test##_body(void);                                                                           \
    __attribute__((constructor)) static void suite##_##test##_register(void) {                                         \
        static struct hk_test self = {.name = #suite "::" #test, .body = suite##_##test##_body};                       \
        self.options = (struct criterion_test_extra_data){__VA_ARGS__};                                                \
        self.next = hk_tests;                                                                                          \
        hk_tests = &self;                                                                                              \
    }                                                                                                                  \
    static void suite##_##test##_body(void)

/* Criterion's optional message (a format and its arguments) is accepted and not printed: the condition's text is. */
#define HK_TEST_CHECK(fatal, condition, text)                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, text);                                          \
            hk_test_failures++;                                                                                        \
            if (fatal)                                                                                                 \
                exit(99);                                                                                              \
        }                                                                                                              \
    } while (0)

#define cr_assert(condition, ...) HK_TEST_CHECK(1, (condition), #condition)
#define cr_assert_not(condition, ...) HK_TEST_CHECK(1, !(condition), "not " #condition)
#define cr_assert_eq(a, b, ...) HK_TEST_CHECK(1, (a) == (b), #a " == " #b)
#define cr_assert_neq(a, b, ...) HK_TEST_CHECK(1, (a) != (b), #a " != " #b)
#define cr_assert_lt(a, b, ...) HK_TEST_CHECK(1, (a) < (b), #a " < " #b)
#define cr_assert_leq(a, b, ...) HK_TEST_CHECK(1, (a) <= (b), #a " <= " #b)
#define cr_assert_gt(a, b, ...) HK_TEST_CHECK(1, (a) > (b), #a " > " #b)
#define cr_assert_geq(a, b, ...) HK_TEST_CHECK(1, (a) >= (b), #a " >= " #b)
#define cr_assert_null(a, ...) HK_TEST_CHECK(1, (a) == NULL, #a " is null")
#define cr_assert_not_null(a, ...) HK_TEST_CHECK(1, (a) != NULL, #a " is not null")
#define cr_assert_str_eq(a, b, ...) HK_TEST_CHECK(1, strcmp((a), (b)) == 0, #a " equals " #b)
#define cr_assert_str_neq(a, b, ...) HK_TEST_CHECK(1, strcmp((a), (b)) != 0, #a " differs from " #b)
#define cr_assert_arr_eq(a, b, size, ...) HK_TEST_CHECK(1, memcmp((a), (b), (size)) == 0, #a " equals " #b)
#define cr_assert_fail(...) HK_TEST_CHECK(1, false, "cr_assert_fail")
#define cr_expect(condition, ...) HK_TEST_CHECK(0, (condition), #condition)
#define cr_expect_not(condition, ...) HK_TEST_CHECK(0, !(condition), "not " #condition)
#define cr_expect_eq(a, b, ...) HK_TEST_CHECK(0, (a) == (b), #a " == " #b)
#define cr_expect_neq(a, b, ...) HK_TEST_CHECK(0, (a) != (b), #a " != " #b)
#define cr_expect_leq(a, b, ...) HK_TEST_CHECK(0, (a) <= (b), #a " <= " #b)
#define cr_expect_geq(a, b, ...) HK_TEST_CHECK(0, (a) >= (b), #a " >= " #b)
#define cr_expect_null(a, ...) HK_TEST_CHECK(0, (a) == NULL, #a " is null")
#define cr_expect_not_null(a, ...) HK_TEST_CHECK(0, (a) != NULL, #a " is not null")
#define cr_expect_str_eq(a, b, ...) HK_TEST_CHECK(0, strcmp((a), (b)) == 0, #a " equals " #b)
#define cr_log_info(...) ((void)fprintf(stderr, __VA_ARGS__))

#endif
