/* The command line of rewind_server. */
#ifndef REWIND_SERVER_OPTIONS_H
#define REWIND_SERVER_OPTIONS_H

#include "application.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct options {
    application_settings application;
    uint16_t port; /* 0: the system picks one */
    bool has_request_bound;
    size_t request_bound; /* the server ends by itself after so many */
} options;

typedef enum options_result { OPTIONS_SERVE, OPTIONS_HELP_SHOWN, OPTIONS_WRONG } options_result;

/* After OPTIONS_WRONG, standard error tells what was wrong. Texts are those of argv. */
options_result options_parse(int argc, char **argv, options *result);

#endif
