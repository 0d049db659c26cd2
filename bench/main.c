/* main: hkbench, the benchmark of hakmem and its rivals. Finds the command and hands the rest over. */
#include "compare.h"
#include "options.h"
#include "rows.h"
#include "support.h"
#include "workloads.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "Usage: hkbench COMMAND [OPTION...]\n"
                           "Measures hakmem beside other allocators.\n"
                           "\n"
                           "  run        one workload with one allocator, in this process\n"
                           "  compare    all rows with all allocators that are here, and the targets\n"
                           "  arenas     the same for what arenas promise, with real Lua states\n"
                           "  lua        Lua programs, in hklua and with each allocator preloaded\n"
                           "  preload    allocators as the malloc of whole processes, with real programs\n"
                           "  list       the workloads, rows and allocators there are\n"
                           "\n"
                           "  -?, --help     this text; `hkbench COMMAND --help` tells a command's options\n"
                           "  -V, --version  the version\n"
                           "\n"
                           "  hkbench compare --quick\n"
                           "  hkbench run --workload mixed --allocator hakmem --blocks 8192\n";

static void list_rows(const row_table *table) {
    for (size_t i = 0; i < table->count; i++)
        printf("  %s\n", table->rows[i].name);
}

static void add_rows(cJSON *json, const char *key, const row_table *table) {
    cJSON *names = cJSON_AddArrayToObject(json, key);
    for (size_t i = 0; i < table->count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(table->rows[i].name));
}

static void list_as_text(void) {
    puts("Workloads:");
    for (size_t i = 0; i < workload_count(); i++)
        printf("  %-18s%s\n", workload_at(i)->name, workload_at(i)->description);
    puts("Rows of compare:");
    list_rows(&compare_rows);
    puts("Rows of arenas:");
    list_rows(&arena_rows);
    puts("Rows of lua:");
    list_rows(&lua_rows);
    puts("Rows of preload:");
    list_rows(&preload_rows);
    puts("Allocators:");
    for (size_t i = 0; i < ALLOCATORS; i++)
        printf("  %-18s%s\n", allocator_name(i), allocator_description(i));
}

static void list_as_json(void) {
    cJSON *json = cJSON_CreateObject();
    cJSON *names = cJSON_AddArrayToObject(json, "workloads");
    for (size_t i = 0; i < workload_count(); i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(workload_at(i)->name));
    add_rows(json, "rows", &compare_rows);
    add_rows(json, "arena_rows", &arena_rows);
    add_rows(json, "lua_rows", &lua_rows);
    add_rows(json, "preload_rows", &preload_rows);
    names = cJSON_AddArrayToObject(json, "allocators");
    for (size_t i = 0; i < ALLOCATORS; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(allocator_name(i)));
    char *text = cJSON_PrintUnformatted(json);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
}

static int list_command(int argc, char **argv) {
    int json = 0;
    parse_list_options(argc, argv, &json);
    if (json)
        list_as_json();
    else
        list_as_text();
    return EXIT_SUCCESS;
}

/* argp parses from argv[1] on; argv[0] is what its messages call the command. `argv` itself stays whole for a
 * restart. */
static int run_named(const char *command, int argc, char **argv) {
    static char full_name[32];
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    if (rest == NULL)
        die(EXIT_FAILED, "no memory for the command line");
    snprintf(full_name, sizeof full_name, "hkbench %s", command);
    rest[0] = full_name;
    for (int i = 2; i < argc; i++)
        rest[i - 1] = argv[i];
    int status = EXIT_SUCCESS;
    if (strcmp(command, "run") == 0) {
        run_options options;
        parse_run_options(argc - 1, rest, &options);
        status = run_command(&options, argv);
    } else if (strcmp(command, "compare") == 0) {
        compare_options options;
        parse_compare_options(argc - 1, rest, &options);
        status = compare_command(&options);
    } else if (strcmp(command, "arenas") == 0) {
        compare_options options;
        parse_arenas_options(argc - 1, rest, &options);
        status = arenas_command(&options);
    } else if (strcmp(command, "lua") == 0) {
        compare_options options;
        parse_lua_options(argc - 1, rest, &options);
        status = lua_command(&options);
    } else if (strcmp(command, "preload") == 0) {
        compare_options options;
        parse_preload_options(argc - 1, rest, &options);
        status = preload_command(&options);
    } else if (strcmp(command, "list") == 0) {
        status = list_command(argc - 1, rest);
    } else {
        die(EXIT_USAGE, "there is no command '%s'; there are run, compare, arenas, lua, preload and list", command);
    }
    free(rest);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 2)
        die(EXIT_USAGE, "a command is missing: run, compare, arenas, lua, preload or list; --help tells more");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("hkbench " HKBENCH_VERSION);
        return EXIT_SUCCESS;
    }
    return run_named(argv[1], argc, argv);
}
