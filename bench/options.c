/* options: see options.h. */
#include "options.h"

#include "support.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>

enum {
    KEY_BLOCKS = 'b',
    KEY_OPERATIONS = 'o',
    KEY_SIZE_MIN = 'm',
    KEY_SIZE_MAX = 'M',
    KEY_THREADS = 't',
    KEY_SEED = 's',
    KEY_JSON = 'j',
    KEY_WORKLOAD = 'w',
    KEY_ALLOCATOR = 'a',
    KEY_SCRIPT = 'S',
    KEY_LIBRARY = 'l',
    KEY_ROUNDS = 'r',
    KEY_QUICK = 'q',
    KEY_ROWS = 'R',
    KEY_PRELOAD = 'p',
};

static uint64_t parse_number(const char *option, const char *text, uint64_t low, uint64_t high) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < low || value > high)
        die(EXIT_USAGE, "--%s is '%s'; it must be a whole number from %llu to %llu", option, text,
            (unsigned long long)low, (unsigned long long)high);
    return value;
}

static error_t parse_run_key(int key, char *text, struct argp_state *state) {
    run_options *o = state->input;
    switch (key) {
    case KEY_WORKLOAD:
        o->workload = text;
        return 0;
    case KEY_ALLOCATOR:
        o->allocator = text;
        return 0;
    case KEY_BLOCKS:
        o->blocks = parse_number("blocks", text, 1, 100000000);
        return 0;
    case KEY_OPERATIONS:
        o->operations = parse_number("operations", text, 1, 1000000000000);
        return 0;
    case KEY_SIZE_MIN:
        o->size_min_bytes = parse_number("size-min", text, 1, 1 << 30);
        return 0;
    case KEY_SIZE_MAX:
        o->size_max_bytes = parse_number("size-max", text, 1, 1 << 30);
        return 0;
    case KEY_THREADS:
        o->threads = parse_number("threads", text, 1, 256);
        return 0;
    case KEY_SEED:
        o->seed = parse_number("seed", text, 1, UINT32_MAX);
        return 0;
    case KEY_SCRIPT:
        o->script = text;
        return 0;
    case KEY_LIBRARY:
        o->library = text;
        return 0;
    case KEY_PRELOAD:
        o->preload = 1;
        return 0;
    case KEY_JSON:
        o->json = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_compare_key(int key, char *text, struct argp_state *state) {
    compare_options *o = state->input;
    switch (key) {
    case KEY_ROUNDS:
        o->rounds = (unsigned)parse_number("rounds", text, 1, ROUNDS_MAX);
        return 0;
    case KEY_QUICK:
        o->quick = 1;
        return 0;
    case KEY_ROWS:
        o->rows = text;
        return 0;
    case KEY_ALLOCATOR:
        o->allocators = text;
        return 0;
    case KEY_LIBRARY:
        o->library = text;
        return 0;
    case KEY_JSON:
        o->json = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_list_key(int key, char *text, struct argp_state *state) {
    (void)text;
    if (key != KEY_JSON)
        return ARGP_ERR_UNKNOWN;
    *(int *)state->input = 1;
    return 0;
}

static const struct argp_option run_keys[] = {
    {"workload", KEY_WORKLOAD, "NAME", 0, "What to do; `hkbench list` names them. lua:NAME is lua with --script NAME",
     1},
    {"allocator", KEY_ALLOCATOR, "NAME", 0, "hakmem, system, mimalloc, jemalloc, tcmalloc, hakmem-hardened or scudo",
     1},
    {"blocks", KEY_BLOCKS, "N", 0, "Slots, vectors, blocks, heaps, states; MB of a state; a program's size", 2},
    {"operations", KEY_OPERATIONS, "N", 0, "How many are timed, in all threads together", 2},
    {"size-min", KEY_SIZE_MIN, "B", 0, "Smallest block in bytes (fixed: its one size)", 2},
    {"size-max", KEY_SIZE_MAX, "B", 0, "Largest block in bytes", 2},
    {"threads", KEY_THREADS, "N", 0, "Threads; for remote an even number", 2},
    {"seed", KEY_SEED, "S", 0, "Seed of the random numbers", 2},
    {"script", KEY_SCRIPT, "NAME", 0,
     "For lua and lua-program: a name in bench/lua, or the path of a .lua file; for program: a script of "
     "bench/programs",
     2},
    {"library", KEY_LIBRARY, "PATH", 0, "Load the allocator from this file", 3},
    {"preload", KEY_PRELOAD, NULL, 0, "Take the allocator by LD_PRELOAD, in the place of the C library's malloc", 3},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 3},
    {0},
};

static const struct argp_option compare_keys[] = {
    {"rounds", KEY_ROUNDS, "N", 0, "Runs of each row with each allocator (default 5; with --quick 2)", 1},
    {"quick", KEY_QUICK, NULL, 0, "Runs of about a tenth of the length", 1},
    {"rows", KEY_ROWS, "PATTERN", 0, "Only these rows: shell patterns, separated by commas ('mixed:*,larson*')", 1},
    {"allocators", KEY_ALLOCATOR, "NAMES", 0,
     "Only these allocators, separated by commas (default: all but hakmem-hardened and scudo)", 1},
    {"library", KEY_LIBRARY, "PATH", 0, "Load hakmem from this file", 2},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 2},
    {0},
};

static const struct argp_option list_keys[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object", 1},
    {0},
};

static void parse(const struct argp *parser, int argc, char **argv, void *options) {
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(parser, argc, argv, 0, NULL, options);
}

static void parse_comparison(const struct argp *parser, int argc, char **argv, compare_options *options) {
    *options = (compare_options){0};
    parse(parser, argc, argv, options);
    if (options->rounds == 0)
        options->rounds = options->quick ? 2 : 5;
}

void parse_run_options(int argc, char **argv, run_options *options) {
    static const struct argp parser = {
        .options = run_keys,
        .parser = parse_run_key,
        .args_doc = "",
        .doc = "Runs one workload with one allocator in this process and prints throughput and peak memory.\v"
               "Example: hkbench run --workload mixed --allocator hakmem --blocks 8192 --json",
    };
    *options = (run_options){0};
    parse(&parser, argc, argv, options);
    if (options->workload == NULL)
        die(EXIT_USAGE, "--workload NAME is missing; `hkbench list` names the workloads");
    if (options->allocator == NULL)
        die(EXIT_USAGE, "--allocator NAME is missing; `hkbench list` names the allocators");
}

void parse_compare_options(int argc, char **argv, compare_options *options) {
    static const struct argp parser = {
        .options = compare_keys,
        .parser = parse_compare_key,
        .args_doc = "",
        .doc =
            "Runs each row with each allocator, a fresh process every time, interleaved within each round, and prints "
            "throughput, peak memory, hakmem's ratio to each rival and which targets are met.\v"
            "Exit status: 0; 1 when a run failed; 2 for a mistake on the command line. A missed target does not "
            "change it.",
    };
    parse_comparison(&parser, argc, argv, options);
}

void parse_arenas_options(int argc, char **argv, compare_options *options) {
    static const struct argp parser = {
        .options = compare_keys,
        .parser = parse_compare_key,
        .args_doc = "",
        .doc = "Measures what arenas promise (their life, thousands of Lua states, memory that goes back, rollback) as "
               "`compare` does, and prints the figures and which targets are met.\v"
               "Exit status: 0; 1 when a run failed; 2 for a mistake on the command line. A missed target does not "
               "change it, nor does a row that an allocator has no functions for.",
    };
    parse_comparison(&parser, argc, argv, options);
}

void parse_lua_options(int argc, char **argv, compare_options *options) {
    static const struct argp parser = {
        .options = compare_keys,
        .parser = parse_compare_key,
        .args_doc = "",
        .doc =
            "Measures Lua programs as `compare` does, each in an interpreter of its own: hklua, or the same library of "
            "Lua with another allocator preloaded. Prints processor time, peak memory, hakmem's share of each rival's, "
            "and which targets are met.\v"
            "Exit status: 0; 1 when a run failed; 2 for a mistake on the command line. A missed target does not "
            "change it.",
    };
    parse_comparison(&parser, argc, argv, options);
    if (options->library != NULL)
        die(EXIT_USAGE, "--library does not go with lua: hakmem is hklua, which has it inside");
}

void parse_preload_options(int argc, char **argv, compare_options *options) {
    static const struct argp parser = {
        .options = compare_keys,
        .parser = parse_compare_key,
        .args_doc = "",
        .doc = "Compares allocators in the place of the C library's malloc, by LD_PRELOAD: loops of hkbench's own and "
               "real programs, as `compare` does. Prints the figures and which targets are met.\v"
               "Exit status: 0; 1 when a run failed; 2 for a mistake on the command line. A missed target does not "
               "change it, nor does a program that is not on this machine.",
    };
    parse_comparison(&parser, argc, argv, options);
}

void parse_list_options(int argc, char **argv, int *json) {
    static const struct argp parser = {
        .options = list_keys,
        .parser = parse_list_key,
        .args_doc = "",
        .doc = "Prints the workloads, the rows of compare and the allocators.",
    };
    *json = 0;
    parse(&parser, argc, argv, json);
}
