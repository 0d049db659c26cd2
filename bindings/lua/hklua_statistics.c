/* hklua_statistics: see hklua_statistics.h. Owns the one snapshot of the process. One thread. */
#include "hklua_statistics.h"

#include "totals.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

static hk_statistics snapshot;

static bool is_empty(const hk_class_statistics *row) {
    return row->block_size == 0 || (row->live_blocks == 0 && row->held_bytes == 0);
}

static void print_table(const hk_statistics *figures, const char *arena_name) {
    fprintf(stderr, "memory of the arena \"%s\" (hakmem %s)\n", arena_name, hk_version());
#define LINE(name, meaning) fprintf(stderr, "%18s %15zu  %s\n", #name, figures->name, meaning);
    HAKMEM_TOTALS(LINE)
#undef LINE
    fprintf(stderr, "%18s %15s  %15s\n", "block size", "live blocks", "held bytes");
    for (size_t i = 0; i < figures->size_classes; i++) {
        const hk_class_statistics *row = &figures->classes[i];
        if (!is_empty(row))
            fprintf(stderr, "%18zu %15zu  %15zu\n", row->block_size, row->live_blocks, row->held_bytes);
    }
}

static bool add_number(cJSON *object, const char *name, size_t value) {
    return cJSON_AddNumberToObject(object, name, (double)value) != NULL;
}

static bool add_classes(cJSON *object, const hk_statistics *figures) {
    cJSON *classes = cJSON_AddArrayToObject(object, "classes");
    bool is_whole = classes != NULL;
    for (size_t i = 0; is_whole && i < figures->size_classes; i++) {
        const hk_class_statistics *row = &figures->classes[i];
        if (is_empty(row))
            continue;
        cJSON *item = cJSON_CreateObject();
        is_whole = cJSON_AddItemToArray(classes, item) && add_number(item, "block_size", row->block_size) &&
                   add_number(item, "live_blocks", row->live_blocks) && add_number(item, "held_bytes", row->held_bytes);
    }
    return is_whole;
}

static void print_json(const hk_statistics *figures, const char *arena_name) {
    cJSON *object = cJSON_CreateObject();
    bool is_whole = cJSON_AddStringToObject(object, "arena", arena_name) != NULL &&
                    cJSON_AddStringToObject(object, "version", hk_version()) != NULL;
#define MEMBER(name, meaning) is_whole = is_whole && add_number(object, #name, figures->name);
    HAKMEM_TOTALS(MEMBER)
#undef MEMBER
    is_whole = is_whole && add_classes(object, figures);
    char *text = is_whole ? cJSON_PrintUnformatted(object) : NULL;
    if (text != NULL)
        fprintf(stderr, "%s\n", text);
    else
        fputs("hklua: --stats=json: not enough memory\n", stderr);
    cJSON_free(text);
    cJSON_Delete(object);
}

void hklua_statistics_take(hk_arena *arena) {
    snapshot.struct_size = sizeof snapshot;
    hk_status status = hk_arena_statistics(arena, &snapshot);
    if (status != HK_OK)
        fprintf(stderr, "hklua: --stats: %s\n", hk_status_message(status));
}

void hklua_statistics_print(hklua_statistics_format format) {
    static const char arena_name[] = "hklua";
    fflush(stdout);
    if (format == HKLUA_STATISTICS_JSON)
        print_json(&snapshot, arena_name);
    else
        print_table(&snapshot, arena_name);
}
