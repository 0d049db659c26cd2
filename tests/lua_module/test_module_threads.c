/* States in several threads load the module at once, and use it. */
#include "module_state.h"

#include <pthread.h>

enum { THREADS = 4, STATES = 20 };

static const char script[] = "local hakmem = require('hakmem')\n"
                             "local arena <close> = hakmem.arena({limit = '1M'})\n"
                             "for i = 1, 200 do\n"
                             "    local buffer = arena:buffer(i)\n"
                             "    buffer[i] = i % 256\n"
                             "    assert(buffer[i] == i % 256 and hakmem.classify(buffer).state == 'live')\n"
                             "end\n"
                             "assert(arena:check() and arena:statistics().live_blocks <= 200)\n";

static void *run_states(void *unused) {
    for (int i = 0; i < STATES; i++) {
        lua_State *L = luaL_newstate();
        open_libraries(L);
        run(L, script);
        lua_close(L);
    }
    return unused;
}

Test(module_threads, load_at_once) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_states, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}
