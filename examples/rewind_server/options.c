/* options: see options.h. No state, but that of getopt. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_LIMIT_BYTES ((size_t)64 << 20)
#define MAX_LIMIT_BYTES ((size_t)64 << 30)

enum { OPTION_LIMIT = 256, OPTION_NO_REWIND, OPTION_REOPEN, OPTION_REQUESTS, OPTION_HELP };

static const struct option long_options[] = {
    {"limit", required_argument, NULL, OPTION_LIMIT}, {"no-rewind", no_argument, NULL, OPTION_NO_REWIND},
    {"reopen", no_argument, NULL, OPTION_REOPEN},     {"requests", required_argument, NULL, OPTION_REQUESTS},
    {"help", no_argument, NULL, OPTION_HELP},         {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: rewind_server [options] PORT APPLICATION\n"
    "Serves APPLICATION, a Lua file that returns a function from requests to responses, on 127.0.0.1:PORT.\n"
    "With port 0 the system picks one; the first line on standard output names it. SIGTERM ends the server.\n"
    "  --limit SIZE   the Lua state may hold so much: bytes, or a number with K, M or G; 64M if not said\n"
    "  --no-rewind    leave the state to the next request as it is\n"
    "  --reopen       instead of rewinding, close the state after each request, and load the application anew\n"
    "  --requests N   end after N requests\n"
    "  --help         print this\n";

static options_result complain(const char *what, const char *text, const char *why) {
    fprintf(stderr, "rewind_server: %s: '%s' %s\n", what, text, why);
    return OPTIONS_WRONG;
}

static options_result complain_about_usage(const char *why) {
    fprintf(stderr, "rewind_server: %s\n%s", why, usage);
    return OPTIONS_WRONG;
}

/* A whole number in decimal; *end is what follows it. */
static bool parse_number(const char *text, uintmax_t most, uintmax_t *number, char **end) {
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *number = strtoumax(text, end, 10);
    return errno == 0 && *number <= most;
}

static bool parse_size(const char *text, size_t *bytes) {
    static const char units[] = "KMG";
    uintmax_t number;
    char *end;
    if (!parse_number(text, MAX_LIMIT_BYTES, &number, &end) || number == 0)
        return false;
    unsigned shift = 0;
    if (*end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL || end[1] != '\0')
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (number > MAX_LIMIT_BYTES >> shift)
        return false;
    *bytes = (size_t)number << shift;
    return true;
}

static bool parse_whole(const char *text, uintmax_t most, uintmax_t *number) {
    char *end;
    return parse_number(text, most, number, &end) && *end == '\0';
}

static options_result choose_isolation(options *result, application_isolation isolation) {
    if (result->application.isolation != APPLICATION_REWOUND && result->application.isolation != isolation)
        return complain_about_usage("--no-rewind and --reopen exclude each other");
    result->application.isolation = isolation;
    return OPTIONS_SERVE;
}

static options_result parse_option(int option, options *result) {
    uintmax_t number;
    switch (option) {
    case OPTION_LIMIT:
        if (!parse_size(optarg, &result->application.limit_bytes))
            return complain("--limit", optarg, "is no size from 1 to 64G, such as 512K or 64M");
        return OPTIONS_SERVE;
    case OPTION_NO_REWIND:
        return choose_isolation(result, APPLICATION_KEPT);
    case OPTION_REOPEN:
        return choose_isolation(result, APPLICATION_REOPENED);
    case OPTION_REQUESTS:
        if (!parse_whole(optarg, SIZE_MAX, &number))
            return complain("--requests", optarg, "is no number of requests");
        result->request_bound = (size_t)number;
        result->has_request_bound = true;
        return OPTIONS_SERVE;
    case OPTION_HELP:
        fputs(usage, stdout);
        return OPTIONS_HELP_SHOWN;
    default: /* getopt has said what is wrong */
        fputs(usage, stderr);
        return OPTIONS_WRONG;
    }
}

options_result options_parse(int argc, char **argv, options *result) {
    *result = (options){.application = {.limit_bytes = DEFAULT_LIMIT_BYTES, .isolation = APPLICATION_REWOUND}};
    for (;;) {
        int option = getopt_long(argc, argv, "", long_options, NULL);
        if (option == -1)
            break;
        options_result parsed = parse_option(option, result);
        if (parsed != OPTIONS_SERVE)
            return parsed;
    }
    if (argc - optind != 2)
        return complain_about_usage(argc - optind < 2 ? "a port and an application are needed" : "too many arguments");
    uintmax_t port;
    if (!parse_whole(argv[optind], UINT16_MAX, &port))
        return complain("PORT", argv[optind], "is no port from 0 to 65535");
    result->port = (uint16_t)port;
    result->application.path = argv[optind + 1];
    return OPTIONS_SERVE;
}
