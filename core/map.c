/* map: see map.h. From top to bottom: title, figures, the size classes as a chart and as a table, the units. */
#include "map.h"

#include "map_units.h"
#include "report.h"
#include "statistics.h"

#include <string.h>

enum {
    WIDTH = HKI_MAP_WIDTH,
    LEFT = HKI_MAP_LEFT,
    RIGHT = HKI_MAP_RIGHT,
    CARDS = 6,
    CARD_WIDTH = (RIGHT - LEFT) / CARDS,
    CARDS_TOP = 92,
    CHART_TOP = 236, /* of the chart itself; its heading stands before it */
    CHART_HEIGHT = 56,
    TABLE_TOP = CHART_TOP + CHART_HEIGHT + 40,
    TABLE_COLUMNS = 4,
    TABLE_PITCH = (RIGHT - LEFT) / TABLE_COLUMNS,
    ROW = 19,
};

/* The colours of the classes of 8, 16, 32, ... 16384 bytes; others lie between their neighbours, by the logarithm of
 * the size. Hue and lightness go one way, so that the order of colours is that of sizes; the small sizes, of which
 * programs have the most, lie further apart. OKLCH, at positions p = 0, .1, .22, .36, .5, .62, .72, .8, .86, .91, .96,
 * 1: lightness .5 + .3 p, hue 305 - 280 p, chroma .21 or as much as sRGB has. */
static const uint32_t octave_colours[] = {0x8031c0, 0x5453e1, 0x0b7dbf, 0x15949e, 0x0aa87a, 0x6eb00f,
                                          0xb4a605, 0xdb9f10, 0xf99507, 0xfe975a, 0xff9c81, 0xfda19a};
enum { FIRST_OCTAVE = 3, LAST_OCTAVE = FIRST_OCTAVE + sizeof octave_colours / sizeof *octave_colours - 1 };
_Static_assert(HKI_SMALL_MAX == 1 << LAST_OCTAVE, "each power of two among the classes has a colour");

typedef struct drawing {
    hki_writer svg;
    const hki_arena *arena;
    hk_statistics figures;
    hki_map_plan plan;
    size_t rows; /* of the table, in all its columns */
} drawing;

static unsigned mix(uint32_t from, uint32_t to, unsigned shift, unsigned part) {
    unsigned a = from >> shift & 255, b = to >> shift & 255;
    return (a * (256 - part) + b * part) / 256;
}

static uint32_t colour_of(size_t block_size) {
    unsigned octave = hki_highest_bit(block_size);
    if (octave >= LAST_OCTAVE)
        return octave_colours[LAST_OCTAVE - FIRST_OCTAVE];
    unsigned part = (unsigned)((block_size << 8 >> octave) - 256);
    uint32_t from = octave_colours[octave - FIRST_OCTAVE], to = octave_colours[octave - FIRST_OCTAVE + 1];
    return mix(from, to, 16, part) << 16 | mix(from, to, 8, part) << 8 | mix(from, to, 0, part);
}

/* ---- style, and the figures for programs ---- */

static void write_style(drawing *d) {
    hki_write(
        &d->svg,
        "<style>\n"
        "text{font:12px system-ui,-apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif;"
        "font-variant-numeric:tabular-nums}\n"
        ".n{font-size:24px;font-weight:650}.h{font-size:14px;font-weight:600}.v{font-size:22px;font-weight:600}"
        ".a{font:10.5px ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace}"
        ".a,.e{text-anchor:end}.o{font-weight:600;fill:#0d1117}\n"
        ".p{fill:#fff}.t,.n,.h,.v{fill:#1f2328}.m,.a{fill:#59636e}.u{fill:#e3e7eb}"
        ".c{fill:#fff;fill-opacity:.01;stroke:#c5ccd3;stroke-dasharray:2 2}\n"
        ".l,.z{fill:none;stroke:#fff}.l{stroke-opacity:.45}.z{stroke-width:7}.b{fill:none;stroke:currentColor}\n");
    hki_write(&d->svg, ".f0{fill-opacity:.1}.f1{fill-opacity:.26}.f2{fill-opacity:.36}.f3{fill-opacity:.46}"
                       ".f4{fill-opacity:.56}.f5{fill-opacity:.67}.f6{fill-opacity:.78}.f7{fill-opacity:.89}"
                       ".f0,.f1,.f2,.f3,.f4,.f5,.f6,.f7,.f8{fill:currentColor}\n"
                       ".kL{color:#9aa4af}.kG{color:#4f7cac}\n");
    hki_write(&d->svg, "@media(prefers-color-scheme:dark){.f0{fill-opacity:.17}.p{fill:#0d1117}.t,.n,.h,.v{fill:#"
                       "e6edf3}.m,.a{fill:#9198a1}"
                       ".u{fill:#262c36}.c{stroke:#3d444d}.l,.z{stroke:#0d1117}}\n");
    for (unsigned i = 0; i < HKI_CLASSES; i++)
        if (hki_statistics_has(&d->figures.classes[i]))
            hki_write(&d->svg, ".%s{color:#%06x}", hki_map_class_name(i).text,
                      (unsigned)colour_of(d->figures.classes[i].block_size));
    hki_write(&d->svg, "\n</style>\n");
}

