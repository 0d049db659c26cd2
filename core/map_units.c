/* map_units: see map_units.h. The drawing goes over the units twice: once to count, so that the document's height and
 * scale are known when it begins, and once to draw. */
#include "map_units.h"

#include "lock.h"
#include "walk.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    MAP_LEFT = 116, /* of the bands; addresses stand before them */
    HEAD = 92,      /* heading and key */
    CELLS_MAX = 16384,
    HUGE_ROWS_MIN = 2,
    HUGE_ROWS_MAX = 4,
    HUGE_BANDS_MAX = 100, /* more huge blocks than these get no rows of their own */
    SHADES = 8,
    NOT_LIVE = 0, /* the shade of a line of a run without a live block */
};

typedef struct hki_map_scale {
    size_t units_max;
    unsigned columns;
    unsigned line_width; /* 0: a unit is one cell of one colour */
    unsigned unit_width, pitch_x;
    unsigned height, pitch_y;
    unsigned labelled_rows; /* every so many have their address before them */
    bool has_runs;          /* runs have borders, titles, and a hairline between their lines */
} hki_map_scale;

static const hki_map_scale scales[] = {
    {40, 1, 16, 1024, 1024, 22, 28, 1, true},
    {200, 4, 4, 256, 278, 14, 19, 1, false},
    {1792, 16, 1, 64, 68, 9, 12, 2, false},
    {SIZE_MAX, 91, 0, 10, 12, 10, 12, 2, false},
};

/* Where the next unit goes. */
typedef struct cursor {
    const hki_map_plan *plan;
    unsigned x, y, column; /* of the cell that was placed last; column 0: none in this row */
    unsigned row;
    size_t in_cell; /* units that the cell has; 0: it is full */
} cursor;

typedef struct run_view {
    uint8_t first, lines, size_class;
    uint16_t live;
} run_view;

/* What is drawn of a unit of runs. */
typedef struct unit_view {
    uint64_t free_lines, clean_lines;
    unsigned runs;
    run_view run[HKI_LINES_PER_UNIT];
    uint16_t live_bytes[HKI_LINES_PER_UNIT]; /* of each line */
    size_t live_blocks, all_live_bytes;
} unit_view;

/* What is drawn of the units that share a cell. */
typedef struct cell_view {
    uint32_t first, units;
    uint32_t lines[HKI_CLASSES + 1];
    size_t held_lines, live_bytes;
} cell_view;

typedef struct drawing {
    hki_writer *svg;
    const hki_map_plan *plan;
    const hki_map_scale *scale;
    cursor at;
    cell_view cell;
    unit_view unit;
} drawing;

/* ---- what there is ---- */

static hki_unit *unit_at(uint32_t number) {
    return &hki_registry.units[number];
}

static hki_unit_kind kind_of(uint32_t number) {
    return (hki_unit_kind)atomic_load_explicit(&unit_at(number)->kind, memory_order_relaxed);
}

static size_t lines_of(uint32_t number) {
    return atomic_load_explicit(&unit_at(number)->lines, memory_order_relaxed);
}

static uintptr_t address_of(uint32_t number) {
    return (uintptr_t)hki_granule_address(hki_unit_granule(number));
}

static void add_block(unit_view *view, size_t offset, size_t size) {
    view->live_blocks++;
    view->all_live_bytes += size;
    while (size > 0) {
        size_t part = hki_min(size, HKI_LINE_SIZE - offset % HKI_LINE_SIZE);
        uint16_t *bytes = &view->live_bytes[offset >> HKI_LINE_SHIFT];
        *bytes = (uint16_t)(*bytes + part);
        offset += part;
        size -= part;
    }
}

