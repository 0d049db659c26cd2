/* Pointers that are not hakmem's: glibc's own blocks, of every kind, go back to glibc; all else is told and does no
 * harm. */
#include "malloc_test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

static struct {
    void *(*malloc)(size_t);
    void *(*memalign)(size_t, size_t);
    size_t (*usable)(void *);
} libc;

static void find(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    REQUIRE(address != NULL);
    memcpy(function, &address, sizeof address);
}

/* glibc says of free that it calls nothing back. */
static volatile unsigned misuses;
static volatile hk_status last_misuse;

static void count(const hk_error_info *info, void *data) {
    (void)data;
    misuses++;
    last_misuse = info->status;
}

static void take_over(size_t size) {
    unsigned char *block = libc.malloc(size);
    REQUIRE(block != NULL && !is_on_hakmem(block));
    memset(block, 0x5a, size);
    REQUIRE(malloc_usable_size(block) == libc.usable(block));
    unsigned char *moved = realloc(block, size + 1000);
    REQUIRE(moved != NULL && is_on_hakmem(moved));
    for (size_t i = 0; i < size; i++)
        REQUIRE(moved[i] == 0x5a);
    free(moved);
    block = libc.malloc(size);
    REQUIRE(realloc(block, 0) == NULL);
    block = libc.malloc(size);
    moved = realloc(block, size / 2 + 1);
    REQUIRE(moved != NULL && is_on_hakmem(moved));
    free(moved);
}

/* Freed blocks come again: so they have really gone back. */
static void comes_again(size_t size) {
    void *first = libc.malloc(size);
    errno = 77;
    free(first);
    REQUIRE(errno == 77);
    bool again = false;
    void *blocks[64];
    for (size_t i = 0; i < LENGTH_OF(blocks); i++) {
        blocks[i] = libc.malloc(size);
        again |= blocks[i] == first;
    }
    for (size_t i = 0; i < LENGTH_OF(blocks); i++)
        free(blocks[i]);
    REQUIRE(again);
}

static void all_kinds(void) {
    static const size_t sizes[] = {1, 24, 100, 1000, 5000, 100000, 200000, 1 << 20, 40 << 20};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++)
        take_over(sizes[i]);
    for (size_t i = 0; i < 6; i++)
        comes_again(sizes[i]);
    for (size_t alignment = 32; alignment <= 65536; alignment *= 2)
        free(libc.memalign(alignment, 1 << 20));
    REQUIRE(misuses == 0);
}

static void *in_thread(void *ignored) {
    all_kinds(); /* glibc has another arena for this thread */
    return ignored;
}

static void require_told(void *pointer) {
    unsigned before = misuses;
    free(pointer);
    REQUIRE(misuses == before + 1 && last_misuse == HK_ERR_FOREIGN_POINTER);
    errno = 0;
    REQUIRE(realloc(pointer, 100) == NULL && errno == EINVAL);
    REQUIRE(malloc_usable_size(pointer) == 0);
    REQUIRE(misuses == before + 3 && last_misuse == HK_ERR_FOREIGN_POINTER);
}

static void nobodys(void) {
    static char data[4096];
    char stack[256] = {0};
    char *mapped = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *unreadable = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED && unreadable != MAP_FAILED);
    require_told(data + 64);
    require_told(data + 1);
    require_told(stack + 128);
    require_told(mapped);
    require_told(mapped + 32);
    require_told(unreadable + 4096);
    require_told((void *)8);
    require_told((void *)16);
    require_told((void *)UINTPTR_MAX);
    require_told((void *)(UINTPTR_MAX & ~(uintptr_t)15));
    require_told((void *)((uintptr_t)1 << 60));
    void *function;
    memcpy(&function, &(void (*)(void)){nobodys}, sizeof function);
    require_told((void *)((uintptr_t)function & ~(uintptr_t)15));
    void *glibcs = libc.malloc(100);
    require_told((char *)glibcs + 8);
    free(glibcs);
}

/* What lies in glibc's heap but was freed before is glibc's to notice; here, that hakmem's own are told apart. */
static void own_misuse(void) {
    char *block = malloc(100);
    unsigned before = misuses;
    free(block + 16);
    REQUIRE(misuses == before + 1 && last_misuse == HK_ERR_INTERIOR_POINTER);
    free(block);
    free(block);
    REQUIRE(misuses == before + 2 && last_misuse == HK_ERR_DOUBLE_FREE);
}

int main(void) {
    void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    REQUIRE(library != NULL);
    find(library, "malloc", &libc.malloc);
    find(library, "memalign", &libc.memalign);
    find(library, "malloc_usable_size", &libc.usable);
    require_hakmem();
    hk_set_error_handler(count, NULL);
    all_kinds();
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    nobodys();
    own_misuse();
    load_run(3, 20000);
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
