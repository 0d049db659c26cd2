/* hklua_options: what the command line says. Nothing is executed here. */
#ifndef HKLUA_OPTIONS_H
#define HKLUA_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum hklua_statistics_format {
    HKLUA_STATISTICS_NONE,
    HKLUA_STATISTICS_TABLE,
    HKLUA_STATISTICS_JSON
} hklua_statistics_format;

/* One of the options that are carried out in their order, before the script. */
typedef struct hklua_action {
    char option;      /* 'e', 'l' or 'W' */
    const char *text; /* of -e and -l: points into argv */
} hklua_action;

typedef struct hklua_options {
    int argc;
    char **argv;
    const char *program; /* argv[0], or "hklua" */
    int script;          /* index in argv; argc if there is none */
    bool show_version;
    bool interactive;
    bool ignore_environment;
    bool has_statements; /* -e was given */
    bool fast_close;     /* end without finalizers */
    size_t repeat;       /* how often to run the script, each time from the same state; 0: once, without rewinding */
    size_t limit_bytes;  /* 0: none */
    const char *limit_text;
    hklua_statistics_format statistics;
    const char *heap_map;  /* where the picture goes; NULL: none */
    hklua_action *actions; /* owned */
    size_t action_count;
} hklua_options;

typedef enum hklua_parse_result {
    HKLUA_PARSE_RUN,
    HKLUA_PARSE_DONE, /* --help: nothing is left to do */
    HKLUA_PARSE_ERROR /* said on standard error */
} hklua_parse_result;

/* Fills in `options`, which points into argv from then on. Call hklua_options_free whatever the result. */
hklua_parse_result hklua_options_parse(int argc, char **argv, hklua_options *options);
void hklua_options_free(hklua_options *options);

#endif
