/* size_class: which class serves a request. Constant tables, made from HKI_SIZE_CLASSES.
 *
 * Invariants: class sizes grow; each class wastes at most an eighth of a request of 64 bytes or more, counted from the
 * request rounded up to the arena's alignment; in an arena of alignment 16 all but class 0 are multiples of 16. */
#ifndef HKI_SIZE_CLASS_H
#define HKI_SIZE_CLASS_H

#include "base.h"
#include "tables.h"

enum {
#define CLASS(size, ...) HKI_CLASS_##size,
    HKI_SIZE_CLASSES(CLASS, CLASS)
#undef CLASS
        HKI_CLASSES,
    HKI_CLASS_LARGE = HKI_CLASSES, /* a run of one block, of whole lines, in a unit of a heap */
    HKI_SMALL_MAX = 16384,
    HKI_RUN_LINES_MAX = 32,
};

/* How many free blocks of a size a heap's stack holds: 64 KiB at most. It begins with few slots and grows by this
 * factor. */
#define HKI_STACK_SLOTS(size) ((size)*104 <= 65536 ? 104 : (size) <= 8192 ? 65536 / (size) : 4)
enum { HKI_FIRST_STACK_SLOTS = 6, HKI_STACK_GROWTH = 5 };

typedef struct hki_class_shape {
    uint16_t size;        /* of a block */
    uint8_t few_lines;    /* the shortest run that wastes at most an eighth */
    uint8_t exact_lines;  /* the shortest run that wastes nothing */
    uint16_t stack_slots; /* HKI_STACK_SLOTS */
} hki_class_shape;

HKI_DATA const hki_class_shape hki_classes[HKI_CLASSES];

/* Class of a size up to HKI_SMALL_MAX, by (size + 7) / 8. */
HKI_DATA const uint8_t hki_class_table_8[HKI_SMALL_MAX / 8 + 1];
HKI_DATA const uint8_t hki_class_table_16[HKI_SMALL_MAX / 8 + 1];
/* The same but for sizes up to 8, which share the class of 16: blocks of the C library's names are always aligned to 16
 * (The GNU C Library Reference Manual, "Basic Memory Allocation"). */
HKI_DATA const uint8_t hki_class_table_malloc[HKI_SMALL_MAX / 8 + 1];
/* hki_class_table_16, but for sizes from 17 to 24, which have their own class. For objects that begin with a header of
 * 16 bytes, of words: what is behind it, in so small a one, needs no alignment beyond 8. */
HKI_DATA const uint8_t hki_class_table_object[HKI_SMALL_MAX / 8 + 1];

HKI_INLINE unsigned hki_class_of(const uint8_t *class_table, size_t size) {
    return class_table[(size + 7) >> 3];
}

/* Lines of a block that is in no size class; SIZE_MAX bytes and less are fine. */
HKI_INLINE size_t hki_lines_of(size_t size) {
    return size == 0 ? 1 : ((size - 1) >> HKI_LINE_SHIFT) + 1;
}

/* The smallest class that holds `size` bytes and whose blocks all lie at multiples of `alignment`, a power of two up to
 * a line; HKI_CLASS_LARGE if there is none. */
unsigned hki_class_of_aligned(const uint8_t *class_table, size_t size, size_t alignment);

/* How long the next run of a class should be that holds `lines` lines already: the more, the longer, up to
 * HKI_RUN_LINES_MAX, and without waste as soon as possible. */
unsigned hki_class_run_lines(unsigned size_class, size_t lines);

#endif
