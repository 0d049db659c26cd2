/* libc: blocks of the C library's own malloc, which is still there behind the names that hide it. Only a program that
 * calls it by another way gets such blocks: through dlsym, from a copy of the names bound before, by glibc's inner
 * names. They are told by their place and by the header that glibc writes before each (its "malloc chunk"): a block of
 * the main heap lies between the break at the start and the break now, one of another arena in a heap that says so, one
 * of a mapping of its own fills whole pages. The header is read by the kernel, so that no pointer whatever faults.
 *
 * State: where the break was before glibc's malloc could have moved it. Any thread. */
#include "names.h"

#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* glibc 2.26 to 2.40, malloc/malloc.c ("struct malloc_chunk") and malloc/arena.c ("struct _heap_info"), on machines of
 * 64 bits. */
typedef struct chunk_header {
    size_t size_before; /* of a mapped chunk: the bytes of the mapping before it */
    size_t size;        /* with the flags */
} chunk_header;
enum { CHUNK_MAPPED = 2, CHUNK_OF_OTHER_ARENA = 4, CHUNK_FLAGS = 7, CHUNK_ALIGNMENT = 16, CHUNK_MIN = 32 };

typedef struct heap_header {
    uintptr_t arena;
    uintptr_t heap_before;
    size_t size;
} heap_header;
#define HEAP_MAX ((uintptr_t)64 << 20) /* a heap begins at a multiple of this */

static uintptr_t break_at_start;

static uintptr_t break_now(void) {
    return (uintptr_t)sbrk(0);
}

__attribute__((constructor)) static void note_break(void) {
    break_at_start = break_now();
}

static bool peek(uintptr_t address, void *copy, size_t size) {
    int saved = errno;
    struct iovec to = {copy, size};
    struct iovec from = {(void *)address, size};
    bool done = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)size;
    errno = saved;
    return done;
}

static bool is_in_heap(uintptr_t address, size_t size) {
    heap_header heap;
    uintptr_t start = address & ~(HEAP_MAX - 1);
    return peek(start, &heap, sizeof heap) && heap.arena != 0 && heap.size <= HEAP_MAX &&
           heap.size % hki_os_page_size() == 0 && address + size <= start + heap.size;
}

static bool is_chunk(uintptr_t address, chunk_header header) {
    size_t size = header.size & ~(size_t)CHUNK_FLAGS;
    size_t page = hki_os_page_size();
    if (size < CHUNK_MIN || size % CHUNK_ALIGNMENT != 0 || size > UINTPTR_MAX - address)
        return false;
    if ((header.size & CHUNK_MAPPED) != 0)
        return header.size_before <= address && (address - header.size_before) % page == 0 &&
               (size + header.size_before) % page == 0;
    if ((header.size & CHUNK_OF_OTHER_ARENA) != 0)
        return is_in_heap(address, size);
    return break_at_start != 0 && address >= break_at_start && address + size <= break_now();
}

hkm_libc_block hkm_libc_find(void *pointer) {
    uintptr_t address = (uintptr_t)pointer - sizeof(chunk_header);
    chunk_header header;
    if ((uintptr_t)pointer % CHUNK_ALIGNMENT != 0 || !peek(address, &header, sizeof header) ||
        !is_chunk(address, header))
        return (hkm_libc_block){0};
    size_t size = header.size & ~(size_t)CHUNK_FLAGS;
    bool is_mapped = (header.size & CHUNK_MAPPED) != 0;
    return (hkm_libc_block){pointer, size - (is_mapped ? sizeof header : sizeof header.size)};
}

void hkm_libc_free(hkm_libc_block block) {
    void (*libc_free)(void *) = NULL;
    void *address = dlsym(RTLD_NEXT, "__libc_free");
    memcpy(&libc_free, &address, sizeof libc_free);
    if (libc_free != NULL)
        libc_free(block.pointer);
}
