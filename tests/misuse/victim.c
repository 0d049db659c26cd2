/* A process without an error handler that misuses hakmem, for policy.c to look at.
 * usage: misuse_victim POLICY CASE
 * POLICY: what it sets by function, or "-". On standard output: the pointer; then, if the call returned, what
 * hk_last_status() says, and whether all blocks are unharmed. */
#include <hakmem.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { SIZE = 64 };

static char *block, *freed, *others;
static hk_arena *arena;

static void announce(const void *pointer) {
    printf("%p\n", pointer);
    fflush(stdout);
}

static void double_free(void) {
    announce(freed);
    hk_free(freed);
}

static void foreign(void) {
    announce(&arena);
    if (hk_realloc(&arena, 100) != NULL)
        printf("it was reallocated\n");
}

static void interior(void) {
    announce(block + 16);
    if (hk_usable_size(block + 16) != 0)
        printf("it has a size\n");
}

static void wrong_arena(void) {
    announce(others);
    hk_free(others);
}

static void wrong_size(void) {
    announce(others);
    hk_arena_free_sized(arena, others, 5000);
}

static void bad_arena(void) {
    announce(NULL);
    if (hk_arena_alloc(NULL, 1) != NULL)
        printf("it was allocated\n");
}

static void twice(void) {
    double_free();
    double_free();
}

static void no_misuse(void) {
    announce(NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"double_free", double_free}, {"foreign", foreign},     {"interior", interior}, {"wrong_arena", wrong_arena},
    {"wrong_size", wrong_size},   {"bad_arena", bad_arena}, {"twice", twice},       {"no_misuse", no_misuse},
};

static int set_policy(const char *name) {
    static const char *const names[] = {"abort", "report", "ignore"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return hk_set_error_policy((hk_error_policy)i) == HK_OK;
    return strcmp(name, "-") == 0;
}

static int set_up(void) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    const struct rlimit no_core = {0, 0};
    config.name = "victim's";
    setrlimit(RLIMIT_CORE, &no_core);
    if (hk_arena_create(&config, &arena) != HK_OK)
        return 0;
    block = hk_malloc(SIZE);
    freed = hk_malloc(SIZE);
    others = hk_arena_alloc(arena, SIZE);
    if (block == NULL || freed == NULL || others == NULL)
        return 0;
    hk_free(freed);
    memset(block, 1, SIZE);
    memset(others, 1, SIZE);
    return 1;
}

static int is_unharmed(hk_arena *owner, const char *of) {
    static const char ones[SIZE] = {1};
    return hk_arena_owns(owner, of) && of[0] == ones[0] && memcmp(of, of + 1, SIZE - 1) == 0 &&
           hk_arena_check(owner) == HK_OK;
}

int main(int argc, char **argv) {
    if (argc != 3 || !set_policy(argv[1]) || !set_up())
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[2], cases[i].name) == 0) {
            cases[i].run();
            int unharmed = is_unharmed(hk_arena_default(), block) && is_unharmed(arena, others);
            printf("went on: %s, %s\n", hk_status_name(hk_last_status()), unharmed ? "unharmed" : "harmed");
            return 0;
        }
    return 2;
}