static void add_run(unit_view *view, uint32_t first_line) {
    const hki_run *run = hki_run_record(first_line);
    unsigned size_class = atomic_load_explicit(&run->size_class, memory_order_relaxed);
    unsigned lines = hki_run_lines(run), in_unit = first_line % HKI_LINES_PER_UNIT;
    size_t size = size_class < HKI_CLASSES ? hki_classes[size_class].size : (size_t)lines << HKI_LINE_SHIFT;
    size_t before = view->live_blocks;
    size_t unit_word = (size_t)(first_line - in_unit) * HKI_WORDS_PER_LINE;
    for (size_t word = in_unit * HKI_WORDS_PER_LINE; word < (size_t)(in_unit + lines) * HKI_WORDS_PER_LINE; word++)
        for (uint64_t live = hki_walk_live(unit_word + word); live != 0; live &= live - 1)
            add_block(view, (word * 64 + hki_lowest_bit(live)) * HKI_GRANULE_SIZE, size);
    view->run[view->runs++] =
        (run_view){(uint8_t)in_unit, (uint8_t)lines, (uint8_t)size_class, (uint16_t)(view->live_blocks - before)};
}

/* The lock keeps a thread that ends from giving its heap's lines and units back meanwhile. */
static void view_unit(unit_view *view, const hki_arena *arena, uint32_t number) {
    *view = (unit_view){.free_lines = ~UINT64_C(0)};
    hki_lock_acquire(&hki_arenas_lock);
    const hki_unit *unit = unit_at(number);
    if (hki_arena_of_owner(atomic_load_explicit(&unit->owner, memory_order_acquire)) == arena) {
        view->free_lines = atomic_load_explicit(&unit->free_lines, memory_order_relaxed);
        view->clean_lines = unit->clean_lines;
        uint64_t runs = atomic_load_explicit(&unit->run_starts, memory_order_relaxed);
        for (; runs != 0; runs &= runs - 1)
            add_run(view, number * HKI_LINES_PER_UNIT + hki_lowest_bit(runs));
    }
    hki_lock_release(&hki_arenas_lock);
}

/* From 1, a little of the line, to SHADES, all of it. What no block fits into at the end of a run is little. */
static unsigned shade_of(size_t live_bytes, size_t bytes) {
    return live_bytes == 0 ? NOT_LIVE : 1 + (unsigned)((live_bytes * (SHADES - 1) + bytes / 2) / bytes);
}

/* ---- where it goes ---- */

/* Places one unit. Returns whether it begins a cell. */
static bool place_unit(cursor *at) {
    const hki_map_scale *scale = at->plan->scale;
    if (at->in_cell != 0) {
        at->in_cell = (at->in_cell + 1) % at->plan->units_per_cell;
        return false;
    }
    if (at->column == scale->columns) {
        at->column = 0;
        at->row++;
        at->y += scale->pitch_y;
    }
    at->x = MAP_LEFT + at->column * scale->pitch_x;
    at->column++;
    at->in_cell = 1 % at->plan->units_per_cell;
    return true;
}

static void end_row(cursor *at) {
    at->in_cell = 0;
    if (at->column == 0)
        return;
    at->column = 0;
    at->row++;
    at->y += at->plan->scale->pitch_y;
}

static size_t units_per_row(const hki_map_plan *plan) {
    return plan->scale->columns * plan->units_per_cell;
}

static unsigned huge_rows(const hki_map_plan *plan, size_t units) {
    return (unsigned)hki_max(HUGE_ROWS_MIN, hki_min(hki_divide_up(units, units_per_row(plan)), HUGE_ROWS_MAX));
}

/* Places a huge block of so many units, without the rest of its segments, in rows of its own. Returns where they
 * begin. */
static unsigned place_huge(cursor *at, size_t units) {
    end_row(at);
    unsigned y = at->y;
    at->y += huge_rows(at->plan, units) * at->plan->scale->pitch_y;
    return y;
}

static void place(cursor *at, uint32_t number) {
    hki_unit_kind kind = kind_of(number);
    size_t units = kind == HKI_UNIT_RUNS ? 1 : hki_large_units(lines_of(number), false);
    if (kind == HKI_UNIT_HUGE && !at->plan->huge_in_cells)
        place_huge(at, units);
    else
        for (size_t i = 0; i < (kind == HKI_UNIT_HUGE ? 1 : units); i++)
            place_unit(at);
}

