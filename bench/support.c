/* support: see support.h. */
#include "support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(int exit_status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fputs("hkbench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(exit_status);
}

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void *map_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die(EXIT_FAILED, "the operating system refused %zu bytes for the harness", bytes);
    return memory;
}

void unmap_memory(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

size_t peak_resident_bytes(void) {
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL)
        die(EXIT_FAILED, "cannot read /proc/self/status");
    char line[256];
    char *end = NULL;
    unsigned long kilobytes = 0;
    while (end == NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kilobytes = strtoul(line + 6, &end, 10);
    fclose(status);
    return (size_t)kilobytes * 1024;
}

void program_directory(char *path, size_t size) {
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length < 0)
        die(EXIT_FAILED, "cannot read /proc/self/exe");
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}