static void write_metadata(drawing *d) {
    const hk_statistics *figures = &d->figures;
    hki_write(&d->svg, "<metadata><arena xmlns=\"urn:hakmem:map\" name=\"");
    hki_write_escaped(&d->svg, d->arena->name);
    hki_write(&d->svg, "\" version=\"%s\"", HK_VERSION_STRING);
#define FIGURE(name, meaning) hki_write(&d->svg, " " #name "=\"%zu\"", figures->name);
    HKI_STATISTICS(FIGURE)
#undef FIGURE
    hki_write(&d->svg, ">\n");
    for (size_t i = 0; i < figures->size_classes; i++)
        if (hki_statistics_has(&figures->classes[i]))
            hki_write(&d->svg, "<class block_size=\"%zu\" live_blocks=\"%zu\" held_bytes=\"%zu\"/>\n",
                      figures->classes[i].block_size, figures->classes[i].live_blocks, figures->classes[i].held_bytes);
    hki_write(&d->svg, "</arena></metadata>\n");
}

/* ---- title and figures ---- */

static void write_title(drawing *d) {
    hki_write(&d->svg,
              "<rect class=\"p\" width=\"100%%\" height=\"100%%\" rx=\"8\"/>\n<text class=\"n\" x=\"%d\" y=\"50\">",
              LEFT);
    hki_write_escaped(&d->svg, d->arena->name);
    hki_write(&d->svg, "</text>\n<text class=\"m\" x=\"%d\" y=\"70\">memory of an arena</text>\n", LEFT);
    hki_write(&d->svg, "<text class=\"m e\" x=\"%d\" y=\"50\">hakmem %s</text>\n", RIGHT, HK_VERSION_STRING);
}

/* A figure, its name above it; below, what else there is to say. */
static void write_card(drawing *d, unsigned index, const char *name, const char *value) {
    unsigned x = LEFT + index * CARD_WIDTH;
    hki_write(&d->svg, "<text class=\"m\" x=\"%u\" y=\"%d\">%s</text><text class=\"v\" x=\"%u\" y=\"%d\">%s</text>\n",
              x, CARDS_TOP + 14, name, x, CARDS_TOP + 41, value);
}

static void begin_note(drawing *d, unsigned index) {
    hki_write(&d->svg, "<text class=\"m\" x=\"%u\" y=\"%d\">", LEFT + index * CARD_WIDTH, CARDS_TOP + 62);
}

/* A bar below a figure: how much of `whole` is `part`. */
static void write_bar(drawing *d, unsigned index, size_t part, size_t whole) {
    enum { BAR = CARD_WIDTH - 28 };
    unsigned x = LEFT + index * CARD_WIDTH, filled = whole == 0 ? 0 : (unsigned)(BAR * hki_min(part, whole) / whole);
    hki_write(&d->svg, "<rect class=\"u\" x=\"%u\" y=\"%d\" width=\"%d\" height=\"5\" rx=\"2.5\"/>", x, CARDS_TOP + 74,
              BAR);
    if (filled > 0)
        hki_write(&d->svg,
                  "<g class=\"kG\"><rect class=\"f8\" x=\"%u\" y=\"%d\" width=\"%u\" height=\"5\" rx=\"2.5\"/></g>\n",
                  x, CARDS_TOP + 74, filled);
}

static const char *plural(size_t count) {
    return count == 1 ? "" : "s";
}

