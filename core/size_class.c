/* size_class: see size_class.h. */
#include "size_class.h"

const hki_class_shape hki_classes[HKI_CLASSES] = {
#define BOTH(size, previous, previous16, few_lines, exact_lines) {size, few_lines, exact_lines, HKI_STACK_SLOTS(size)},
#define ONLY8(size, previous, few_lines, exact_lines) {size, few_lines, exact_lines, HKI_STACK_SLOTS(size)},
    HKI_SIZE_CLASSES(BOTH, ONLY8)
#undef BOTH
#undef ONLY8
};

const uint8_t hki_class_table_8[HKI_SMALL_MAX / 8 + 1] = {
#define CLASS(size, previous, ...) [(previous) / 8 + 1 ...(size) / 8] = HKI_CLASS_##size,
    HKI_SIZE_CLASSES(CLASS, CLASS)
#undef CLASS
};

const uint8_t hki_class_table_16[HKI_SMALL_MAX / 8 + 1] = {
#define BOTH(size, previous, previous16, ...) [(previous16) / 8 + 1 ...(size) / 8] = HKI_CLASS_##size,
#define ONLY8(...)
    HKI_SIZE_CLASSES(BOTH, ONLY8)
#undef BOTH
#undef ONLY8
};

const uint8_t hki_class_table_malloc[HKI_SMALL_MAX / 8 + 1] = {
#define BOTH(size, previous, previous16, ...)                                                                          \
    [(size) == 8 ? 0 : (previous16) / 8 + 1 ...(size) / 8] = (size) == 8 ? HKI_CLASS_16 : HKI_CLASS_##size,
#define ONLY8(...)
    HKI_SIZE_CLASSES(BOTH, ONLY8)
#undef BOTH
#undef ONLY8
};

const uint8_t hki_class_table_object[HKI_SMALL_MAX / 8 + 1] = {
#define BOTH(size, previous, previous16, ...)                                                                          \
    [(size) == 32 ? (previous) / 8 + 1 : (previous16) / 8 + 1 ...(size) / 8] = HKI_CLASS_##size,
#define ONLY8(...)
    HKI_SIZE_CLASSES(BOTH, ONLY8)
#undef BOTH
#undef ONLY8
        [24 / 8] = HKI_CLASS_24,
};

unsigned hki_class_of_aligned(const uint8_t *class_table, size_t size, size_t alignment) {
    while (size <= HKI_SMALL_MAX) {
        unsigned size_class = hki_class_of(class_table, size);
        if (hki_classes[size_class].size % alignment == 0)
            return size_class;
        size = hki_classes[size_class].size + (size_t)1;
    }
    return HKI_CLASS_LARGE;
}

unsigned hki_class_run_lines(unsigned size_class, size_t lines) {
    const hki_class_shape *shape = &hki_classes[size_class];
    unsigned wanted = (unsigned)hki_min(lines / 2, HKI_RUN_LINES_MAX);
    if (wanted < shape->exact_lines)
        return shape->few_lines;
    return wanted - wanted % shape->exact_lines;
}
