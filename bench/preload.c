/* preload: see preload.h. The only state is LD_PRELOAD itself: once it names the library, this is the second start. The
 * dynamic linker passes over a library that it cannot load, so that is looked for afterwards. */
#include "preload.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

/* A name without a slash is left for the dynamic linker to find, and comes last. */
static const char *first_place(size_t index) {
    const char *const *places = allocator_preload_libraries(index);
    if (places == NULL)
        die(EXIT_USAGE, "%s has no library that could be preloaded", allocator_name(index));
    for (; places[0] != NULL && places[1] != NULL; places++) {
        char path[PATH_BYTES];
        expand_path(places[0], path, sizeof path);
        if (strchr(path, '/') == NULL || access(path, R_OK) == 0)
            break;
    }
    return places[0] == NULL ? "" : places[0];
}

static void choose_library(size_t index, const char *library, char path[PATH_BYTES]) {
    char given[PATH_BYTES];
    expand_path(library != NULL ? library : first_place(index), given, sizeof given);
    snprintf(path, PATH_BYTES, "%s", given);
    if (library != NULL || strchr(given, '/') != NULL) {
        char *whole = realpath(given, NULL);
        if (whole == NULL || strlen(whole) >= PATH_BYTES)
            die(EXIT_USAGE, "%s is not here: cannot read %s: %s", allocator_name(index), given,
                allocator_package(index));
        snprintf(path, PATH_BYTES, "%s", whole);
        free(whole);
    }
    if (strpbrk(path, " :") != NULL)
        die(EXIT_USAGE, "LD_PRELOAD cannot hold the path '%s': it has a blank or a colon in it", path);
}

const char *preloaded_library(void) {
    const char *library = getenv("LD_PRELOAD");
    return library == NULL ? "" : library;
}

static void set_library(const char *library) {
    if ((library[0] == '\0' ? unsetenv("LD_PRELOAD") : setenv("LD_PRELOAD", library, 1)) != 0)
        die(EXIT_FAILED, "cannot set LD_PRELOAD");
}

static int ends_with(const char *text, const char *end) {
    const size_t length = strlen(text);
    const size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

void preload_open(size_t index, const char *library, char **argv, allocator *opened) {
    char path[PATH_BYTES];
    choose_library(index, library, path);
    if (strcmp(preloaded_library(), path) != 0) {
        set_library(path);
        restart_program(argv);
        die(EXIT_FAILED, "cannot start again with LD_PRELOAD=%s", path);
    }
    allocator_open_preloaded(index, opened);
    if (!ends_with(opened->path, path))
        die(EXIT_USAGE, "%s is not here: %s cannot be preloaded: %s", allocator_name(index), path,
            allocator_package(index));
}
