/* Takes what there is, of each size, gives it back and goes on.
 * usage: malloc_greedy BYTES     in an address space of so many bytes
 *        malloc_greedy charged   compares what the kernel may charge with what is in use
 *        malloc_greedy bursts BYTES   goes through sizes and threads, so many bytes at a time, all of them written */
#include "malloc_test.h"

#include <pthread.h>

typedef struct chain {
    struct chain *next;
} chain;

static void release(chain *first) {
    for (chain *next; first != NULL; first = next) {
        next = first->next;
        free(first);
    }
}

/* How many bytes could be had in blocks of a size. */
static size_t take_all(size_t size, size_t at_most) {
    chain *first = NULL;
    size_t taken = 0;
    errno = 0;
    while (taken < at_most) {
        chain *block = malloc(size);
        if (block == NULL) {
            REQUIRE(errno == ENOMEM);
            break;
        }
        *block = (chain){first};
        first = block;
        taken += size;
    }
    release(first);
    return taken;
}

static void *in_thread(void *ignored) {
    load_run(4, 5000);
    return ignored;
}

static void take_what_there_is(size_t address_space) {
    static const size_t sizes[] = {64, 1000, 5000, 30000, 300000, 5 << 20};
    size_t at_most = address_space * 2 < (size_t)400 << 20 ? address_space * 2 : (size_t)400 << 20;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
            size_t taken = take_all(sizes[i], at_most);
            if (taken < at_most && taken < address_space / 4)
                fprintf(stderr, "only %zu of %zu bytes in blocks of %zu\n", taken, address_space, sizes[i]);
            REQUIRE(taken >= at_most || taken >= address_space / 4);
        }
    load_run(3, 50000);
    pthread_t thread;
    pthread_attr_t small;
    REQUIRE(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 256 << 10) == 0);
    REQUIRE(pthread_create(&thread, &small, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* "ac" among VmFlags is an accountable mapping (the kernel's documentation of /proc, filesystems/proc.rst). */
static size_t accountable_bytes(void) {
    char line[512];
    size_t size = 0, total = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "Size: %zu kB", &size);
        if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ac") != NULL)
            total += size << 10;
    }
    fclose(file);
    return total;
}

static void compare_charges(void) {
    enum { BLOCKS = 100, SIZE = 1 << 20, OVERHEAD = 24 << 20 };
    static void *blocks[BLOCKS];
    size_t before = accountable_bytes();
    for (int i = 0; i < BLOCKS; i++)
        REQUIRE((blocks[i] = malloc(SIZE)) != NULL);
    size_t with_blocks = accountable_bytes();
    fprintf(stderr, "accountable: %zu bytes, %zu with %d MB more\n", before, with_blocks, BLOCKS);
    REQUIRE(before < OVERHEAD && with_blocks < before + BLOCKS * (SIZE + SIZE / 8) + OVERHEAD);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* As take_all, and writes to every page. */
static void burst(size_t size, size_t bytes) {
    chain *first = NULL;
    for (size_t taken = 0; taken < bytes; taken += size) {
        chain *block = malloc(size);
        REQUIRE(block != NULL);
        memset(block, 1, size);
        *block = (chain){first};
        first = block;
    }
    release(first);
}

static void *bursts(void *bytes) {
    static const size_t sizes[] = {16, 48, 200, 700, 3000, 9000, 40000, 500000, 3 << 20, 9 << 20};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++)
        burst(sizes[i], (size_t)(uintptr_t)bytes);
    return NULL;
}

static void bursts_by_threads(size_t bytes) {
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, bursts, (void *)(uintptr_t)bytes) == 0);
        REQUIRE(pthread_join(thread, NULL) == 0);
        bursts((void *)(uintptr_t)bytes);
    }
}

int main(int argc, char **argv) {
    require_hakmem();
    REQUIRE(argc >= 2);
    if (argc == 3 && strcmp(argv[1], "bursts") == 0)
        bursts_by_threads(strtoull(argv[2], NULL, 10));
    else if (strcmp(argv[1], "charged") == 0)
        compare_charges();
    else
        take_what_there_is(strtoull(argv[1], NULL, 10));
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
