/* Reads what `hklua --stats=json` printed from standard input: it must be one line with one JSON object, which has all
 * the totals, and whose rows add up to them. */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const totals[] = {
    "held_bytes",   "peak_held_bytes", "limit_bytes", "live_blocks",    "live_bytes",
    "large_blocks", "large_bytes",     "units",       "limit_failures", "system_failures",
};

static bool is_valid = true;

static void require(bool holds, const char *what) {
    if (!holds)
        fprintf(stderr, "not so: %s\n", what);
    is_valid = is_valid && holds;
}

/* The number of that name; -1 and a complaint if it is missing or no count. */
static double count(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    bool is_count = cJSON_IsNumber(item) && item->valuedouble >= 0;
    require(is_count, name);
    return is_count ? item->valuedouble : -1;
}

static void check(const cJSON *object) {
    require(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(object, "arena")), "there is the arena's name");
    require(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(object, "version")), "there is a version");
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++)
        (void)count(object, totals[i]);

    double live_blocks = count(object, "large_blocks");
    double live_bytes = count(object, "large_bytes");
    double small_held = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(object, "classes")) {
        live_blocks += count(row, "live_blocks");
        live_bytes += count(row, "live_blocks") * count(row, "block_size");
        small_held += count(row, "held_bytes");
    }
    double held = count(object, "held_bytes");
    require(live_blocks > 200, "the blocks of the state are in use");
    require(small_held > 0, "some size class holds memory");
    require(live_blocks == count(object, "live_blocks"), "the rows' blocks add up to live_blocks");
    require(live_bytes == count(object, "live_bytes"), "the rows' bytes add up to live_bytes");
    require(small_held <= held, "the rows hold no more than held_bytes");
    require(live_bytes <= held, "live_bytes is within held_bytes");
    require(held <= count(object, "peak_held_bytes"), "held_bytes is within peak_held_bytes");
}

int main(void) {
    static char text[1 << 16];
    size_t length = fread(text, 1, sizeof text - 1, stdin);
    text[length] = '\0';
    char *end_of_line = strchr(text, '\n');
    require(end_of_line != NULL && end_of_line == text + length - 1, "it is one line");
    if (end_of_line != NULL)
        *end_of_line = '\0';
    cJSON *object = cJSON_ParseWithOpts(text, NULL, true);
    require(cJSON_IsObject(object), "it is a JSON object");
    if (is_valid)
        check(object);
    cJSON_Delete(object);
    return is_valid ? 0 : 1;
}
