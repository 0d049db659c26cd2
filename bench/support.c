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

static FILE *open_for_reading(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        die(EXIT_FAILED, "cannot read %s", path);
    return file;
}

/* The number behind `key`, in bytes, of a file of lines such as "VmHWM:  1234 kB"; 0 if there is none. */
static size_t read_kilobytes(const char *path, const char *key) {
    FILE *file = open_for_reading(path);
    char line[256];
    char *end = NULL;
    unsigned long kilobytes = 0;
    while (end == NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            kilobytes = strtoul(line + strlen(key), &end, 10);
    fclose(file);
    return (size_t)kilobytes * 1024;
}

size_t peak_resident_bytes(void) {
    return read_kilobytes("/proc/self/status", "VmHWM:");
}

size_t resident_bytes(void) {
    return read_kilobytes("/proc/self/smaps_rollup", "Rss:");
}

size_t count_mappings(void) {
    FILE *file = open_for_reading("/proc/self/maps");
    size_t lines = 0;
    for (int character = getc(file); character != EOF; character = getc(file))
        lines += character == '\n';
    fclose(file);
    return lines;
}

size_t allowed_mappings(void) {
    FILE *file = open_for_reading("/proc/sys/vm/max_map_count");
    char line[32] = "";
    if (fgets(line, sizeof line, file) == NULL)
        die(EXIT_FAILED, "vm.max_map_count is empty");
    fclose(file);
    return strtoul(line, NULL, 10);
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

void expand_path(const char *from, char *path, size_t size) {
    path[0] = '\0';
    if (from[0] == '@')
        program_directory(path, size);
    const size_t length = strlen(path);
    snprintf(path + length, size - length, "%s", from[0] == '@' ? from + 1 : from);
}

void restart_program(char **argv) {
    char program[512];
    const ssize_t end = readlink("/proc/self/exe", program, sizeof program - 1);
    if (end < 0)
        return;
    program[end] = '\0';
    execv(program, argv);
}
