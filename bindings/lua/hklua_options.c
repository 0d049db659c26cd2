/* hklua_options: see hklua_options.h. The rules are lua5.4's (manual, section 7): options end at the first word that is
 * none, single letters do not combine, and what follows -e or -l may not look like an option. All is read before
 * anything is done, so that a mistake at the end of the line has no effects. */
#include "hklua_options.h"

#include "size_text.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_LIMIT = 256, OPTION_STATISTICS, OPTION_HEAP_MAP, OPTION_REPEAT, OPTION_FAST_CLOSE, OPTION_HELP };

static const struct option long_options[] = {
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"stats", optional_argument, NULL, OPTION_STATISTICS},
    {"heap-map", required_argument, NULL, OPTION_HEAP_MAP},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"fast-close", no_argument, NULL, OPTION_FAST_CLOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static void print_usage(FILE *stream, const char *program) {
    fprintf(stream,
            "usage: %s [options] [script [args]]\n"
            "  -e CODE          run the string CODE\n"
            "  -i               go interactive after the script\n"
            "  -l MODULE        require MODULE and make it the global MODULE\n"
            "  -l NAME=MODULE   require MODULE and make it the global NAME\n"
            "  -v               print the versions\n"
            "  -E               take no notice of the environment variables of Lua\n"
            "  -W               turn warnings on\n"
            "  --limit SIZE     hold at most SIZE of memory once the libraries are open; SIZE is in bytes, or\n"
            "                   with K, M or G as in 512K, 64M, 1G\n"
            "  --stats[=json]   at the end, print on standard error what the arena holds\n"
            "  --heap-map FILE  at the end, write a picture of the memory into FILE, as SVG\n"
            "  --repeat N       run the script N times, rewinding the state after each; for states of up to 4G\n"
            "  --fast-close     at the end, drop the state's memory without running finalizers\n"
            "  --help           print this\n"
            "  --               end of the options\n"
            "  -                end of the options; the script is standard input\n",
            program);
}

static hklua_parse_result fail_unknown(const hklua_options *options, const char *word) {
    fprintf(stderr, "%s: unrecognized option '%s'\n", options->program, word);
    print_usage(stderr, options->program);
    return HKLUA_PARSE_ERROR;
}

static hklua_parse_result fail_without_argument(const hklua_options *options, const char *word) {
    fprintf(stderr, "%s: '%s' needs argument\n", options->program, word);
    print_usage(stderr, options->program);
    return HKLUA_PARSE_ERROR;
}

static hklua_parse_result parse_limit(hklua_options *options, const char *text) {
    const char *complaint = size_text_parse(text, &options->limit_bytes);
    if (complaint == NULL && options->limit_bytes == 0)
        complaint = "would leave no memory at all; for no limit, leave the option out";
    options->limit_text = text;
    if (complaint == NULL)
        return HKLUA_PARSE_RUN;
    fprintf(stderr, "%s: --limit: '%s' %s; it takes bytes, or a number with K, M or G, as in 512K, 64M or 1G\n",
            options->program, text, complaint);
    return HKLUA_PARSE_ERROR;
}

static hklua_parse_result parse_statistics(hklua_options *options, const char *text) {
    if (text == NULL) {
        options->statistics = HKLUA_STATISTICS_TABLE;
        return HKLUA_PARSE_RUN;
    }
    if (strcmp(text, "json") == 0) {
        options->statistics = HKLUA_STATISTICS_JSON;
        return HKLUA_PARSE_RUN;
    }
    fprintf(stderr, "%s: --stats: '%s' is no format; write --stats for a table, --stats=json for JSON\n",
            options->program, text);
    return HKLUA_PARSE_ERROR;
}

static hklua_parse_result parse_repeat(hklua_options *options, const char *text) {
    char *end;
    errno = 0;
    uintmax_t number = isdigit((unsigned char)*text) ? strtoumax(text, &end, 10) : 0;
    if (number == 0 || *end != '\0' || errno == ERANGE || number > SIZE_MAX) {
        fprintf(stderr, "%s: --repeat: '%s' is no number of times; it takes a whole number from 1\n", options->program,
                text);
        return HKLUA_PARSE_ERROR;
    }
    options->repeat = (size_t)number;
    return HKLUA_PARSE_RUN;
}