static void count_units(hki_map_plan *plan, const hki_arena *arena) {
    for (uint32_t i = 0; (i = hki_walk_next_unit(arena, i)) != 0; i++) {
        hki_unit_kind kind = kind_of(i);
        plan->huge_blocks += kind == HKI_UNIT_HUGE;
        plan->units += kind == HKI_UNIT_RUNS ? 1 : kind == HKI_UNIT_LARGE ? hki_large_units(lines_of(i), false) : 0;
    }
    plan->huge_in_cells = plan->huge_blocks > HUGE_BANDS_MAX;
    if (plan->huge_in_cells)
        plan->units += plan->huge_blocks;
}

hki_map_plan hki_map_plan_units(const hki_arena *arena) {
    hki_map_plan plan = {.scale = scales, .units_per_cell = 1};
    count_units(&plan, arena);
    while (plan.units > plan.scale->units_max || (plan.huge_in_cells && plan.scale->line_width != 0))
        plan.scale++;
    if (plan.scale->line_width == 0)
        plan.units_per_cell = hki_max(1, hki_divide_up(plan.units, CELLS_MAX));
    cursor at = {.plan = &plan};
    for (uint32_t i = 0; (i = hki_walk_next_unit(arena, i)) != 0; i++)
        place(&at, i);
    end_row(&at);
    plan.height = at.y == 0 ? 0 : HEAD + at.y;
    return plan;
}

/* ---- drawing ---- */

hki_readable hki_map_class_name(unsigned size_class) {
    hki_readable name = {"kL"};
    if (size_class < HKI_CLASSES)
        snprintf(name.text, sizeof name.text, "k%u", size_class);
    return name;
}

static void draw_address(drawing *d, uint32_t number) {
    if (d->at.column == 1 && d->at.row % d->scale->labelled_rows == 0)
        hki_write(d->svg, "<text class=\"a\" x=\"%d\" y=\"%u\">%" PRIxPTR "</text>\n", MAP_LEFT - 8,
                  d->at.y + d->scale->height / 2 + 4, address_of(number));
}

/* The lines of a mask, as parts of the `d` of a path. */
static void draw_lines(drawing *d, uint64_t lines) {
    unsigned width = d->scale->line_width;
    while (lines != 0) {
        unsigned first = hki_lowest_bit(lines);
        uint64_t rest = ~(lines >> first);
        unsigned count = rest == 0 ? HKI_LINES_PER_UNIT : hki_lowest_bit(rest);
        lines &= ~hki_bit_range(first, count);
        hki_write(d->svg, "M%u 0h%uv%uh-%uz", first * width, count * width, d->scale->height, count * width);
    }
}

static void draw_mask(drawing *d, const char *style, uint64_t lines) {
    if (lines == 0)
        return;
    hki_write(d->svg, "<path class=\"%s\" d=\"", style);
    draw_lines(d, lines);
    hki_write(d->svg, "\"/>");
}

static bool is_clean(const unit_view *view, unsigned line) {
    return (view->clean_lines >> line & 1) != 0;
}

/* Lines of one shade and class from `first` on. Runs are kept apart by a pixel where there is room for it. */
static unsigned draw_stretch(drawing *d, const run_view *run, unsigned first) {
    const unit_view *view = &d->unit;
    unsigned end = run->first + run->lines, last = first, width = d->scale->line_width;
    unsigned shade = shade_of(view->live_bytes[first], HKI_LINE_SIZE);
    while (last + 1U < end && shade_of(view->live_bytes[last + 1], HKI_LINE_SIZE) == shade &&
           is_clean(view, last + 1) == is_clean(view, first))
        last++;
    unsigned pixels = (last + 1 - first) * width - (last + 1 == end && width > 1);
    hki_write(d->svg, "<path class=\"");
    if (!d->scale->has_runs)
        hki_write(d->svg, "%s ", hki_map_class_name(run->size_class).text);
    hki_write(d->svg, shade == NOT_LIVE && is_clean(view, first) ? "c" : "f%u", shade);
    hki_write(d->svg, "\" d=\"M%u 0h%uv%uh-%uz\"/>", first * width, pixels, d->scale->height, pixels);
    return last + 1;
}

