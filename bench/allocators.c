/* allocators: see allocators.h. */
#include "allocators.h"

#include "hakmem.h"
#include "support.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*any_function)(void);
typedef int (*control_function)(const char *, void *, size_t *, void *, size_t);

typedef struct source {
    const char *name;
    const char *description;
    const char *libraries[4]; /* tried in this order; '@' stands for the program's folder; NULL: the program itself */
    const char *package;      /* what would bring it */
    const char *functions[4]; /* malloc, calloc, realloc, free */
    void (*version)(void *handle, char *text, size_t size);
    const char *give_back_name;
    void (*give_back)(void);
    void (*start)(void *handle, allocator *opened); /* makes ready what has no malloc of its own; NULL: nothing to do */
    int is_not_default;
} source;

/* The function of that name in the allocator that is open. */
static any_function give_back_function;

/* ISO C has no cast from dlsym's object pointer to a function pointer. */
int find_function(void *handle, const char *name, void *function) {
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

int allocator_find(const allocator *opened, const char *name, void *function) {
    return find_function(opened->handle, name, function);
}

static any_function find(void *handle, const char *name) {
    any_function function = NULL;
    find_function(handle, name, &function);
    return function;
}

static void system_version(void *handle, char *text, size_t size) {
    (void)handle;
    snprintf(text, size, "glibc %s", gnu_get_libc_version());
}

static void hakmem_version(void *handle, char *text, size_t size) {
    const char *(*version)(void) = (const char *(*)(void))find(handle, "hk_version");
    if (version != NULL)
        snprintf(text, size, "%s", version());
}

static void mimalloc_version(void *handle, char *text, size_t size) {
    int (*version)(void) = (int (*)(void))find(handle, "mi_version");
    int number = version == NULL ? 0 : version();
    snprintf(text, size, "%d.%d.%d", number / 100, number / 10 % 10, number % 10);
}

static void jemalloc_version(void *handle, char *text, size_t size) {
    control_function control = (control_function)find(handle, "mallctl");
    const char *version = NULL;
    size_t length = sizeof version;
    if (control != NULL && control("version", &version, &length, NULL, 0) == 0)
        snprintf(text, size, "%s", version);
}

static void tcmalloc_version(void *handle, char *text, size_t size) {
    const char *(*version)(int *, int *, const char **) =
        (const char *(*)(int *, int *, const char **))find(handle, "tc_version");
    int major = 0;
    int minor = 0;
    const char *patch = "";
    if (version != NULL)
        snprintf(text, size, "%s", version(&major, &minor, &patch));
}

static void give_nothing_back(void) {
}

static void hakmem_give_back(void) {
    give_back_function();
}

static void system_give_back(void) {
    ((int (*)(size_t))give_back_function)(0);
}

static void mimalloc_give_back(void) {
    ((void (*)(bool))give_back_function)(true);
}

static void jemalloc_give_back(void) {
    control_function control = (control_function)give_back_function;
    control("thread.tcache.flush", NULL, NULL, NULL, 0);
    control("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096 stands for all arenas */
}

static void tcmalloc_give_back(void) {
    give_back_function();
}

static void scudo_give_back(void) {
    enum { M_PURGE_OF_SCUDO = -101 };
    ((int (*)(int, int))give_back_function)(M_PURGE_OF_SCUDO, 0);
}

static void unknown_version(void *handle, char *text, size_t size) {
    (void)handle;
    snprintf(text, size, "14 (no function tells it)");
}

/* ---- a hardened arena, for any thread, in the place of malloc ---- */

static struct {
    hk_arena *arena;
    void *(*allocate)(hk_arena *arena, size_t size);
    void *(*allocate_zeroed)(hk_arena *arena, size_t count, size_t size);
    void *(*reallocate)(hk_arena *arena, void *block, size_t size);
    hk_status (*release)(hk_arena *arena, void *block);
} hardened;

static void *hardened_allocate(size_t size) {
    return hardened.allocate(hardened.arena, size);
}

static void *hardened_allocate_zeroed(size_t count, size_t size) {
    return hardened.allocate_zeroed(hardened.arena, count, size);
}

static void *hardened_reallocate(void *block, size_t size) {
    return hardened.reallocate(hardened.arena, block, size);
}

static void hardened_release(void *block) {
    hardened.release(hardened.arena, block);
}

static void start_hardened(void *handle, allocator *opened) {
    hk_status (*create)(const hk_arena_config *, hk_arena **) =
        (hk_status(*)(const hk_arena_config *, hk_arena **))find(handle, "hk_arena_create");
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    config.flags = HK_ARENA_HARDENED;
    config.name = "hardened";
    if (create == NULL || create(&config, &hardened.arena) != HK_OK)
        die(EXIT_USAGE, "this hakmem has no hardened arenas");
    hardened.allocate = (void *(*)(hk_arena *, size_t))(any_function)opened->allocate;
    hardened.allocate_zeroed = (void *(*)(hk_arena *, size_t, size_t))(any_function)opened->allocate_zeroed;
    hardened.reallocate = (void *(*)(hk_arena *, void *, size_t))(any_function)opened->reallocate;
    hardened.release = (hk_status(*)(hk_arena *, void *))(any_function)opened->release;
    opened->allocate = hardened_allocate;
    opened->allocate_zeroed = hardened_allocate_zeroed;
    opened->reallocate = hardened_reallocate;
    opened->release = hardened_release;
}

#define HAKMEM_LIBRARIES                                                                                               \
    { "@/../lib/libhakmem.so", "@/../lib/libhakmem.so.0", "libhakmem.so.0", NULL }

static const source sources[ALLOCATORS] = {
    [ALLOCATOR_HAKMEM] = {"hakmem",
                          "this project, every free checked",
                          HAKMEM_LIBRARIES,
                          "build it first, or name the file with --library",
                          {"hk_malloc", "hk_calloc", "hk_realloc", "hk_free"},
                          hakmem_version,
                          "hk_purge",
                          hakmem_give_back,
                          NULL,
                          0},
    [ALLOCATOR_SYSTEM] = {"system",
                          "malloc of the C library",
                          {NULL, NULL, NULL, NULL},
                          "",
                          {"malloc", "calloc", "realloc", "free"},
                          system_version,
                          "malloc_trim",
                          system_give_back,
                          NULL,
                          0},
    [ALLOCATOR_MIMALLOC] = {"mimalloc",
                            "Microsoft's mimalloc",
                            {"libmimalloc.so.2", NULL, NULL, NULL},
                            "apt install libmimalloc2.0",
                            {"mi_malloc", "mi_calloc", "mi_realloc", "mi_free"},
                            mimalloc_version,
                            "mi_collect",
                            mimalloc_give_back,
                            NULL,
                            0},
    [ALLOCATOR_JEMALLOC] = {"jemalloc",
                            "jemalloc",
                            {"libjemalloc.so.2", NULL, NULL, NULL},
                            "apt install libjemalloc2",
                            {"malloc", "calloc", "realloc", "free"},
                            jemalloc_version,
                            "mallctl",
                            jemalloc_give_back,
                            NULL,
                            0},
    [ALLOCATOR_TCMALLOC] = {"tcmalloc",
                            "tcmalloc of gperftools",
                            {"libtcmalloc_minimal.so.4", NULL, NULL, NULL},
                            "apt install libtcmalloc-minimal4",
                            {"tc_malloc", "tc_calloc", "tc_realloc", "tc_free"},
                            tcmalloc_version,
                            "MallocExtension_ReleaseFreeMemory",
                            tcmalloc_give_back,
                            NULL,
                            0},
    [ALLOCATOR_HARDENED] = {"hakmem-hardened",
                            "a hardened arena of hakmem's: canaries, zeroing, random reuse",
                            HAKMEM_LIBRARIES,
                            "build it first, or name the file with --library",
                            {"hk_arena_alloc", "hk_arena_calloc", "hk_arena_realloc", "hk_arena_free"},
                            hakmem_version,
                            "hk_purge",
                            hakmem_give_back,
                            start_hardened,
                            1},
    [ALLOCATOR_SCUDO] = {"scudo",
                         "LLVM's hardened allocator, scudo standalone",
                         {"/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.scudo_standalone-x86_64.so",
                          "libclang_rt.scudo_standalone-x86_64.so", NULL, NULL},
                         "apt install libclang-rt-14-dev",
                         {"malloc", "calloc", "realloc", "free"},
                         unknown_version,
                         "mallopt",
                         scudo_give_back,
                         NULL,
                         1},
};

const char *allocator_name(size_t index) {
    return sources[index].name;
}

const char *allocator_description(size_t index) {
    return sources[index].description;
}

int allocator_is_default(size_t index) {
    return !sources[index].is_not_default;
}

size_t allocator_index(const char *name) {
    for (size_t i = 0; i < ALLOCATORS; i++)
        if (strcmp(sources[i].name, name) == 0)
            return i;
    char names[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < ALLOCATORS; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i == 0 ? "" : ", ", sources[i].name);
    die(EXIT_USAGE, "there is no allocator '%s'; there are %s", name, names);
}

/* Starts this program again with room for the library's thread-local storage. Does nothing the second time. */
static void restart_with_static_tls(char **argv) {
    static const char tunable[] = "glibc.rtld.optional_static_tls=65536";
    const char *old = getenv("GLIBC_TUNABLES");
    if (old != NULL && strstr(old, tunable) != NULL)
        return;
    char value[1024];
    int length = snprintf(value, sizeof value, "%s%s%s", old == NULL ? "" : old, old == NULL ? "" : ":", tunable);
    if (length < 0 || (size_t)length >= sizeof value || setenv("GLIBC_TUNABLES", value, 1) != 0)
        return;
    restart_program(argv);
}

static void *open_file(const char *file, char **argv, char *error, size_t error_size) {
    char path[512];
    expand_path(file, path, sizeof path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        if (strstr(reason, "static TLS") != NULL)
            restart_with_static_tls(argv);
        /* Of several places, the one with a file that cannot be loaded tells more than those without one. */
        if (error[0] == '\0' || strstr(error, "No such file") != NULL)
            snprintf(error, error_size, "%s", reason);
    }
    return handle;
}

static void *open_source(const source *from, const char *library, char **argv) {
    char error[512] = "";
    if (library != NULL) {
        void *handle = open_file(library, argv, error, sizeof error);
        if (handle == NULL)
            die(EXIT_USAGE, "cannot load %s: %s", library, error);
        return handle;
    }
    if (from->libraries[0] == NULL)
        return RTLD_DEFAULT;
    void *handle = NULL;
    for (size_t i = 0; handle == NULL && from->libraries[i] != NULL; i++)
        handle = open_file(from->libraries[i], argv, error, sizeof error);
    if (handle == NULL)
        die(EXIT_USAGE, "%s is not here (%s): %s", from->name, error, from->package);
    return handle;
}

static void find_functions(const source *from, const char *const names[4], void *handle, allocator *opened) {
    any_function functions[4];
    for (size_t i = 0; i < 4; i++) {
        functions[i] = find(handle, names[i]);
        if (functions[i] == NULL)
            die(EXIT_USAGE, "the library of %s has no function %s", from->name, names[i]);
    }
    give_back_function = find(handle, from->give_back_name);
    opened->give_back = give_back_function == NULL ? give_nothing_back : from->give_back;
    opened->handle = handle;
    opened->name = from->name;
    opened->allocate = (void *(*)(size_t))functions[0];
    opened->allocate_zeroed = (void *(*)(size_t, size_t))functions[1];
    opened->reallocate = (void *(*)(void *, size_t))functions[2];
    opened->release = (void (*)(void *))functions[3];
    snprintf(opened->version, sizeof opened->version, "unknown");
    from->version(handle, opened->version, sizeof opened->version);
    Dl_info info;
    opened->path[0] = '\0';
    if (dladdr((void *)functions[0], &info) != 0 && info.dli_fname != NULL)
        snprintf(opened->path, sizeof opened->path, "%s", info.dli_fname);
}

void allocator_open(size_t index, const char *library, char **argv, allocator *opened) {
    const source *from = &sources[index];
    void *handle = open_source(from, library, argv);
    *opened = (allocator){0};
    find_functions(from, from->functions, handle, opened);
    if (from->start != NULL)
        from->start(handle, opened);
}

void allocator_open_preloaded(size_t index, allocator *opened) {
    *opened = (allocator){.is_preloaded = 1};
    find_functions(&sources[index], sources[ALLOCATOR_SYSTEM].functions, RTLD_DEFAULT, opened);
}

const char *const *allocator_preload_libraries(size_t index) {
    static const char *const ours[] = {"@/../lib/libhakmem-malloc.so", "libhakmem-malloc.so", NULL};
    if (index == ALLOCATOR_HAKMEM)
        return ours;
    return sources[index].start == NULL ? sources[index].libraries : NULL;
}

const char *allocator_package(size_t index) {
    return sources[index].package;
}

void *allocator_open_companion(const allocator *opened, const char *file_name) {
    const char *slash = strrchr(opened->path, '/');
    int folder = slash == NULL ? 0 : (int)(slash - opened->path + 1);
    char path[640];
    snprintf(path, sizeof path, "%.*s%s", folder, opened->path, file_name);
    return dlopen(path, RTLD_LAZY | RTLD_LOCAL);
}