static void write_cards(drawing *d) {
    const hk_statistics *now = &d->figures;
    size_t own = hki_statistics_own_held(now), not_live = own - hki_min(now->live_bytes, own);
    write_card(d, 0, "Held", hki_readable_bytes(now->held_bytes).text);
    begin_note(d, 0);
    if (now->children_bytes != 0)
        hki_write(&d->svg, "%s of it by arenas below</text>\n", hki_readable_bytes(now->children_bytes).text);
    else
        hki_write(&d->svg, "%s unit%s, %zu heap%s</text>\n", hki_readable_count(now->units).text, plural(now->units),
                  now->heaps, plural(now->heaps));
    write_card(d, 1, "Live", hki_readable_bytes(now->live_bytes).text);
    begin_note(d, 1);
    hki_write(&d->svg, "in %s block%s</text>\n", hki_readable_count(now->live_blocks).text, plural(now->live_blocks));
    write_card(d, 2, "Fragmentation", hki_readable_percent(not_live, own).text);
    begin_note(d, 2);
    hki_write(&d->svg, "held, but not live</text>\n");
    write_card(d, 3, "Peak", hki_readable_bytes(now->peak_held_bytes).text);
    begin_note(d, 3);
    hki_write(&d->svg, "held at most</text>\n");
    write_card(d, 4, "Limit", now->limit_bytes == 0 ? "none" : hki_readable_bytes(now->limit_bytes).text);
    begin_note(d, 4);
    hki_write(&d->svg, now->limit_bytes == 0 ? "</text>\n" : "%s of it held</text>\n",
              hki_readable_percent(now->held_bytes, now->limit_bytes).text);
    write_card(d, 5, "Failures", hki_readable_count(now->limit_failures + now->system_failures).text);
    begin_note(d, 5);
    hki_write(&d->svg, "%s by the limit, ", hki_readable_count(now->limit_failures).text);
    hki_write(&d->svg, "%s by the system</text>\n", hki_readable_count(now->system_failures).text);
    write_bar(d, 1, now->live_bytes, own);
    write_bar(d, 2, not_live, own);
    write_bar(d, 3, now->held_bytes, now->peak_held_bytes);
    if (now->limit_bytes != 0)
        write_bar(d, 4, now->held_bytes, now->limit_bytes);
}

/* ---- size classes ---- */

/* A row of the table, and a column of the chart. */
typedef struct class_row {
    size_t block_size; /* 0: what is in no class */
    size_t live_blocks, live_bytes, held_bytes;
    hki_readable name;
} class_row;

/* The index-th row, the last of which is for large blocks; false if there is nothing in it. */
static bool get_row(const hk_statistics *figures, unsigned index, class_row *row) {
    row->name = hki_map_class_name(index);
    if (index == HKI_CLASSES) {
        row->block_size = 0;
        row->live_blocks = figures->large_blocks;
        row->live_bytes = row->held_bytes = figures->large_bytes;
        return row->live_blocks != 0;
    }
    const hk_class_statistics *from = &figures->classes[index];
    row->block_size = from->block_size;
    row->live_blocks = from->live_blocks;
    row->live_bytes = from->live_blocks * from->block_size;
    row->held_bytes = from->held_bytes;
    return hki_statistics_has(from);
}

/* Each class is as wide as its share of what is held, and filled as far as that is live. */
static void write_chart(drawing *d) {
    size_t held = 0;
    class_row row;
    hki_write(&d->svg, "<text class=\"h\" x=\"%d\" y=\"%d\">By block size</text>\n", LEFT, CHART_TOP - 16);
    hki_write(&d->svg,
              "<text class=\"m\" x=\"%d\" y=\"%d\">wide as what the size holds, filled as far as that is live</text>\n",
              LEFT + 116, CHART_TOP - 16);
    for (unsigned i = 0; i <= HKI_CLASSES; i++) {
        if (!get_row(&d->figures, i, &row))
            continue;
        size_t all = hki_max(hki_statistics_own_held(&d->figures), 1);
        size_t from = (RIGHT - LEFT) * 10 * held / all;
        held += row.held_bytes;
        size_t width = (RIGHT - LEFT) * 10 * held / all - from;
        size_t gap = width > 20 ? 10 : 0;
        size_t filled = row.held_bytes == 0 ? 0 : CHART_HEIGHT * row.live_bytes / row.held_bytes;
        hki_write(&d->svg, "<g class=\"%s\"><title>%s: %zu live blocks, ", row.name.text,
                  row.block_size == 0 ? "large blocks" : hki_readable_bytes(row.block_size).text, row.live_blocks);
        hki_write(&d->svg, "%s held, %s of it live</title>", hki_readable_bytes(row.held_bytes).text,
                  hki_readable_percent(row.live_bytes, row.held_bytes).text);
        hki_write(&d->svg, "<path class=\"f1\" d=\"M%zu.%zu %dh%zu.%zuv%dh-%zu.%zuz\"/>", LEFT + from / 10, from % 10,
                  CHART_TOP, (width - gap) / 10, (width - gap) % 10, CHART_HEIGHT, (width - gap) / 10,
                  (width - gap) % 10);
        hki_write(&d->svg, "<path class=\"f8\" d=\"M%zu.%zu %dh%zu.%zuv-%zuh-%zu.%zuz\"/></g>\n", LEFT + from / 10,
                  from % 10, CHART_TOP + CHART_HEIGHT, (width - gap) / 10, (width - gap) % 10, filled,
                  (width - gap) / 10, (width - gap) % 10);
    }
}

