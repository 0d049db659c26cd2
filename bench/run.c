/* run: the table of workloads, and `hkbench run`: one workload with one allocator in this process. */
#include "preload.h"
#include "support.h"
#include "workloads.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256, MEBIBYTE = 1 << 20 };

static const workload workloads[] = {
    {"fixed",
     "N slots, a random one is freed or filled with a block of one size",
     {.blocks = 128, .operations = 40000000, .size_min_bytes = 128, .size_max_bytes = 128, .threads = 1},
     THREADS_MAX,
     run_slots},
    {"mixed",
     "the same with sizes 16 + (r & 1023)",
     {.blocks = 512, .operations = 40000000, .size_min_bytes = 16, .size_max_bytes = 1039, .threads = 1},
     THREADS_MAX,
     run_slots},
    {"larson",
     "threads replace random blocks and hand them on to new threads",
     {.blocks = 1000, .operations = 100000000, .size_min_bytes = 16, .size_max_bytes = 1039, .threads = 2},
     THREADS_MAX,
     run_larson},
    {"remote",
     "one thread allocates, another frees, in batches",
     {.blocks = 4096, .operations = 5000000, .size_min_bytes = 16, .size_max_bytes = 1039, .threads = 2},
     THREADS_MAX,
     run_remote},
    {"realloc",
     "N vectors that grow by pushes, to between 64 B and 4 MiB",
     {.blocks = 32,
      .operations = 20000000,
      .size_min_bytes = 64,
      .size_max_bytes = UINT64_C(4) * MEBIBYTE,
      .threads = 1},
     1,
     run_realloc},
    {"calloc",
     "N slots, a random one is freed or filled with zeroed memory, of which a part is used",
     {.blocks = 2000, .operations = 4000000, .size_min_bytes = 16, .size_max_bytes = MEBIBYTE, .threads = 1},
     1,
     run_calloc},
    {"realloc-large",
     "N buffers of 64 KiB to 64 MiB that grow, shrink and are written",
     {.blocks = 4,
      .operations = 600,
      .size_min_bytes = UINT64_C(64) << 10,
      .size_max_bytes = UINT64_C(64) * MEBIBYTE,
      .threads = 1},
     1,
     run_realloc_large},
    {"churn",
     "threads come and go, replace blocks of 8 B to 4 MiB and hand them on; look at the memory",
     {.blocks = 20000,
      .operations = 1500000,
      .size_min_bytes = 8,
      .size_max_bytes = UINT64_C(4) * MEBIBYTE,
      .threads = 4},
     THREADS_MAX,
     run_churn},
    {"lua",
     "runs a Lua program (lua:NAME, or --script); --blocks is its size argument",
     {.script = "binary_trees", .operations = 1, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_lua},
    {"lua-program",
     "the same in an interpreter of its own: hklua, or one with the allocator preloaded",
     {.script = "binary_trees", .operations = 1, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_lua_program},
    {"program",
     "runs a real program on the preloaded allocator (program:NAME, or --script); --blocks is its size",
     {.script = "python3", .operations = 1, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_program},
    {"start",
     "starts and allocates once: look at the memory",
     {.blocks = 1, .operations = 1, .size_min_bytes = 64, .size_max_bytes = 64, .threads = 1},
     1,
     run_start},
    {"create",
     "creates a private heap, allocates once, destroys it",
     {.blocks = 1, .operations = 500000, .size_min_bytes = 64, .size_max_bytes = 64, .threads = 1},
     1,
     run_create},
    {"arenas-alive",
     "N private heaps alive at once, a block in each",
     {.blocks = 10000, .operations = 1, .size_min_bytes = 64, .size_max_bytes = 64, .threads = 1},
     1,
     run_arenas_alive},
    {"states",
     "N bare Lua states alive at once: look at the memory",
     {.blocks = 5000, .operations = 1, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_states},
    {"states-closed",
     "N Lua states that run a script and are closed: look at the memory",
     {.blocks = 5000, .operations = 1, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_states_closed},
    {"end-of-state",
     "ends a Lua state with N MB of tables",
     {.blocks = 20, .operations = 3, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_end_of_state},
    {"burst",
     "N blocks, of which one in 500 survives, and N again",
     {.blocks = 1000000, .operations = 1, .size_min_bytes = 1024, .size_max_bytes = 1024, .threads = 1},
     1,
     run_burst},
    {"rollback",
     "a small request to a warm Lua state, which is then put back or reloaded",
     {.blocks = 5, .operations = 20, .size_min_bytes = 1, .size_max_bytes = 1, .threads = 1},
     1,
     run_rollback},
};

size_t workload_count(void) {
    return sizeof workloads / sizeof workloads[0];
}

const workload *workload_at(size_t index) {
    return &workloads[index];
}

static const workload *find_workload(const char *name) {
    char names[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < workload_count(); i++) {
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
        length +=
            (size_t)snprintf(names + length, sizeof names - length, "%s%s", i == 0 ? "" : ", ", workloads[i].name);
    }
    die(EXIT_USAGE, "there is no workload '%s'; there are %s", name, names);
}

static void fill_in(uint64_t *value, uint64_t otherwise) {
    if (*value == 0)
        *value = otherwise;
}

/* Puts the workload's defaults where nothing was asked for, and refuses what does not fit it. */
static void complete(run_options *o, const workload *w) {
    int is_fixed = strcmp(w->name, "fixed") == 0;
    if (is_fixed && o->size_max_bytes != 0 && o->size_max_bytes != o->size_min_bytes)
        die(EXIT_USAGE, "--size-max does not go with fixed: its one size is --size-min");
    fill_in(&o->blocks, w->defaults.blocks);
    fill_in(&o->operations, w->defaults.operations);
    fill_in(&o->size_min_bytes, w->defaults.size_min_bytes);
    fill_in(&o->size_max_bytes, is_fixed ? o->size_min_bytes : w->defaults.size_max_bytes);
    fill_in(&o->threads, w->defaults.threads);
    fill_in(&o->seed, UINT32_C(2463534242));
    if (o->script == NULL)
        o->script = w->defaults.script;
    if (w->defaults.script == NULL && o->script != NULL)
        die(EXIT_USAGE, "--script goes with the workloads lua, lua-program and program, not with %s", w->name);
    if (o->size_min_bytes > o->size_max_bytes)
        die(EXIT_USAGE, "--size-min is %u and --size-max is %u; the first must not be larger",
            (unsigned)o->size_min_bytes, (unsigned)o->size_max_bytes);
    if (o->threads > w->threads_max)
        die(EXIT_USAGE, "--threads is %u; %s runs with at most %u", (unsigned)o->threads, w->name,
            (unsigned)w->threads_max);
    if (o->operations < o->threads)
        die(EXIT_USAGE, "--operations is %u; it must be at least the number of threads, %u", (unsigned)o->operations,
            (unsigned)o->threads);
}

void add_figure(run_result *result, const char *name, double value) {
    if (result->figures == FIGURES_MAX)
        die(EXIT_FAILED, "a workload has more than %d figures", FIGURES_MAX);
    figure *added = &result->figure[result->figures++];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->value = value;
}

static double rate(const run_result *result) {
    return result->seconds > 0 ? result->operations / result->seconds : 0;
}

static void print_json(const allocator *a, const run_options *o, const run_result *result, double peak) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "workload", o->workload);
    cJSON_AddStringToObject(json, "allocator", a->name);
    cJSON_AddStringToObject(json, "version", a->version);
    cJSON_AddStringToObject(json, "library", a->path);
    cJSON_AddNumberToObject(json, "operations_per_second", rate(result));
    cJSON_AddNumberToObject(json, "peak_resident_bytes", peak);
    cJSON_AddNumberToObject(json, "seconds", result->seconds);
    cJSON_AddNumberToObject(json, "operations", result->operations);
    cJSON_AddNumberToObject(json, "blocks", (double)o->blocks);
    cJSON_AddNumberToObject(json, "size_min", (double)o->size_min_bytes);
    cJSON_AddNumberToObject(json, "size_max", (double)o->size_max_bytes);
    cJSON_AddNumberToObject(json, "threads", (double)o->threads);
    cJSON_AddNumberToObject(json, "seed", (double)o->seed);
    cJSON_AddBoolToObject(json, "preloaded", a->is_preloaded);
    if (o->script != NULL) {
        cJSON_AddStringToObject(json, "script", o->script);
        cJSON_AddStringToObject(json, "output", result->output);
    }
    if (result->note[0] != '\0')
        cJSON_AddStringToObject(json, "note", result->note);
    cJSON *figures = result->figures > 0 ? cJSON_AddObjectToObject(json, "figures") : NULL;
    for (size_t i = 0; i < result->figures; i++)
        cJSON_AddNumberToObject(figures, result->figure[i].name, result->figure[i].value);
    char *text = cJSON_PrintUnformatted(json);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
}

static void print_text(const allocator *a, const run_options *o, const run_result *result, double peak) {
    printf("%s%s%s with %s %s (%s)\n", o->workload, o->script == NULL ? "" : ":", o->script == NULL ? "" : o->script,
           a->name, a->version, a->path);
    if (result->note[0] != '\0')
        printf("  through           %s\n", result->note);
    if (result->output[0] != '\0')
        printf("  it printed        %s\n", result->output);
    printf("  operations        %.0f in %.3f s, %.*f per second\n", result->operations, result->seconds,
           rate(result) < 1000 ? 3 : 0, rate(result));
    printf("  peak resident     %.2f MiB\n", peak / MEBIBYTE);
    for (size_t i = 0; i < result->figures; i++)
        printf("  %-32s %.9g\n", result->figure[i].name, result->figure[i].value);
}

/* "lua:NAME" stands for lua with --script NAME; so does "program:NAME". */
static void split_name(run_options *options, char name[32]) {
    const char *colon = strchr(options->workload, ':');
    const size_t length = colon == NULL ? 0 : (size_t)(colon - options->workload);
    snprintf(name, 32, "%.*s", (int)length, options->workload);
    if (strcmp(name, "lua") != 0 && strcmp(name, "program") != 0)
        return;
    options->workload = name;
    options->script = colon + 1;
}

int run_command(const run_options *asked, char **argv) {
    run_options options = *asked;
    char name[32];
    split_name(&options, name);
    const workload *w = find_workload(options.workload);
    size_t index = allocator_index(options.allocator);
    complete(&options, w);
    allocator a;
    if (options.preload || w->run == run_program)
        preload_open(index, options.library, argv, &a);
    else
        allocator_open(index, options.library, argv, &a);
    run_result result = {0};
    w->run(&a, &options, &result);
    const double peak = result.peak_resident_bytes > 0 ? result.peak_resident_bytes : (double)peak_resident_bytes();
    if (options.json)
        print_json(&a, &options, &result, peak);
    else
        print_text(&a, &options, &result, peak);
    return EXIT_SUCCESS;
}
