/* malloc_test: for programs that are run with libhakmem-malloc.so preloaded, or linked with hakmem-malloc.o. They end
 * with an exit code of 1 and a line about the first requirement that does not hold. */
#ifndef HAKMEM_MALLOC_TEST_H
#define HAKMEM_MALLOC_TEST_H

#include "hakmem.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                                             \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))

/* Whether a block is hakmem's, of the process heap. */
static inline bool is_on_hakmem(const void *block) {
    hk_pointer_info info = {.struct_size = sizeof info};
    return hk_classify(block, &info) == HK_OK && info.state == HK_BLOCK_LIVE && info.arena == hk_arena_default() &&
           info.block_start == block;
}

static inline void require_hakmem(void) {
    void *block = malloc(1);
    REQUIRE(is_on_hakmem(block));
    free(block);
}

static inline uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline size_t live_blocks(void) {
    hk_statistics now = {.struct_size = offsetof(hk_statistics, classes)};
    REQUIRE(hk_arena_statistics(hk_arena_default(), &now) == HK_OK);
    return now.live_blocks;
}

/* ---- a load of all sizes, whose contents are verified ---- */

typedef struct slot {
    unsigned char *block;
    size_t size;
    unsigned char mark;
} slot;

static inline void slot_fill(slot *s, uint32_t random) {
    s->mark = (unsigned char)(random | 1);
    memset(s->block, s->mark, s->size < 256 ? s->size : 256);
    s->block[s->size - 1] = s->mark;
}

static inline void slot_verify(const slot *s) {
    for (size_t i = 0; i < s->size && i < 256; i++)
        REQUIRE(s->block[i] == s->mark);
    REQUIRE(s->block[s->size - 1] == s->mark);
}

/* Mostly small; one in 64 up to 64 KiB, one in 1024 up to 2 MiB. */
static inline size_t load_size(uint32_t random) {
    uint32_t bits = random >> 12;
    if (random % 1024 == 0)
        return 1 + bits * 2;
    if (random % 64 == 0)
        return 1 + bits % 65536;
    return 1 + bits % 1024;
}

static inline void load_empty(slot *slots, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (slots[i].block != NULL)
            slot_verify(&slots[i]);
        free(slots[i].block);
        slots[i] = (slot){0};
    }
}

static inline void load_step(slot *slots, size_t count, uint32_t *state) {
    uint32_t random = next_random(state);
    slot *s = &slots[next_random(state) % count];
    size_t size = load_size(random);
    if (s->block == NULL) {
        s->block = random % 8 == 0 ? calloc(1, size) : random % 8 == 1 ? memalign(64, size) : malloc(size);
        REQUIRE(s->block != NULL && (uintptr_t)s->block % (random % 8 == 1 ? 64 : 16) == 0);
        REQUIRE(random % 8 != 0 || (s->block[0] == 0 && s->block[size - 1] == 0));
        s->size = size;
        slot_fill(s, random);
    } else if (random % 4 == 0) {
        unsigned char *moved = realloc(s->block, size);
        REQUIRE(moved != NULL);
        s->block = moved;
        s->size = s->size < size ? s->size : size;
        for (size_t i = 0; i < s->size && i < 256; i++)
            REQUIRE(moved[i] == s->mark);
        s->size = size;
        slot_fill(s, random);
    } else {
        slot_verify(s);
        free(s->block);
        *s = (slot){0};
    }
}

/* Runs the load and frees all of it. */
static inline void load_run(uint32_t seed, unsigned steps) {
    enum { SLOTS = 200 };
    slot slots[SLOTS] = {0};
    uint32_t state = seed | 1;
    for (unsigned i = 0; i < steps; i++)
        load_step(slots, SLOTS, &state);
    load_empty(slots, SLOTS);
}

/* The same in a thread, until load_stop is set; the argument is the seed. */
static atomic_bool load_stop;
static inline void *load_until_stopped(void *seed) {
    slot slots[100] = {0};
    uint32_t state = (uint32_t)(uintptr_t)seed;
    while (!atomic_load(&load_stop))
        load_step(slots, LENGTH_OF(slots), &state);
    load_empty(slots, LENGTH_OF(slots));
    return NULL;
}

#endif