static size_t count_rows(const hk_statistics *figures) {
    class_row row;
    size_t rows = 0;
    for (unsigned i = 0; i <= HKI_CLASSES; i++)
        rows += get_row(figures, i, &row);
    return rows;
}

static size_t rows_per_column(const drawing *d) {
    return hki_divide_up(d->rows, TABLE_COLUMNS);
}

/* Right edges of the columns of figures. */
enum { AT_SIZE = 70, AT_BLOCKS = 142, AT_HELD = 212, AT_LIVE = 268 };

static void write_table_head(drawing *d) {
    for (size_t i = 0; i < hki_min(d->rows, TABLE_COLUMNS); i++) {
        size_t x = LEFT + i * TABLE_PITCH;
        hki_write(&d->svg,
                  "<g class=\"m\"><text class=\"e\" x=\"%zu\" y=\"%d\">block</text><text class=\"e\" x=\"%zu\" "
                  "y=\"%d\">live blocks</text>",
                  x + AT_SIZE, TABLE_TOP, x + AT_BLOCKS, TABLE_TOP);
        hki_write(&d->svg,
                  "<text class=\"e\" x=\"%zu\" y=\"%d\">held</text><text class=\"e\" x=\"%zu\" y=\"%d\">of it "
                  "live</text></g>\n",
                  x + AT_HELD, TABLE_TOP, x + AT_LIVE, TABLE_TOP);
    }
}

static void write_table_row(drawing *d, size_t index, const class_row *row) {
    size_t x = LEFT + index / rows_per_column(d) * TABLE_PITCH;
    size_t y = TABLE_TOP + (index % rows_per_column(d) + 1) * ROW;
    hki_write(&d->svg,
              "<g class=\"%s\"><rect class=\"f8\" x=\"%zu\" y=\"%zu\" width=\"12\" height=\"12\" rx=\"2\"/></g>",
              row->name.text, x, y - 10);
    hki_write(&d->svg, "<g class=\"t e\"><text x=\"%zu\" y=\"%zu\">%s</text>", x + AT_SIZE, y,
              row->block_size == 0 ? "large" : hki_readable_bytes(row->block_size).text);
    hki_write(&d->svg, "<text x=\"%zu\" y=\"%zu\">%s</text>", x + AT_BLOCKS, y,
              hki_readable_count(row->live_blocks).text);
    hki_write(&d->svg, "<text x=\"%zu\" y=\"%zu\">%s</text>", x + AT_HELD, y, hki_readable_bytes(row->held_bytes).text);
    hki_write(&d->svg, "<text x=\"%zu\" y=\"%zu\">%s</text></g>\n", x + AT_LIVE, y,
              hki_readable_percent(row->live_bytes, row->held_bytes).text);
}

static void write_table(drawing *d) {
    class_row row;
    size_t index = 0;
    write_table_head(d);
    for (unsigned i = 0; i <= HKI_CLASSES; i++)
        if (get_row(&d->figures, i, &row))
            write_table_row(d, index++, &row);
}

/* ---- all of it ---- */

bool hki_map_write(hki_arena *arena, hki_heap *own, int descriptor) {
    drawing d = {.arena = arena};
    d.svg.descriptor = descriptor;
    hki_statistics_get(arena, own, &d.figures);
    d.plan = hki_map_plan_units(arena);
    d.rows = count_rows(&d.figures);
    unsigned units_top = (unsigned)(d.rows == 0 ? CHART_TOP - 40 : TABLE_TOP + rows_per_column(&d) * ROW + 24);
    hki_write(&d.svg,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
              "viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\" role=\"img\">\n<title>",
              WIDTH, units_top + d.plan.height + LEFT, WIDTH, units_top + d.plan.height + LEFT);
    hki_write_escaped(&d.svg, arena->name);
    hki_write(&d.svg, ": memory of a hakmem arena</title>\n");
    write_metadata(&d);
    write_style(&d);
    write_title(&d);
    write_cards(&d);
    if (d.rows > 0) {
        write_chart(&d);
        write_table(&d);
    }
    hki_map_draw_units(&d.svg, arena, &d.plan, units_top);
    hki_write(&d.svg, "</svg>\n");
    return hki_writer_finish(&d.svg);
}
