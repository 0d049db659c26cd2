/* What each name promises: contents, alignment, limits, errno. Sources: C23 7.24.3, POSIX.1-2024, glibc's manual. */
#include "malloc_test.h"

#include <stdint.h>

/* C23; not in glibc yet, so only the preloaded library has them. */
__attribute__((weak)) void free_sized(void *pointer, size_t size);
__attribute__((weak)) void free_aligned_sized(void *pointer, size_t alignment, size_t size);

static void *volatile escaped; /* so that no compiler takes a pair of calls away */

static void *kept(void *block) {
    escaped = block;
    return escaped;
}

static const size_t too_large[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX};

#define REQUIRE_ENOMEM(call)                                                                                           \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        REQUIRE(kept(call) == NULL && errno == ENOMEM);                                                                \
    } while (0)

static void every_size_is_aligned_and_usable(void) {
    for (size_t size = 0; size < 70000; size += size < 2100 ? 1 : 997) {
        unsigned char *block = kept(malloc(size));
        REQUIRE(block != NULL && (uintptr_t)block % 16 == 0 && malloc_usable_size(block) >= size);
        memset(block, 0xa5, malloc_usable_size(block));
        free_sized(block, size);
        unsigned char *zeros = kept(calloc(size, 1));
        REQUIRE(zeros != NULL && (uintptr_t)zeros % 16 == 0);
        for (size_t i = 0; i < size; i++)
            REQUIRE(zeros[i] == 0);
        free(zeros);
    }
}

static void blocks_of_no_bytes_are_blocks(void) {
    void *a = kept(malloc(0)), *b = kept(calloc(0, 8)), *c = kept(realloc(NULL, 0)), *d = kept(memalign(64, 0));
    REQUIRE(a != NULL && b != NULL && c != NULL && d != NULL && a != b && b != c && c != d);
    free(a);
    free(b);
    free(c);
    free(d);
}

static void what_cannot_be_is_enomem(void) {
    for (size_t i = 0; i < LENGTH_OF(too_large); i++) {
        size_t size = too_large[i];
        void *block = malloc(100);
        void *untouched = &size;
        REQUIRE_ENOMEM(malloc(size));
        REQUIRE_ENOMEM(calloc(size, 1));
        REQUIRE_ENOMEM(realloc(NULL, size));
        REQUIRE_ENOMEM(realloc(block, size));
        REQUIRE_ENOMEM(aligned_alloc(64, size));
        REQUIRE_ENOMEM(memalign(64, size));
        REQUIRE_ENOMEM(valloc(size));
        REQUIRE_ENOMEM(pvalloc(size));
        errno = 0;
        REQUIRE(posix_memalign(&untouched, 64, size) == ENOMEM && untouched == &size && errno == 0);
        free(block);
    }
    void *block = malloc(100);
    volatile size_t half = SIZE_MAX / 2;
    REQUIRE_ENOMEM(calloc(half, 3));
    REQUIRE_ENOMEM(calloc(half + 2, 2)); /* the product would be 2 */
    REQUIRE_ENOMEM(reallocarray(block, half, 3));
    REQUIRE_ENOMEM(reallocarray(NULL, half + 2, 2));
    free(block);
}

static void realloc_keeps_contents(void) {
    static const size_t sizes[] = {1, 8, 9, 16, 17, 100, 5000, 20000, 70000, 5 << 20, 300000, 40, 8, 1};
    unsigned char *block = realloc(NULL, 1);
    size_t before = 1;
    block[0] = 7;
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        block = realloc(block, sizes[i]);
        REQUIRE(block != NULL && (uintptr_t)block % 16 == 0);
        for (size_t j = 0; j < before && j < sizes[i]; j++)
            REQUIRE(block[j] == 7);
        memset(block, 7, sizes[i]);
        before = sizes[i];
    }
    block = reallocarray(block, 100, 10);
    REQUIRE(block != NULL && block[0] == 7);
    errno = 5;
    REQUIRE(kept(realloc(block, 0)) == NULL && errno == 5);
}

static void alignments_are_kept(void) {
    for (size_t alignment = 8; alignment <= (size_t)16 << 20; alignment *= 2) {
        for (size_t size = 1; size <= 100000; size = size * 3 + 1) {
            void *block = NULL;
            REQUIRE(posix_memalign(&block, alignment, size) == 0 && (uintptr_t)block % alignment == 0);
            memset(block, 1, size);
            REQUIRE(malloc_usable_size(block) >= size);
            free_aligned_sized(block, alignment, size);
            block = kept(aligned_alloc(alignment, size));
            REQUIRE(block != NULL && (uintptr_t)block % alignment == 0);
            block = realloc(block, size + 100);
            REQUIRE(block != NULL);
            free(block);
        }
    }
    volatile size_t is_odd = 48, is_none = 0; /* which compilers would refuse to see */
    void *odd = kept(memalign(is_odd, 10)), *none = kept(memalign(is_none, 10)), *one = kept(aligned_alloc(1, 10));
    REQUIRE((uintptr_t)odd % 64 == 0 && none != NULL && one != NULL);
    free(odd);
    free(none);
    free(one);
}

