/* compare: see compare.h. Owns the order of the runs: in each round each row runs with all allocators one after the
 * other, and who comes first moves on by one from round to round, so that no allocator always has the quiet moment. */
#include "compare.h"

#include "child.h"
#include "measurement.h"
#include "report.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 20 };

static comparison all;

static size_t add_argument(const char **arguments, size_t count, const char *option, const char *value) {
    arguments[count] = option;
    arguments[count + 1] = value;
    arguments[count + 2] = NULL;
    return count + 2;
}

static void run_row(const comparison *c, const row *which, size_t allocator, child_result *result) {
    const char *arguments[ARGUMENTS_MAX];
    size_t count = add_argument(arguments, 0, "--workload", which->workload);
    count = add_argument(arguments, count, "--allocator", allocator_name(allocator));
    for (size_t i = 0; which->options[i] != NULL; i += 2)
        count = add_argument(arguments, count, which->options[i], which->options[i + 1]);
    if (c->options->quick && which->quick_option != NULL)
        count = add_argument(arguments, count, which->quick_option, which->quick_value);
    else if (which->operations != NULL)
        count = add_argument(arguments, count, "--operations", which->operations);
    if ((allocator == ALLOCATOR_HAKMEM || allocator == ALLOCATOR_HARDENED) && c->options->library != NULL)
        count = add_argument(arguments, count, "--library", c->options->library);
    if (c->table->is_preloaded)
        add_argument(arguments, count, "--preload", NULL);
    run_child(arguments, result);
}

static int is_wanted(size_t allocator, const char *names) {
    return names == NULL ? allocator_is_default(allocator) : matches_list(allocator_name(allocator), names);
}

/* Finds out by a first run which allocators are here. One that is not is skipped with a word. */
static void probe(comparison *c) {
    unsigned found = 0;
    for (size_t a = 0; a < ALLOCATORS; a++) {
        child_result result;
        if (!is_wanted(a, c->options->allocators))
            continue;
        run_row(c, row_named(&compare_rows, "start"), a, &result);
        c->present[a] = result.exit_status == 0;
        found += result.exit_status == 0;
        memcpy(c->version[a], result.version, sizeof c->version[a]);
        if (result.exit_status == 0)
            fprintf(stderr, "%s: %s\n", allocator_name(a), result.version);
        else if (result.exit_status > 0)
            fprintf(stderr, "%s: skipped: %s\n", allocator_name(a), result.message);
        else
            fprintf(stderr, "%s: skipped: it died of signal %d at its first allocation. %s\n", allocator_name(a),
                    -result.exit_status, result.message);
    }
    if (found == 0)
        die(EXIT_USAGE, "none of the allocators is here");
}

static void check_allocators(const char *names) {
    for (const char *at = names; at != NULL && *at != '\0';) {
        char name[64];
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        allocator_index(name);
        at += length + (at[length] == ',');
    }
}

static void choose_rows(comparison *c) {
    for (size_t i = 0; i < c->table->count && c->rows < ROWS_MAX; i++)
        if (matches_list(c->table->rows[i].name, c->options->rows))
            c->row[c->rows++] = &c->table->rows[i];
    if (c->rows == 0)
        die(EXIT_USAGE, "--rows '%s' matches no row; `hkbench list` names them", c->options->rows);
}

/* A run has the same figures in each round. */
static void record_figures(measurement *m, const child_result *result) {
    m->figures = result->figures;
    for (size_t i = 0; i < result->figures; i++) {
        memcpy(m->figure_name[i], result->figure[i].name, sizeof m->figure_name[i]);
        m->figure[i][m->count] = result->figure[i].value;
    }
}

static void record(measurement *m, const row *which, size_t allocator, const child_result *result) {
    if (result->exit_status == EXIT_UNABLE) {
        const char prefix[] = "hkbench: ";
        size_t skip = strncmp(result->message, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        snprintf(m->skipped, sizeof m->skipped, "%s", result->message + skip);
        return;
    }
    if (result->exit_status != 0) {
        m->failures++;
        fprintf(stderr, "\r%s with %s failed (%s %d): %s\n", which->name, allocator_name(allocator),
                result->exit_status < 0 ? "signal" : "exit status", abs(result->exit_status), result->message);
        return;
    }
    m->operations_per_second[m->count] = result->operations_per_second;
    m->peak_resident_bytes[m->count] = result->peak_resident_bytes;
    memcpy(m->output, result->output, sizeof m->output);
    record_figures(m, result);
    m->count++;
}

static void run_round(comparison *c, unsigned round) {
    for (size_t r = 0; r < c->rows; r++) {
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rround %u of %u: %-20s", round + 1, c->options->rounds, c->row[r]->name);
        for (size_t i = 0; i < ALLOCATORS; i++) {
            size_t a = (i + round + r) % ALLOCATORS;
            child_result result;
            if (!c->present[a] || c->cell[r][a].skipped[0] != '\0')
                continue;
            run_row(c, c->row[r], a, &result);
            record(&c->cell[r][a], c->row[r], a, &result);
        }
    }
}

/* A program must print the same with every allocator. Returns how many rows or runs went wrong. */
static unsigned count_failures(const comparison *c) {
    unsigned failures = 0;
    for (size_t r = 0; r < c->rows; r++) {
        const char *expected = NULL;
        for (size_t a = 0; a < ALLOCATORS; a++) {
            const measurement *m = &c->cell[r][a];
            failures += m->failures;
            if (m->count == 0)
                continue;
            if (expected == NULL)
                expected = m->output;
            if (strcmp(expected, m->output) != 0) {
                fprintf(stderr, "%s printed something else with %s\n", c->row[r]->name, allocator_name(a));
                failures++;
            }
        }
    }
    return failures;
}

static void measure(comparison *c, const row_table *table, const compare_options *options) {
    c->options = options;
    c->table = table;
    check_allocators(options->allocators);
    choose_rows(c);
    probe(c);
    for (unsigned round = 0; round < options->rounds; round++)
        run_round(c, round);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%40s\r", "");
}

int compare_command(const compare_options *options) {
    measure(&all, &compare_rows, options);
    if (options->json)
        print_report_json(&all);
    else
        print_report_text(&all);
    return count_failures(&all) > 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

int arenas_command(const compare_options *options) {
    measure(&all, &arena_rows, options);
    if (options->json)
        print_arenas_json(&all);
    else
        print_arenas_text(&all);
    return count_failures(&all) > 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

int lua_command(const compare_options *options) {
    measure(&all, &lua_rows, options);
    if (options->json)
        print_lua_json(&all);
    else
        print_lua_text(&all);
    return count_failures(&all) > 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

int preload_command(const compare_options *options) {
    measure(&all, &preload_rows, options);
    if (options->json)
        print_preload_json(&all);
    else
        print_preload_text(&all);
    return count_failures(&all) > 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