/* What is repeated is a file, which can be read again. */
static hklua_parse_result check_repeat(const hklua_options *options) {
    const char *complaint = NULL;
    if (options->script == options->argc)
        complaint = "there is no script to repeat";
    else if (strcmp(options->argv[options->script], "-") == 0 && strcmp(options->argv[options->script - 1], "--") != 0)
        complaint = "standard input cannot be read again";
    else if (options->interactive)
        complaint = "cannot be interactive";
    if (options->repeat == 0 || complaint == NULL)
        return HKLUA_PARSE_RUN;
    fprintf(stderr, "%s: --repeat: %s\n", options->program, complaint);
    return HKLUA_PARSE_ERROR;
}

static hklua_parse_result add_action(hklua_options *options, const char *word, char option, const char *text) {
    bool is_next_word = text != NULL && text != word + 2;
    if (is_next_word && *text == '-')
        return fail_without_argument(options, word);
    options->actions[options->action_count++] = (hklua_action){.option = option, .text = text};
    options->has_statements |= option == 'e';
    return HKLUA_PARSE_RUN;
}

/* `word` is the element of argv that the option stands in. */
static hklua_parse_result parse_option(hklua_options *options, int option, const char *word) {
    bool is_flag = option < OPTION_LIMIT && strchr("ivEW", option) != NULL;
    if (is_flag && word[2] != '\0')
        return fail_unknown(options, word);
    switch (option) {
    case 'i':
        options->interactive = true;
        options->show_version = true;
        return HKLUA_PARSE_RUN;
    case 'v':
        options->show_version = true;
        return HKLUA_PARSE_RUN;
    case 'E':
        options->ignore_environment = true;
        return HKLUA_PARSE_RUN;
    case 'W':
        return add_action(options, word, 'W', NULL);
    case 'e':
    case 'l':
        return add_action(options, word, (char)option, optarg);
    case OPTION_LIMIT:
        return parse_limit(options, optarg);
    case OPTION_STATISTICS:
        return parse_statistics(options, optarg);
    case OPTION_HEAP_MAP:
        options->heap_map = optarg;
        return HKLUA_PARSE_RUN;
    case OPTION_REPEAT:
        return parse_repeat(options, optarg);
    case OPTION_FAST_CLOSE:
        options->fast_close = true;
        return HKLUA_PARSE_RUN;
    case OPTION_HELP:
        print_usage(stdout, options->program);
        return HKLUA_PARSE_DONE;
    case ':':
        return fail_without_argument(options, word);
    default:
        return fail_unknown(options, word);
    }
}

hklua_parse_result hklua_options_parse(int argc, char **argv, hklua_options *options) {
    bool has_name = argc > 0 && argv[0][0] != '\0';
    *options = (hklua_options){.argc = argc, .argv = argv, .program = has_name ? argv[0] : "hklua", .script = argc};
    if (argc == 0)
        return HKLUA_PARSE_RUN;
    options->actions = calloc((size_t)argc, sizeof *options->actions);
    if (options->actions == NULL) {
        fprintf(stderr, "%s: not enough memory\n", options->program);
        return HKLUA_PARSE_ERROR;
    }
    opterr = 0;
    for (;;) {
        int word = optind; /* without permutation, the next option stands in it or begins there */
        int option = getopt_long(argc, argv, "+:e:l:ivEW", long_options, NULL);
        if (option == -1)
            break;
        hklua_parse_result result = parse_option(options, option, argv[word]);
        if (result != HKLUA_PARSE_RUN)
            return result;
    }
    options->script = optind;
    return check_repeat(options);
}

void hklua_options_free(hklua_options *options) {
    free(options->actions);
    options->actions = NULL;
}
