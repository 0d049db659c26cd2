/* report_figures: see report_figures.h. */
#include "report_figures.h"

#include "report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_WIDTH = 28, CELL_WIDTH = 21 };

typedef struct unit {
    const char *suffix; /* of the figures' names */
    double from;        /* the lowest value that is told in this unit */
    double size;
    const char *name;
} unit;

/* Of one suffix the largest unit first. */
static const unit units[] = {
    {"_bytes", 1e6, 1e6, " MB"},     {"_bytes", 1e3, 1e3, " kB"},
    {"_bytes", 0, 1, " B"},          {"_seconds", 1, 1, " s"},
    {"_seconds", 1e-3, 1e-3, " ms"}, {"_seconds", 1e-6, 1e-6, " us"},
    {"_seconds", 0, 1e-9, " ns"},    {"", 0, 1, ""},
};

static int ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text);
    size_t end = strlen(suffix);
    return length >= end && strcmp(text + length - end, suffix) == 0;
}

static const unit *unit_of(const char *figure, double value) {
    const unit *u = units;
    while (!ends_with(figure, u->suffix) || fabs(value) < u->from)
        u++;
    return u;
}

/* Three digits that count, as far as they are behind the point. */
static int decimals(double value) {
    if (value == floor(value) && fabs(value) < 1e9)
        return 0;
    return fabs(value) >= 100 ? 0 : (fabs(value) >= 10 ? 1 : (fabs(value) >= 1 ? 2 : 4));
}

static void print_label(const char *figure) {
    char label[FIGURE_NAME_BYTES];
    snprintf(label, sizeof label, "%s", figure);
    for (size_t i = 0; i + 1 < sizeof units / sizeof units[0]; i++)
        if (ends_with(label, units[i].suffix))
            label[strlen(label) - strlen(units[i].suffix)] = '\0';
    for (char *at = label; *at != '\0'; at++)
        *at = *at == '_' ? ' ' : *at;
    printf("  %-*s", LABEL_WIDTH - 2, label);
}

static void print_cell(const char *figure, double best, double middle) {
    char text[64] = "-";
    if (!isnan(best)) {
        const unit *u = unit_of(figure, best);
        best /= u->size;
        middle /= u->size;
        snprintf(text, sizeof text, "%.*f%s (%.*f)", decimals(best), best, u->name, decimals(middle), middle);
    }
    printf(" %*s", CELL_WIDTH - 1, text);
}

void print_columns(const comparison *c) {
    printf("%-*s", LABEL_WIDTH, "lowest (median)");
    for (size_t a = 0; a < ALLOCATORS; a++)
        if (c->present[a])
            printf(" %*s", CELL_WIDTH - 1, allocator_name(a));
    putchar('\n');
}

void print_figure_line(const comparison *c, const char *name, const double best[ALLOCATORS],
                       const double middle[ALLOCATORS]) {
    print_label(name);
    for (size_t a = 0; a < ALLOCATORS; a++)
        if (c->present[a])
            print_cell(name, best[a], middle[a]);
    putchar('\n');
}

static void print_figure(const comparison *c, size_t r, const char *figure) {
    double best[ALLOCATORS];
    double middle[ALLOCATORS];
    for (size_t a = 0; a < ALLOCATORS; a++) {
        best[a] = figure_of(c, r, a, figure, BEST);
        middle[a] = figure_of(c, r, a, figure, MEDIAN);
    }
    print_figure_line(c, figure, best, middle);
}

/* Whether an allocator before `a` has this figure, so that its line is there already. */
static int is_printed(const comparison *c, size_t r, size_t a, const char *figure) {
    for (size_t i = 0; i < a; i++)
        if (!isnan(figure_of(c, r, i, figure, BEST)))
            return 1;
    return 0;
}

void print_figures(const comparison *c, size_t r) {
    for (size_t a = 0; a < ALLOCATORS; a++) {
        const measurement *m = &c->cell[r][a];
        for (size_t i = 0; i < m->figures; i++)
            if (!is_printed(c, r, a, m->figure_name[i]))
                print_figure(c, r, m->figure_name[i]);
        if (m->skipped[0] != '\0')
            printf("  %s: skipped: %s\n", allocator_name(a), m->skipped);
        if (m->failures > 0)
            printf("  %s: %u of %u runs failed\n", allocator_name(a), m->failures, m->failures + m->count);
    }
}

cJSON *figures_json(const comparison *c, size_t r, size_t a) {
    const measurement *m = &c->cell[r][a];
    cJSON *cell = cJSON_CreateObject();
    cJSON_AddStringToObject(cell, "allocator", allocator_name(a));
    cJSON_AddNumberToObject(cell, "runs", m->count);
    cJSON_AddNumberToObject(cell, "failures", m->failures);
    if (m->skipped[0] != '\0')
        cJSON_AddStringToObject(cell, "skipped", m->skipped);
    cJSON *figures = cJSON_AddObjectToObject(cell, "figures");
    for (size_t i = 0; i < m->figures; i++) {
        cJSON *figure = cJSON_AddObjectToObject(figures, m->figure_name[i]);
        add_number(figure, "best", figure_of(c, r, a, m->figure_name[i], BEST));
        add_number(figure, "median", figure_of(c, r, a, m->figure_name[i], MEDIAN));
    }
    return cell;
}
