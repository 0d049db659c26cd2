/* dlopen and dlclose by the thousand of a module that is linked with hakmem, from threads that end while it is away:
 * nothing dangles, and neither address space nor thread keys run out.
 * usage: malloc_modules MODULE */
#include "malloc_test.h"

#include <dlfcn.h>
#include <pthread.h>

enum { TIMES = 3000, WITH_THREAD = 10 };

static const char *path;

static size_t address_space(void) {
    size_t pages;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void use_module(void) {
    void *module = dlopen(path, RTLD_NOW);
    if (module == NULL)
        fprintf(stderr, "%s\n", dlerror());
    REQUIRE(module != NULL);
    int (*work)(void);
    void *address = dlsym(module, "module_work");
    REQUIRE(address != NULL);
    memcpy(&work, &address, sizeof work);
    REQUIRE(work() == 0);
    REQUIRE(dlclose(module) == 0);
}

/* Ends when the module has been closed. */
static void *in_thread(void *ignored) {
    use_module();
    return ignored;
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2);
    path = argv[1];
    use_module();
    size_t before = address_space();
    for (int i = 0; i < TIMES; i++) {
        if (i % WITH_THREAD == 0) {
            pthread_t thread;
            REQUIRE(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
        } else {
            use_module();
        }
    }
    REQUIRE(address_space() < before + (256 << 20));
    pthread_key_t key;
    REQUIRE(pthread_key_create(&key, NULL) == 0);
    return 0;
}