static void draw_run(drawing *d, const run_view *run) {
    const unsigned width = d->scale->line_width;
    if (d->scale->has_runs) {
        hki_write(d->svg, "<g class=\"%s\"><title>", hki_map_class_name(run->size_class).text);
        if (run->size_class < HKI_CLASSES)
            hki_write(d->svg, "%u line%s of %u B blocks: %u of %u live", run->lines, run->lines == 1 ? "" : "s",
                      hki_classes[run->size_class].size, run->live,
                      (unsigned)(run->lines * HKI_LINE_SIZE / hki_classes[run->size_class].size));
        else
            hki_write(d->svg, "a block of %u lines%s", run->lines, run->live != 0 ? "" : ", not live");
        hki_write(d->svg, "</title>");
    }
    for (unsigned line = run->first; line < (unsigned)(run->first + run->lines);)
        line = draw_stretch(d, run, line);
    if (d->scale->has_runs)
        hki_write(d->svg, "<path class=\"b\" d=\"M%u.5 .5h%uv%uh-%uz\"/></g>\n", run->first * width,
                  run->lines * width - 2, d->scale->height - 1, run->lines * width - 2);
}

static void draw_unit(drawing *d, uint32_t number) {
    const unit_view *view = &d->unit;
    place_unit(&d->at);
    draw_address(d, number);
    if (d->scale->has_runs)
        hki_write(d->svg, "<text class=\"m e\" x=\"%d\" y=\"%u\">%s</text>\n", HKI_MAP_RIGHT, d->at.y + 15,
                  hki_readable_bytes(view->all_live_bytes).text);
    hki_write(d->svg,
              "<g transform=\"translate(%u %u)\"><title>unit at 0x%" PRIxPTR
              ": %u of 64 lines in use, %zu live blocks of %s</title>",
              d->at.x, d->at.y, address_of(number), HKI_LINES_PER_UNIT - hki_count_bits(view->free_lines),
              view->live_blocks, hki_readable_bytes(view->all_live_bytes).text);
    draw_mask(d, "u", view->free_lines & ~view->clean_lines);
    draw_mask(d, "c", view->free_lines & view->clean_lines);
    for (unsigned i = 0; i < view->runs; i++)
        draw_run(d, &view->run[i]);
    hki_write(d->svg, d->scale->has_runs ? "<use href=\"#l\"/></g>\n" : "</g>\n");
}

static void draw_block_name(drawing *d, unsigned x, unsigned y, const char *kind, uint32_t number) {
    hki_write(d->svg, "<text class=\"o\" x=\"%u\" y=\"%u\">%s block of %s</text>\n", x + 12, y + 4, kind,
              hki_readable_bytes(lines_of(number) << HKI_LINE_SHIFT).text);
}

/* One bar in each row that it reaches into. */
static void draw_large(drawing *d, uint32_t number) {
    size_t lines = lines_of(number), units = hki_large_units(lines, false);
    unsigned from = 0;
    hki_write(d->svg, "<g class=\"kL\"><title>large block of %s at 0x%" PRIxPTR "</title>\n",
              hki_readable_bytes(lines << HKI_LINE_SHIFT).text, address_of(number));
    for (size_t i = 0; i < units; i++) {
        bool begins = place_unit(&d->at) && (i == 0 || d->at.column == 1);
        from = begins ? d->at.x : from;
        draw_address(d, number + (uint32_t)i);
        if (i + 1 < units && d->at.column < d->scale->columns)
            continue;
        size_t last = hki_min(lines - i * HKI_LINES_PER_UNIT, HKI_LINES_PER_UNIT);
        unsigned width = d->at.x + (unsigned)last * d->scale->line_width - from;
        hki_write(d->svg, "<path class=\"f7\" d=\"M%u %uh%uv%uh-%uz\"/>\n", from, d->at.y, width, d->scale->height,
                  width);
        if (i < d->scale->columns && width > 200 && d->scale->height > 12)
            draw_block_name(d, from, d->at.y + d->scale->height / 2, "large", number);
    }
    hki_write(d->svg, "</g>\n");
}

/* A zigzag of the background's colour. */
static void draw_break(drawing *d, unsigned x, unsigned y, unsigned height) {
    hki_write(d->svg, "<path class=\"z\" d=\"M%u %d", x, (int)y - 2);
    for (unsigned i = 0; i < 4; i++)
        hki_write(d->svg, "l%d %u.%u", i % 2 == 0 ? 10 : -10, (height + 4) / 4, (height + 4) % 4 * 25);
    hki_write(d->svg, "\"/>");
}