static void alignments_that_are_none(void) {
    static const size_t wrong[] = {0, 1, 2, 4, 3, 24, 100, SIZE_MAX};
    void *block = &block;
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        REQUIRE(posix_memalign(&block, wrong[i], 10) == EINVAL && block == &block);
    volatile size_t three = 3, zero = 0, most = SIZE_MAX, terabyte = (size_t)1 << 40;
    errno = 0;
    REQUIRE(kept(aligned_alloc(three, 12)) == NULL && errno == EINVAL);
    errno = 0;
    REQUIRE(kept(aligned_alloc(zero, 12)) == NULL && errno == EINVAL);
    errno = 0;
    REQUIRE(kept(memalign(most, 12)) == NULL && errno == EINVAL);
    REQUIRE_ENOMEM(aligned_alloc(terabyte, 12));
}

static void pages(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *a = kept(valloc(10)), *b = kept(pvalloc(1)), *c = kept(pvalloc(page + 1));
    REQUIRE((uintptr_t)a % page == 0 && (uintptr_t)b % page == 0 && (uintptr_t)c % page == 0);
    REQUIRE(malloc_usable_size(b) >= page && malloc_usable_size(c) >= 2 * page);
    free(a);
    free(b);
    free(c);
}

/* POSIX.1-2024; also where pages go back to the system. */
static void free_keeps_errno(void) {
    static const size_t sizes[] = {0, 10, 5000, 60000, 1 << 20, 20 << 20};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        void *block = kept(malloc(sizes[i]));
        memset(block, 1, sizes[i]);
        errno = 77;
        free(block);
        free(NULL);
        free_sized(NULL, 5);
        REQUIRE(errno == 77);
    }
    errno = 77;
    free(kept(malloc(10)));
    free(kept(calloc(10, 10)));
    REQUIRE(errno == 77); /* what succeeds leaves it alone as well */
}

static void usable_size_of_nothing(void) {
    REQUIRE(malloc_usable_size(NULL) == 0);
}

static void figures(void) {
    struct mallinfo2 before = mallinfo2();
    void *small[1000], *large = malloc(3 << 20);
    for (size_t i = 0; i < LENGTH_OF(small); i++)
        small[i] = malloc(100);
    struct mallinfo2 now = mallinfo2();
    struct mallinfo narrow = mallinfo();
    REQUIRE(now.uordblks >= before.uordblks + 100 * LENGTH_OF(small));
    REQUIRE(now.hblks == before.hblks + 1 && now.hblkhd >= before.hblkhd + (3 << 20));
    REQUIRE((size_t)narrow.uordblks == now.uordblks && (size_t)narrow.hblkhd == now.hblkhd);
    REQUIRE(now.arena >= now.uordblks);
    for (size_t i = 0; i < LENGTH_OF(small); i++)
        free(small[i]);
    free(large);
    REQUIRE(malloc_trim(0) == 1 && malloc_trim(0) == 0);
    struct mallinfo2 after = mallinfo2();
    REQUIRE(after.uordblks == before.uordblks && after.hblkhd == before.hblkhd);
    REQUIRE(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_ARENA_MAX, 2) == 1 && mallopt(12345, 1) == 0);
}

/* The names by which others find malloc. */
static void strings_of_the_c_library_are_ours(void) {
    char *copy = strdup("text"), *line = NULL;
    size_t room = 0;
    FILE *file = fmemopen((char[]){"a line\n"}, 7, "r");
    REQUIRE(file != NULL && getline(&line, &room, file) == 7 && is_on_hakmem(line) && is_on_hakmem(copy));
    fclose(file);
    free(line);
    free(copy);
}

int main(void) {
    require_hakmem();
    every_size_is_aligned_and_usable();
    blocks_of_no_bytes_are_blocks();
    what_cannot_be_is_enomem();
    realloc_keeps_contents();
    alignments_are_kept();
    alignments_that_are_none();
    pages();
    free_keeps_errno();
    usable_size_of_nothing();
    figures();
    strings_of_the_c_library_are_ours();
    load_run(1, 200000);
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
