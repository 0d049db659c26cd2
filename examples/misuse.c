/* A second free is noticed at once, told to the program's own handler, and has no effect. */
#include <hakmem.h>
#include <stdio.h>

static void on_misuse(const hk_error_info *info, void *user_data) {
    int *count = user_data;
    ++*count;
    printf("%s: %s (a block of %zu bytes in arena \"%s\")\n", info->function, hk_status_message(info->status),
           info->block_size, info->arena_name != NULL ? info->arena_name : "?");
}

int main(void) {
    int reports = 0;
    hk_set_error_handler(on_misuse, &reports);

    char *name = hk_malloc(100);
    if (name == NULL)
        return 1;
    hk_free(name + 8); /* not the start of the block: nothing happens */
    hk_free(name);
    hk_free(name); /* free already: nothing happens */

    hk_set_error_handler(NULL, NULL);
    return reports == 2 && hk_last_status() == HK_ERR_DOUBLE_FREE && hk_arena_check(hk_arena_default()) == HK_OK ? 0
                                                                                                                 : 1;
}
