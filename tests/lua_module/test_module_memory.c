/* Every allocation of Lua fails once in turn, and from there on: what the module does then leaks no arena and no
 * block. */
#include "arena_count.h"
#include "module_state.h"

/* Requests fail from `first_failure` on, `failures` of them; Lua tries a failed one again, so that one alone is
 * none. */
typedef struct failing_allocator {
    size_t requests;
    size_t first_failure;
    size_t failures;
} failing_allocator;

static void *allocate(void *user_data, void *pointer, size_t old_size, size_t new_size) {
    failing_allocator *allocator = user_data;
    if (new_size == 0) {
        free(pointer);
        return NULL;
    }
    if (pointer == NULL || new_size > old_size) {
        size_t request = allocator->requests++;
        if (request >= allocator->first_failure && request - allocator->first_failure < allocator->failures)
            return NULL;
    }
    return realloc(pointer, new_size);
}

/* Everything that the module does, with what is kept where the test looks. */
static const char script[] = "kept = {}\n"
                             "local hakmem = require('hakmem')\n"
                             "local arena = hakmem.arena({name = 'kept', rewindable = true, reserve = '4M'})\n"
                             "kept.arena = arena\n"
                             "kept[1] = arena:buffer(100)\n"
                             "arena:checkpoint()\n"
                             "for i = 2, 5 do kept[i] = arena:buffer(i * 1000) end\n"
                             "for i = 1, 5 do arena:buffer(64) end\n"
                             "for i = 1, 5 do local buffer <close> = arena:buffer('1K'); buffer[i] = i end\n"
                             "assert(kept[1]:write('hello') == 6 and kept[1]:read(1, 5) == 'hello')\n"
                             "assert(#tostring(arena) + #tostring(kept[1]) + #kept[1] > 100)\n"
                             "local figures = arena:statistics()\n"
                             "local info = hakmem.classify(kept[1])\n"
                             "local blocks = 0\n"
                             "arena:walk(function(address, size) blocks = blocks + 1; return {} end)\n"
                             "local ok = pcall(arena.walk, arena, function() error('stop') end)\n"
                             "arena:map('/dev/null')\n"
                             "pcall(function() return kept[1][200] end)\n"
                             "pcall(arena.buffer, arena, '1G')\n"
                             "pcall(hakmem.arena, {nonsense = 1})\n"
                             "hakmem.this_state()\n"
                             "do local other <close> = hakmem.arena(); other:buffer(10) end\n"
                             "hakmem.arena():buffer(10)\n"
                             "return figures, info, blocks\n";

/* What is live in the arena that was kept is what was kept of it. But where there was no memory even to call
 * finalizers, their blocks wait for the end of the arena. */
static const char check[] = "collectgarbage() collectgarbage()\n"
                            "if kept and kept.arena then\n"
                            "    local live = kept.arena:statistics().live_blocks\n"
                            "    assert(live == #kept or live > #kept and had_no_memory, live .. ' of ' .. #kept)\n"
                            "    for i = 1, #kept do kept[i][1] = 1 end\n"
                            "    assert(kept.arena:check())\n"
                            "end\n";

/* Whether the script came to its end without a failure. */
static bool run_with_failures(size_t first_failure, size_t failures) {
    failing_allocator allocator = {.failures = 0};
    lua_State *L = lua_newstate(allocate, &allocator);
    open_libraries(L);
    cr_assert_eq(luaL_loadstring(L, script), LUA_OK);
    allocator.first_failure = allocator.requests + first_failure;
    allocator.failures = failures;
    int status = lua_pcall(L, 0, 0, 0);
    allocator.failures = 0;
    bool has_failed = allocator.requests > allocator.first_failure;
    cr_assert(status == LUA_OK || has_failed, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    lua_pushboolean(L, failures > 2);
    lua_setglobal(L, "had_no_memory");
    run(L, check);
    lua_close(L);
    cr_assert_eq(arena_count, 0, "%d arenas are left, failure %zu", arena_count, first_failure);
    return !has_failed;
}

static void fail_each(size_t failures) {
    size_t first = 0;
    while (!run_with_failures(first, failures))
        first++;
    cr_assert_gt(first, 100);
}

Test(module_memory, each_request_fails_with_its_second_try, .timeout = 100) {
    fail_each(2);
}

Test(module_memory, all_requests_fail_from_each_on, .timeout = 100) {
    fail_each(SIZE_MAX);
}
