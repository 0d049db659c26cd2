/* new: C++'s operators new, by their names in the Itanium C++ ABI. Only in the shared library: in a program that is
 * linked with hakmem-malloc.o the C++ library's own do the same, on top of malloc.
 *
 * Where there is no memory, the C++ library's operator of the same name, which the one here hides, does all that is
 * left to do: it knows the new handler and how to throw. As there, arrays end in the operator of single objects, and
 * operators that do not throw in those that do, so one that a program has replaced counts for all. */
#include "names.h"

#include "report.h"

#include <dlfcn.h>
#include <stdlib.h>

#define OPERATOR(symbol, function) __asm__(symbol) __attribute__((alias(#function), visibility("default"), used))

/* One of the C++ library's operators. ISO C has no cast from dlsym's object pointer to a function pointer. */
typedef union displaced {
    void *address;
    void *(*one)(size_t size);
    void *(*one_nothrow)(size_t size, const void *nothrow);
    void *(*aligned)(size_t size, size_t alignment);
    void *(*aligned_nothrow)(size_t size, size_t alignment, const void *nothrow);
} displaced;

/* The library may have been loaded for one module only, so that its names are not in sight of all. */
static void *find_displaced(const char *symbol) {
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
    void *found = dlsym(RTLD_NEXT, symbol);
    for (size_t i = 0; found == NULL && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL)
            continue;
        found = dlsym(library, symbol);
        dlclose(library); /* it stays: others have loaded it */
    }
    return found;
}

/* Ends the process if there is none. */
static HKI_SLOW displaced displaced_operator(const char *symbol, size_t size) {
    displaced found = {.address = find_displaced(symbol)};
    if (found.address != NULL)
        return found;
    hki_text text = {0};
    hki_text_add(&text, "no memory for operator new of ");
    hki_text_add_number(&text, size);
    hki_text_add(&text, " bytes, and no C++ library is loaded that could throw std::bad_alloc");
    hki_text_write(&text);
    abort();
}

static void *allocate(size_t size, size_t alignment) {
    return hki_process_alloc(hki_max(size, HKM_SMALLEST), alignment, false);
}

/* ---- single objects and arrays ---- */

static HKI_MISS void *new_one_slow(size_t size) {
    void *block = allocate(size, 1);
    return block != NULL ? block : displaced_operator("_Znwm", size).one(size);
}

static void *new_one(size_t size) {
    void *block = hki_process_pop(hki_class_table_malloc, size);
    return HKI_LIKELY(block != NULL) ? block : new_one_slow(size);
}
void *one(size_t size) OPERATOR("_Znwm", new_one);

static void *new_array(size_t size) {
    return HKI_LIKELY(HKI_IS_SAME(one, new_one)) ? new_one(size) : one(size);
}
void *array(size_t size) OPERATOR("_Znam", new_array);

static HKI_MISS void *new_one_nothrow_slow(size_t size, const void *nothrow) {
    void *block = HKI_IS_SAME(one, new_one) ? allocate(size, 1) : NULL;
    return block != NULL ? block : displaced_operator("_ZnwmRKSt9nothrow_t", size).one_nothrow(size, nothrow);
}

static void *new_one_nothrow(size_t size, const void *nothrow) {
    void *block = HKI_LIKELY(HKI_IS_SAME(one, new_one)) ? hki_process_pop(hki_class_table_malloc, size) : NULL;
    return HKI_LIKELY(block != NULL) ? block : new_one_nothrow_slow(size, nothrow);
}
void *one_nothrow(size_t size, const void *nothrow) OPERATOR("_ZnwmRKSt9nothrow_t", new_one_nothrow);

static void *new_array_nothrow(size_t size, const void *nothrow) {
    if (HKI_LIKELY(HKI_IS_SAME(array, new_array)))
        return new_one_nothrow(size, nothrow);
    return displaced_operator("_ZnamRKSt9nothrow_t", size).one_nothrow(size, nothrow);
}
void *array_nothrow(size_t size, const void *nothrow) OPERATOR("_ZnamRKSt9nothrow_t", new_array_nothrow);

/* ---- with an alignment ---- */

static void *new_aligned(size_t size, size_t alignment) {
    void *block = allocate(size, alignment);
    return HKI_LIKELY(block != NULL) ? block
                                     : displaced_operator("_ZnwmSt11align_val_t", size).aligned(size, alignment);
}
void *aligned(size_t size, size_t alignment) OPERATOR("_ZnwmSt11align_val_t", new_aligned);

static void *new_aligned_array(size_t size, size_t alignment) {
    return aligned(size, alignment);
}
void *aligned_array(size_t size, size_t alignment) OPERATOR("_ZnamSt11align_val_t", new_aligned_array);

static void *new_aligned_nothrow(size_t size, size_t alignment, const void *nothrow) {
    static const char symbol[] = "_ZnwmSt11align_val_tRKSt9nothrow_t";
    void *block = HKI_IS_SAME(aligned, new_aligned) ? allocate(size, alignment) : NULL;
    return HKI_LIKELY(block != NULL) ? block
                                     : displaced_operator(symbol, size).aligned_nothrow(size, alignment, nothrow);
}
void *aligned_nothrow(size_t size, size_t alignment, const void *nothrow)
    OPERATOR("_ZnwmSt11align_val_tRKSt9nothrow_t", new_aligned_nothrow);

static void *new_aligned_array_nothrow(size_t size, size_t alignment, const void *nothrow) {
    static const char symbol[] = "_ZnamSt11align_val_tRKSt9nothrow_t";
    if (HKI_LIKELY(HKI_IS_SAME(aligned_array, new_aligned_array)))
        return new_aligned_nothrow(size, alignment, nothrow);
    return displaced_operator(symbol, size).aligned_nothrow(size, alignment, nothrow);
}
void *aligned_array_nothrow(size_t size, size_t alignment, const void *nothrow)
    OPERATOR("_ZnamSt11align_val_tRKSt9nothrow_t", new_aligned_array_nothrow);