static void draw_huge(drawing *d, uint32_t number) {
    size_t units = hki_large_units(lines_of(number), false), rows = huge_rows(d->plan, units);
    size_t drawn = rows * units_per_row(d->plan);
    unsigned y = place_huge(&d->at, units);
    unsigned height = (unsigned)rows * d->scale->pitch_y - (d->scale->pitch_y - d->scale->height);
    unsigned full = (d->scale->columns - 1) * d->scale->pitch_x + d->scale->unit_width;
    unsigned width = units >= drawn ? full : (unsigned)hki_max(full * units / drawn, 160);
    hki_write(d->svg, "<g class=\"kL\"><title>huge block of %s at 0x%" PRIxPTR "</title>",
              hki_readable_bytes(lines_of(number) << HKI_LINE_SHIFT).text, address_of(number));
    hki_write(d->svg, "<text class=\"a\" x=\"%d\" y=\"%u\">%" PRIxPTR "</text>\n", MAP_LEFT - 8, y + height / 2 + 4,
              address_of(number));
    hki_write(d->svg, "<path class=\"f8\" d=\"M%d %uh%uv%uh-%uz\"/>", MAP_LEFT, y, width, height, width);
    if (units > drawn)
        draw_break(d, MAP_LEFT + width * 2 / 3, y, height);
    draw_block_name(d, MAP_LEFT, y + height / 2, "huge", number);
    hki_write(d->svg, "</g>\n");
}

/* ---- cells of one colour ---- */

static void end_cell(drawing *d) {
    const cell_view *cell = &d->cell;
    if (cell->units == 0)
        return;
    unsigned most = 0;
    for (unsigned i = 0; i <= HKI_CLASS_LARGE; i++)
        most = cell->lines[i] > cell->lines[most] ? i : most;
    draw_address(d, cell->first);
    hki_write(d->svg, "<path class=\"");
    if (cell->held_lines == 0)
        hki_write(d->svg, "u");
    else
        hki_write(d->svg, "%s f%u", hki_map_class_name(most).text,
                  shade_of(cell->live_bytes, cell->held_lines << HKI_LINE_SHIFT));
    hki_write(d->svg, "\" d=\"M%u %uh%uv%uh-%uz\"><title>", d->at.x, d->at.y, d->scale->unit_width, d->scale->height,
              d->scale->unit_width);
    if (cell->units > 1)
        hki_write(d->svg, "%u units from ", cell->units);
    hki_write(d->svg, "0x%" PRIxPTR ": %s held, %s live</title></path>\n", address_of(cell->first),
              hki_readable_bytes(cell->held_lines << HKI_LINE_SHIFT).text, hki_readable_bytes(cell->live_bytes).text);
    d->cell = (cell_view){0};
}

/* The cell that the next unit shares with those before it, or a new one. */
static cell_view *cell_for(drawing *d, uint32_t number) {
    if (d->at.in_cell == 0)
        end_cell(d);
    if (place_unit(&d->at))
        d->cell.first = number;
    d->cell.units++;
    return &d->cell;
}

static void add_lines(cell_view *cell, unsigned size_class, size_t lines, size_t live_bytes) {
    cell->lines[size_class] += (uint32_t)lines;
    cell->held_lines += lines;
    cell->live_bytes += live_bytes;
}

/* What is left over of a block's lines is its last unit's; a huge one that is in one cell is there as a whole. */
static void add_to_cells(drawing *d, uint32_t number) {
    hki_unit_kind kind = kind_of(number);
    if (kind == HKI_UNIT_RUNS) {
        cell_view *cell = cell_for(d, number);
        for (unsigned i = 0; i < d->unit.runs; i++)
            add_lines(cell, d->unit.run[i].size_class, d->unit.run[i].lines, 0);
        cell->live_bytes += d->unit.all_live_bytes;
        return;
    }
    size_t lines = lines_of(number), most = kind == HKI_UNIT_HUGE ? lines : HKI_LINES_PER_UNIT;
    for (uint32_t i = number; lines > 0; i++) {
        size_t part = hki_min(lines, most);
        add_lines(cell_for(d, i), HKI_CLASS_LARGE, part, part << HKI_LINE_SHIFT);
        lines -= part;
    }
}

