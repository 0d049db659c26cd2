/* map_reader: what hk_arena_dump_map wrote, read by expat. Needs no test framework; no state. */
#ifndef HAKMEM_MAP_READER_H
#define HAKMEM_MAP_READER_H

#include <expat.h>
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct map_document {
    bool is_valid;
    char complaint[128];
    char name[128];
    char title[160];       /* of the document */
    hk_statistics figures; /* from the metadata; the classes that are there, in a row */
    size_t unit_titles, large_titles, huge_titles, cell_titles; /* what is drawn of each kind */
    size_t blocks_in_units;                                     /* the sum over the unit titles */
    size_t width, height;
    /* while reading: */
    size_t depth;
    bool in_title;
    char text[256];
    size_t text_length;
} map_document;

static inline void map_complain(map_document *map, const char *what) {
    if (map->is_valid)
        snprintf(map->complaint, sizeof map->complaint, "%s", what);
    map->is_valid = false;
}

static inline const char *map_attribute(map_document *map, const char **attributes, const char *name) {
    for (; *attributes != NULL; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    map_complain(map, name);
    return "0";
}

static inline size_t map_number(map_document *map, const char **attributes, const char *name) {
    char *end;
    const char *text = map_attribute(map, attributes, name);
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text || *end != '\0')
        map_complain(map, name);
    return (size_t)number;
}

static inline void map_read_figures(map_document *map, const char **attributes) {
    hk_statistics *figures = &map->figures;
    snprintf(map->name, sizeof map->name, "%s", map_attribute(map, attributes, "name"));
    if (strcmp(map_attribute(map, attributes, "version"), hk_version()) != 0)
        map_complain(map, "version");
    figures->held_bytes = map_number(map, attributes, "held_bytes");
    figures->peak_held_bytes = map_number(map, attributes, "peak_held_bytes");
    figures->children_bytes = map_number(map, attributes, "children_bytes");
    figures->limit_bytes = map_number(map, attributes, "limit_bytes");
    figures->live_blocks = map_number(map, attributes, "live_blocks");
    figures->live_bytes = map_number(map, attributes, "live_bytes");
    figures->large_blocks = map_number(map, attributes, "large_blocks");
    figures->large_bytes = map_number(map, attributes, "large_bytes");
    figures->units = map_number(map, attributes, "units");
    figures->heaps = map_number(map, attributes, "heaps");
    figures->limit_failures = map_number(map, attributes, "limit_failures");
    figures->system_failures = map_number(map, attributes, "system_failures");
}

static inline void map_read_class(map_document *map, const char **attributes) {
    if (map->figures.size_classes == HK_SIZE_CLASSES_MAX) {
        map_complain(map, "too many classes");
        return;
    }
    map->figures.classes[map->figures.size_classes++] = (hk_class_statistics){
        .block_size = map_number(map, attributes, "block_size"),
        .live_blocks = map_number(map, attributes, "live_blocks"),
        .held_bytes = map_number(map, attributes, "held_bytes"),
    };
}

static inline void map_on_start(void *user_data, const char *element, const char **attributes) {
    map_document *map = user_data;
    if (map->depth++ == 0) {
        if (strcmp(element, "svg") != 0)
            map_complain(map, "the root is no svg");
        map->width = map_number(map, attributes, "width");
        map->height = map_number(map, attributes, "height");
    }
    if (strcmp(element, "arena") == 0)
        map_read_figures(map, attributes);
    else if (strcmp(element, "class") == 0)
        map_read_class(map, attributes);
    map->in_title = strcmp(element, "title") == 0;
    map->text_length = 0;
}

static inline void map_on_text(void *user_data, const char *text, int length) {
    map_document *map = user_data;
    size_t room = sizeof map->text - 1 - map->text_length;
    size_t taken = (size_t)length < room ? (size_t)length : room;
    if (!map->in_title)
        return;
    memcpy(map->text + map->text_length, text, taken);
    map->text_length += taken;
}

static inline void map_on_end(void *user_data, const char *element) {
    map_document *map = user_data;
    (void)element;
    map->depth--;
    if (!map->in_title)
        return;
    map->in_title = false;
    map->text[map->text_length] = '\0';
    const char *blocks = strstr(map->text, "in use, ");
    if (map->depth == 1)
        snprintf(map->title, sizeof map->title, "%.150s", map->text);
    map->unit_titles += strncmp(map->text, "unit at 0x", 10) == 0;
    map->large_titles += strncmp(map->text, "large block of", 14) == 0;
    map->huge_titles += strncmp(map->text, "huge block of", 13) == 0;
    map->cell_titles += strncmp(map->text, "0x", 2) == 0 || strstr(map->text, " units from 0x") != NULL;
    if (blocks != NULL)
        map->blocks_in_units += strtoull(blocks + 8, NULL, 10);
}

static inline map_document map_read(const char *text, size_t length) {
    map_document map = {.is_valid = true};
    XML_Parser parser = XML_ParserCreate(NULL);
    XML_SetUserData(parser, &map);
    XML_SetElementHandler(parser, map_on_start, map_on_end);
    XML_SetCharacterDataHandler(parser, map_on_text);
    if (XML_Parse(parser, text, (int)length, 1) != XML_STATUS_OK) {
        char place[100];
        snprintf(place, sizeof place, "line %lu: %s", XML_GetCurrentLineNumber(parser),
                 XML_ErrorString(XML_GetErrorCode(parser)));
        map_complain(&map, place);
    }
    XML_ParserFree(parser);
    return map;
}

/* The first figure in which the document differs from `wanted`; NULL if none does. */
static inline const char *map_difference(const map_document *map, const hk_statistics *wanted) {
    const hk_statistics *got = &map->figures;
#define COMPARE(name)                                                                                                  \
    if (got->name != wanted->name)                                                                                     \
        return #name;
    COMPARE(held_bytes)
    COMPARE(peak_held_bytes)
    COMPARE(children_bytes)
    COMPARE(limit_bytes)
    COMPARE(live_blocks)
    COMPARE(live_bytes)
    COMPARE(large_blocks)
    COMPARE(large_bytes)
    COMPARE(units)
    COMPARE(heaps)
    COMPARE(limit_failures)
    COMPARE(system_failures)
#undef COMPARE
    size_t at = 0;
    for (size_t i = 0; i < wanted->size_classes; i++) {
        const hk_class_statistics *row = &wanted->classes[i];
        if (row->live_blocks == 0 && row->held_bytes == 0)
            continue;
        if (at == got->size_classes || memcmp(row, &got->classes[at++], sizeof *row) != 0)
            return "classes";
    }
    return at == got->size_classes ? NULL : "size_classes";
}

#endif
