/* map_units: the part of an arena's picture that shows its units by address.
 *
 * A unit is a band of 64 lines. The more units there are, the smaller the bands; beyond some 1800 a unit is one cell of
 * a grid, and of still more a few units share a cell, so that neither the picture nor the document grows without bound.
 * Large blocks take the place of as many units. A huge block has a few rows for itself, with a break in it. */
#ifndef HKI_MAP_UNITS_H
#define HKI_MAP_UNITS_H

#include "arena.h"
#include "writer.h"

/* The document's coordinates; the left and right edges of all that is drawn. */
enum { HKI_MAP_WIDTH = 1240, HKI_MAP_LEFT = 32, HKI_MAP_RIGHT = HKI_MAP_WIDTH - HKI_MAP_LEFT };

struct hki_map_scale;

typedef struct hki_map_plan {
    const struct hki_map_scale *scale;
    size_t units;          /* heaps' units, and those of large blocks */
    size_t units_per_cell; /* 1 unless there are very many */
    size_t huge_blocks;
    bool huge_in_cells; /* there are too many huge blocks for rows of their own: each is one unit */
    unsigned height;    /* of all of it */
} hki_map_plan;

hki_map_plan hki_map_plan_units(const hki_arena *arena);
void hki_map_draw_units(hki_writer *svg, const hki_arena *arena, const hki_map_plan *plan, unsigned top);

/* The name of a class in the document's style: "k5", and "kL" for what is in no class. */
hki_readable hki_map_class_name(unsigned size_class);

#endif
