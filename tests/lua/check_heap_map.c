/* Reads a picture that `hklua --heap-map` wrote from the file that is its first argument. If there is a second one, it
 * is a file with what `hklua --stats=json` of the same run printed last, and the picture must have the same figures. */
#include "map_reader.h"

#include <cjson/cJSON.h>

static bool is_valid = true;

static void require(bool holds, const char *what) {
    if (!holds)
        fprintf(stderr, "not so: %s\n", what);
    is_valid = is_valid && holds;
}

static size_t read_file(const char *name, char *text, size_t max) {
    FILE *file = fopen(name, "rb");
    require(file != NULL, "the file can be read");
    if (file == NULL)
        return 0;
    size_t length = fread(text, 1, max - 1, file);
    text[length] = '\0';
    fclose(file);
    return length;
}

static size_t count(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    require(cJSON_IsNumber(item), name);
    return cJSON_IsNumber(item) ? (size_t)item->valuedouble : 0;
}

static hk_statistics figures_of(const cJSON *object, const map_document *map) {
    hk_statistics figures = {
        .held_bytes = count(object, "held_bytes"),
        .peak_held_bytes = count(object, "peak_held_bytes"),
        .limit_bytes = count(object, "limit_bytes"),
        .live_blocks = count(object, "live_blocks"),
        .live_bytes = count(object, "live_bytes"),
        .large_blocks = count(object, "large_blocks"),
        .large_bytes = count(object, "large_bytes"),
        .units = count(object, "units"),
        .heaps = map->figures.heaps, /* not printed */
        .limit_failures = count(object, "limit_failures"),
        .system_failures = count(object, "system_failures"),
    };
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(object, "classes")) {
        if (figures.size_classes < HK_SIZE_CLASSES_MAX)
            figures.classes[figures.size_classes++] =
                (hk_class_statistics){count(row, "block_size"), count(row, "live_blocks"), count(row, "held_bytes")};
    }
    return figures;
}

/* The object is the last line; what the script wrote stands before it. */
static void compare_with(const map_document *map, const char *name) {
    static char text[1 << 20];
    read_file(name, text, sizeof text);
    const char *start = strstr(text, "{\"arena\"");
    cJSON *object = start == NULL ? NULL : cJSON_Parse(start);
    require(cJSON_IsObject(object), "there are statistics");
    if (is_valid) {
        hk_statistics figures = figures_of(object, map);
        const char *difference = map_difference(map, &figures);
        require(difference == NULL, difference == NULL ? "" : difference);
    }
    cJSON_Delete(object);
}

int main(int argc, char **argv) {
    static char text[8 << 20];
    if (argc < 2)
        return 2;
    size_t length = read_file(argv[1], text, sizeof text);
    map_document map = map_read(text, length);
    require(map.is_valid, map.complaint);
    require(strcmp(map.name, "hklua") == 0, "it is the arena of hklua");
    require(map.figures.live_blocks > 200, "the blocks of the state are in use");
    require(map.unit_titles + map.cell_titles > 0, "its units are drawn");
    if (argc > 2)
        compare_with(&map, argv[2]);
    return is_valid ? 0 : 1;
}
