/* hklua_heap_map: see hklua_heap_map.h. Owns the file from before the script runs until the picture is in it. */
#include "hklua_heap_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int file = -1;
static bool has_failed;

bool hklua_heap_map_open(const hklua_options *options) {
    file = open(options->heap_map, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        fprintf(stderr, "%s: --heap-map: cannot write '%s': %s\n", options->program, options->heap_map,
                strerror(errno));
    return file >= 0;
}

void hklua_heap_map_write(hk_arena *arena, const hklua_options *options) {
    if (file < 0)
        return;
    hk_status status = hk_arena_dump_map(arena, file);
    has_failed = (close(file) != 0) | (status != HK_OK);
    file = -1;
    if (has_failed)
        fprintf(stderr, "%s: --heap-map: cannot write all of '%s'\n", options->program, options->heap_map);
}

bool hklua_heap_map_has_failed(void) {
    return has_failed;
}
