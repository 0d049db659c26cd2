/* Calls that come before everything else: from the dynamic linker, from initialisers of the program that run before
 * those of its libraries, from threads that these start, all of them at once. */
#include "malloc_test.h"

#include <pthread.h>

enum { THREADS = 8 };

static unsigned char *first;
static void *blocks[THREADS];
static pthread_barrier_t barrier;

static void *allocate_at_once(void *argument) {
    pthread_barrier_wait(&barrier);
    *(void **)argument = malloc(100);
    return NULL;
}

/* The dynamic linker calls .preinit_array before the initialisers of any library. */
static void before_all(void) {
    free(NULL);
    first = realloc(NULL, 10);
    REQUIRE(first != NULL);
    memset(first, 1, 10);
    first = realloc(first, 100000);
    REQUIRE(first != NULL && first[9] == 1);
    pthread_t threads[THREADS];
    REQUIRE(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, allocate_at_once, &blocks[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = before_all;

static void *later[1000];
__attribute__((destructor)) static void after_all(void) {
    for (size_t i = 0; i < LENGTH_OF(later); i++)
        later[i] = malloc(i);
    for (size_t i = 0; i < LENGTH_OF(later); i++)
        free(later[i]);
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
}

int main(void) {
    require_hakmem();
    REQUIRE(is_on_hakmem(first));
    free(first);
    for (int i = 0; i < THREADS; i++) {
        REQUIRE(is_on_hakmem(blocks[i]));
        free(blocks[i]);
    }
    /* The environment was not there at the first call; it counts all the same. */
    REQUIRE(hk_arena_limit(hk_arena_default()) == (size_t)512 << 20);
    return 0;
}
