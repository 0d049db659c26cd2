/* options: the command line of each command. Whatever is wrong in it ends the process with EXIT_USAGE and a line. */
#ifndef HKBENCH_OPTIONS_H
#define HKBENCH_OPTIONS_H

#include "workloads.h"

enum { ROUNDS_MAX = 99 };

typedef struct compare_options {
    const char *library;    /* of hakmem, to be loaded or preloaded; NULL: the usual one */
    const char *rows;       /* shell patterns, separated by commas; NULL: all */
    const char *allocators; /* names, separated by commas; NULL: all */
    unsigned rounds;
    int quick;
    int json;
} compare_options;

/* argv[0] is the command's full name, as "hkbench run". */
void parse_run_options(int argc, char **argv, run_options *options);
void parse_compare_options(int argc, char **argv, compare_options *options);
void parse_arenas_options(int argc, char **argv, compare_options *options);
void parse_lua_options(int argc, char **argv, compare_options *options);
void parse_preload_options(int argc, char **argv, compare_options *options);
void parse_list_options(int argc, char **argv, int *json);

#endif
