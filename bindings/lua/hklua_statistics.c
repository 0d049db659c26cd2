/* hklua_statistics: see hklua_statistics.h. Owns the one snapshot of the process: written once, by the finalizer or by
 * the exit handler, whichever runs first, and read by the exit handler. One thread. */
#include "hklua_statistics.h"

#include "hakmem_lua.h"
#include "hklua_options.h"

#include <cjson/cJSON.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    hk_arena *arena;
    hklua_statistics_format format;
    bool is_taken;
    hk_statistics figures;
} snapshot;

/* Every total: its name, which is the key in JSON as well, what it is for people, and its place. */
#define TOTALS(X)                                                                                                      \
    X(held_bytes, "bytes held, which is what a limit bounds")                                                          \
    X(peak_held_bytes, "bytes held at most")                                                                           \
    X(limit_bytes, "bytes of the limit; 0: none")                                                                      \
    X(live_blocks, "blocks in use")                                                                                    \
    X(live_bytes, "bytes of these blocks")                                                                             \
    X(large_blocks, "of these, blocks above the size classes")                                                         \
    X(large_bytes, "bytes of these")                                                                                   \
    X(units, "units of 64 KiB of address space")                                                                       \
    X(limit_failures, "requests that the limit refused")                                                               \
    X(system_failures, "requests that the system refused")

static bool is_empty(const hk_class_statistics *row) {
    return row->block_size == 0 || (row->live_blocks == 0 && row->held_bytes == 0);
}

static void print_table(const hk_statistics *figures, const char *arena_name) {
    fprintf(stderr, "memory of the arena \"%s\" (hakmem %s)\n", arena_name, hk_version());
#define LINE(name, meaning) fprintf(stderr, "%18s %15zu  %s\n", #name, figures->name, meaning);
    TOTALS(LINE)
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
    TOTALS(MEMBER)
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

static void take(void) {
    snapshot.is_taken = true;
    snapshot.figures.struct_size = sizeof snapshot.figures;
    hk_status status = hk_arena_statistics(snapshot.arena, &snapshot.figures);
    if (status != HK_OK)
        fprintf(stderr, "hklua: --stats: %s\n", hk_status_message(status));
}

static int take_at_close(lua_State *L) {
    (void)L;
    if (!snapshot.is_taken)
        take();
    return 0;
}

static void print_at_exit(void) {
    if (!snapshot.is_taken)
        take();
    fflush(stdout);
    const char *arena_name = "hklua"; /* the arena itself may be gone */
    if (snapshot.format == HKLUA_STATISTICS_JSON)
        print_json(&snapshot.figures, arena_name);
    else
        print_table(&snapshot.figures, arena_name);
}

/* Lua runs finalizers in the reverse order of their making, and frees nothing before the last of them: this userdata is
 * made first. It stays on the stack and not in the registry, where scripts could reach it. */
int hklua_statistics_arrange(lua_State *L) {
    const hklua_options *options = lua_touserdata(L, 1);
    (void)lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, take_at_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    snapshot.arena = hk_lua_arena(L);
    snapshot.format = options->statistics;
    if (atexit(print_at_exit) != 0)
        return luaL_error(L, "--stats: too many exit handlers");
    return 1;
}
