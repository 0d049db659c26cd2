/* os_rewind_linux: see os_rewind.h. No state. The headers of the kernel that we are built with may be older than the
 * one that we run on, so what is newer than Linux 6.1 is written out here. */
#include "os_rewind.h"

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/userfaultfd.h> */
enum {
    USER_MODE_ONLY = 1,               /* what the kernel resolves itself needs no privilege */
    FEATURE_WP_UNPOPULATED = 1 << 13, /* pages that do not exist yet can be protected */
    FEATURE_WP_ASYNC = 1 << 15,       /* a write to a protected page only takes the protection away */
    FEATURES = FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC,
};

/* <linux/fs.h> */
typedef struct scan_arguments {
    uint64_t size, flags;
    uint64_t start, end, walk_end;
    uint64_t found, found_max;
    uint64_t max_pages;
    uint64_t inverted, all_of, any_of, wanted;
} scan_arguments;
#define SCAN _IOWR('f', 16, scan_arguments)
enum { SCAN_PROTECTS = 1 << 0, SCAN_FAILS_WITHOUT_TRACKING = 1 << 1 };
_Static_assert(sizeof(scan_arguments) == 96 && sizeof(hki_os_pages) == 24, "as the kernel has them");

/* <linux/fcntl.h> */
enum { SEALS = 0x1 | 0x2 | 0x4 | 0x8 }; /* against more seals, shrinking, growing, writing */

/* ---- write tracking ---- */

static bool request(int file, unsigned long code, void *argument) {
    int saved = errno;
    bool done = !hki_os_refused() && ioctl(file, code, argument) == 0;
    errno = saved;
    return done;
}

void hki_os_tracker_close(hki_os_tracker *tracker) {
    hki_os_file_close(tracker->faults);
    hki_os_file_close(tracker->pages);
    *tracker = (hki_os_tracker){-1, -1};
}

bool hki_os_tracker_open(hki_os_tracker *tracker) {
    int saved = errno;
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
    *tracker = (hki_os_tracker){-1, -1};
    if (!hki_os_refused())
        tracker->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
    if (tracker->faults >= 0 && request(tracker->faults, UFFDIO_API, &api) && !hki_os_refused())
        tracker->pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    errno = saved;
    if (tracker->pages >= 0)
        return true;
    hki_os_tracker_close(tracker);
    return false;
}

bool hki_os_track(const hki_os_tracker *tracker, void *start, size_t size) {
    int saved = errno;
    (void)madvise(start, size, MADV_NOHUGEPAGE); /* kernels without huge pages refuse, and need not be asked */
    errno = saved;
    struct uffdio_register range = {.range = {(uintptr_t)start, size}, .mode = UFFDIO_REGISTER_MODE_WP};
    return request(tracker->faults, UFFDIO_REGISTER, &range);
}

void hki_os_untrack(const hki_os_tracker *tracker, void *start, size_t size) {
    struct uffdio_range range = {(uintptr_t)start, size};
    (void)request(tracker->faults, UFFDIO_UNREGISTER, &range);
}

bool hki_os_protect(const hki_os_tracker *tracker, void *start, size_t size) {
    scan_arguments scan = {
        .size = sizeof scan,
        .flags = SCAN_PROTECTS | SCAN_FAILS_WITHOUT_TRACKING,
        .start = (uintptr_t)start,
        .end = (uintptr_t)start + size,
        .all_of = HKI_OS_PAGE_WRITTEN,
    };
    return request(tracker->pages, SCAN, &scan);
}

bool hki_os_find_written(const hki_os_tracker *tracker, const char *start, const char *end, hki_os_pages *found,
                         size_t max, size_t *count, const char **reached) {
    scan_arguments scan = {
        .size = sizeof scan,
        .flags = SCAN_FAILS_WITHOUT_TRACKING,
        .start = (uintptr_t)start,
        .end = (uintptr_t)end,
        .found = (uintptr_t)found,
        .found_max = max,
        .all_of = HKI_OS_PAGE_WRITTEN,
        .wanted = HKI_OS_PAGE_WRITTEN | HKI_OS_PAGE_PRESENT | HKI_OS_PAGE_SWAPPED,
    };
    if (hki_os_refused())
        return false;
    int saved = errno;
    long rows = ioctl(tracker->pages, SCAN, &scan);
    errno = saved;
    if (rows < 0)
        return false;
    *count = (size_t)rows;
    *reached = (const char *)(uintptr_t)scan.walk_end;
    return true;
}

/* ---- files in memory ---- */

int hki_os_file_create(size_t size) {
    if (hki_os_refused())
        return -1;
    int saved = errno;
    int file = memfd_create("hakmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file >= 0 && (hki_os_refused() || ftruncate(file, (off_t)size) != 0)) {
        close(file);
        file = -1;
    }
    errno = saved;
    return file;
}

bool hki_os_file_write(int file, const void *from, size_t size, size_t offset) {
    const char *bytes = from;
    if (hki_os_refused())
        return false;
    int saved = errno;
    while (size > 0) {
        ssize_t written = pwrite(file, bytes, size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        bytes += written;
        offset += (size_t)written;
        size -= (size_t)written;
    }
    errno = saved;
    return size == 0;
}

bool hki_os_file_seal(int file) {
    if (hki_os_refused())
        return false;
    int saved = errno;
    bool done = fcntl(file, F_ADD_SEALS, SEALS) == 0;
    errno = saved;
    return done;
}

void *hki_os_file_map(int file, size_t offset, void *start, size_t size) {
    if (hki_os_refused())
        return NULL;
    int saved = errno;
    int protection = start == NULL ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = MAP_PRIVATE | MAP_NORESERVE | (start == NULL ? 0 : MAP_FIXED);
    void *got = mmap(start, size, protection, flags, file, (off_t)offset);
    errno = saved;
    return got == MAP_FAILED ? NULL : got;
}

void hki_os_file_close(int file) {
    int saved = errno;
    if (file >= 0)
        close(file);
    errno = saved;
}

bool hki_os_renew(void *start, size_t size) {
    if (hki_os_refused())
        return false;
    int saved = errno;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    bool done = mmap(start, size, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED;
    errno = saved;
    return done;
}