/* ---- all of it ---- */

static void draw_key(hki_writer *svg, unsigned x, unsigned y, const char *style, const char *meaning) {
    hki_write(svg, "<g class=\"kG\"><path class=\"%s\" d=\"M%u %uh14v12h-14z\"/></g>", style, x, y - 10);
    hki_write(svg, "<text class=\"m\" x=\"%u\" y=\"%u\">%s</text>\n", x + 20, y, meaning);
}

static void draw_head(drawing *d, unsigned y) {
    static const char *const shades[] = {"f1", "f2", "f3", "f4", "f5", "f6", "f7"};
    hki_write(d->svg, "<text class=\"h\" x=\"%d\" y=\"%u\">By address</text>\n", HKI_MAP_LEFT, y);
    hki_write(d->svg, "<text class=\"m\" x=\"%d\" y=\"%u\">", HKI_MAP_LEFT + 116, y);
    if (d->scale->line_width != 0)
        hki_write(d->svg, "a band is a unit of 64 KiB, a step in it a line of 1 KiB, coloured by its block size");
    else if (d->plan->units_per_cell == 1)
        hki_write(d->svg, "a cell is a unit of 64 KiB, coloured by the block size that most of its lines have");
    else
        hki_write(d->svg, "a cell is %zu units of 64 KiB, coloured by the block size that most of its lines have",
                  d->plan->units_per_cell);
    hki_write(d->svg, "</text>\n");
    y += 26;
    for (unsigned i = 0; i < SHADES - 1; i++)
        draw_key(d->svg, MAP_LEFT + 14 * i, y, shades[i], "");
    draw_key(d->svg, MAP_LEFT + 14 * (SHADES - 1), y, "f8", "a little of it live, to all of it");
    draw_key(d->svg, MAP_LEFT + 320, y, "f0", "in use, nothing live");
    draw_key(d->svg, MAP_LEFT + 478, y, "u", "free");
    draw_key(d->svg, MAP_LEFT + 544, y, "c", "no live block, and no memory behind it");
    hki_write(d->svg, "<g class=\"kL\"><path class=\"f8\" d=\"M%u %uh14v12h-14z\"/></g>", MAP_LEFT + 818, y - 10);
    hki_write(d->svg, "<text class=\"m\" x=\"%u\" y=\"%u\">a block of whole lines or units</text>\n", MAP_LEFT + 838,
              y);
}

/* The hairlines between the lines of a unit, once. */
static void define_hairlines(const drawing *d) {
    hki_write(d->svg, "<defs><path id=\"l\" class=\"l\" d=\"M%u 0v%u", d->scale->line_width, d->scale->height);
    for (unsigned i = 2; i < HKI_LINES_PER_UNIT; i++)
        hki_write(d->svg, "m%u -%uv%u", d->scale->line_width, d->scale->height, d->scale->height);
    hki_write(d->svg, "\"/></defs>\n");
}

static void draw(drawing *d, const hki_arena *arena, uint32_t number) {
    hki_unit_kind kind = kind_of(number);
    if (kind == HKI_UNIT_RUNS)
        view_unit(&d->unit, arena, number);
    if (kind == HKI_UNIT_HUGE && !d->plan->huge_in_cells) {
        end_cell(d);
        draw_huge(d, number);
    } else if (d->scale->line_width == 0) {
        add_to_cells(d, number);
    } else if (kind == HKI_UNIT_RUNS) {
        draw_unit(d, number);
    } else {
        draw_large(d, number);
    }
}

void hki_map_draw_units(hki_writer *svg, const hki_arena *arena, const hki_map_plan *plan, unsigned top) {
    drawing d = {.svg = svg, .plan = plan, .scale = plan->scale, .at = {.plan = plan, .y = top + HEAD}};
    if (plan->height == 0)
        return;
    draw_head(&d, top + 30);
    if (d.scale->has_runs)
        define_hairlines(&d);
    for (uint32_t i = 0; (i = hki_walk_next_unit(arena, i)) != 0; i++)
        draw(&d, arena, i);
    end_cell(&d);
}
