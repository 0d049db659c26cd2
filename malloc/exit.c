/* exit: see exit.h. HAKMEM_STATS=1|json: figures on standard error at exit; HAKMEM_HEAP_MAP=FILE: a picture then, with
 * %p in FILE for the process's number; HAKMEM_STATS_SIGNAL=NAME: figures on standard error whenever that signal comes.
 *
 * State, set once at the start: what has been asked for, and a descriptor of standard error, as many programs close
 * theirs before they end; it is used only while it is still the same file. */
#include "exit.h"

#include "map.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "statistics.h"
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool figures;
    hkm_format format;
    char map_file[PATH_MAX]; /* empty: none. A copy, as programs may write over their environment */
    int error_copy;          /* of standard error; -1: none */
    struct stat error_file;
} asked = {.error_copy = -1};

/* ---- figures ---- */

static void write_table(hki_writer *writer, const hk_statistics *figures) {
    hki_write(writer, "memory of %s, process %ld (hakmem %s)\n", program_invocation_short_name, (long)getpid(),
              HK_VERSION_STRING);
#define LINE(name, meaning) hki_write(writer, "%18s %15zu  %s\n", #name, figures->name, meaning);
    HKI_STATISTICS(LINE)
#undef LINE
    hki_write(writer, "%18s %15s  %15s\n", "block size", "live blocks", "held bytes");
    for (size_t i = 0; i < figures->size_classes; i++) {
        const hk_class_statistics *row = &figures->classes[i];
        if (hki_statistics_has(row))
            hki_write(writer, "%18zu %15zu  %15zu\n", row->block_size, row->live_blocks, row->held_bytes);
    }
}

/* A program's name may hold anything; what would need an escape in JSON is left out. */
static void write_name(hki_writer *writer, const char *name) {
    for (; *name != '\0'; name++)
        if ((unsigned char)*name >= ' ' && (unsigned char)*name < 0x7f && *name != '"' && *name != '\\')
            hki_write(writer, "%c", *name);
}

static void write_json(hki_writer *writer, const hk_statistics *figures) {
    hki_write(writer, "{\"arena\":\"process\",\"version\":\"%s\",\"program\":\"", HK_VERSION_STRING);
    write_name(writer, program_invocation_short_name);
    hki_write(writer, "\",\"process\":%ld", (long)getpid());
#define MEMBER(name, meaning) hki_write(writer, ",\"%s\":%zu", #name, figures->name);
    HKI_STATISTICS(MEMBER)
#undef MEMBER
    hki_write(writer, ",\"classes\":[");
    const char *before = "";
    for (size_t i = 0; i < figures->size_classes; i++) {
        const hk_class_statistics *row = &figures->classes[i];
        if (!hki_statistics_has(row))
            continue;
        hki_write(writer, "%s{\"block_size\":%zu,\"live_blocks\":%zu,\"held_bytes\":%zu}", before, row->block_size,
                  row->live_blocks, row->held_bytes);
        before = ",";
    }
    hki_write(writer, "]}\n");
}

void hkm_peek(hk_statistics *figures) {
    const hki_arena *process = hki_process_arena();
    *figures = (hk_statistics){0};
    if (process != NULL)
        hki_statistics_peek(process, figures);
}

void hkm_write_figures(int file_descriptor, hkm_format format) {
    hk_statistics figures;
    hki_writer writer = {.descriptor = file_descriptor};
    hkm_peek(&figures);
    if (format == HKM_AS_JSON)
        write_json(&writer, &figures);
    else
        write_table(&writer, &figures);
    hki_writer_finish(&writer);
}

/* ---- where to ---- */

static void copy_standard_error(void) {
    enum { OUT_OF_THE_WAY = 64 };
    asked.error_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (asked.error_copy >= 0 && fstat(asked.error_copy, &asked.error_file) != 0)
        asked.error_copy = -1;
}

static bool is_same_file(int file_descriptor) {
    struct stat now;
    return fstat(file_descriptor, &now) == 0 && now.st_dev == asked.error_file.st_dev &&
           now.st_ino == asked.error_file.st_ino;
}

static int standard_error(void) {
    return asked.error_copy >= 0 && is_same_file(asked.error_copy) ? asked.error_copy : STDERR_FILENO;
}

/* ---- the options ---- */

static void load_figures(const char *value) {
    if (strcmp(value, "1") == 0 || strcmp(value, "json") == 0) {
        asked.figures = true;
        asked.format = *value == '1' ? HKM_AS_TABLE : HKM_AS_JSON;
    } else if (strcmp(value, "0") != 0) {
        hki_options_complain("HAKMEM_STATS", value, "none of: 0 1 json");
    }
}

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    hkm_write_figures(standard_error(), asked.format);
    errno = saved;
}

static void load_signal(const char *value) {
    static const struct {
        const char *name;
        int number;
    } signals[] = {
#define SIGNAL(word, number) {word, number},
        HKM_SIGNALS(SIGNAL)
#undef SIGNAL
    };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(value, signals[i].name) != 0)
            continue;
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigaction(signals[i].number, &action, NULL);
        return;
    }
#define SIGNAL(word, number) " " word
    hki_options_complain("HAKMEM_STATS_SIGNAL", value, "none of:" HKM_SIGNALS(SIGNAL));
#undef SIGNAL
}

static void load_map(const char *value) {
    if (strlen(value) < sizeof asked.map_file)
        strcpy(asked.map_file, value);
    else
        hki_options_complain("HAKMEM_HEAP_MAP", value, "too long for a file's name");
}

static const char *option(const char *name) {
    const char *value = hki_os_environment(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

void hkm_exit_begin(void) {
    const char *figures = option("HAKMEM_STATS");
    const char *signal_name = option("HAKMEM_STATS_SIGNAL");
    const char *map_file = option("HAKMEM_HEAP_MAP");
    int saved = errno;
    if (figures != NULL)
        load_figures(figures);
    if (map_file != NULL)
        load_map(map_file);
    if (asked.figures || signal_name != NULL)
        copy_standard_error();
    if (signal_name != NULL)
        load_signal(signal_name);
    errno = saved;
}

/* ---- the end ---- */

/* The name of the picture, with the process's number for each %p; false if it is too long. */
static bool expand(const char *pattern, char *name, size_t size) {
    size_t length = 0;
    while (*pattern != '\0' && length < size) {
        bool is_number = pattern[0] == '%' && pattern[1] == 'p';
        int more = is_number ? snprintf(name + length, size - length, "%ld", (long)getpid())
                             : snprintf(name + length, size - length, "%c", *pattern);
        length += (size_t)more;
        pattern += is_number ? 2 : 1;
    }
    return length < size;
}

static void draw_map(const char *pattern) {
    char name[PATH_MAX];
    hki_arena *process = hki_process_arena();
    bool done = false;
    if (process != NULL && expand(pattern, name, sizeof name)) {
        int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        done = file >= 0 && hki_map_write(process, NULL, file);
        if (file >= 0)
            done &= close(file) == 0;
    }
    if (!done)
        hki_options_complain("HAKMEM_HEAP_MAP", pattern, "no file that can be written to");
}

void hkm_exit_end(void) {
    if (*asked.map_file != '\0')
        draw_map(asked.map_file);
    if (asked.figures)
        hkm_write_figures(standard_error(), asked.format);
}
