/* module_report: what arenas and addresses tell about themselves, as Lua's values. No data of its own. */
#include "module.h"

#include "../totals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void set_size(lua_State *L, const char *name, size_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_class(lua_State *L, const hk_class_statistics *row) {
    lua_createtable(L, 0, 3);
    set_size(L, "block_size", row->block_size);
    set_size(L, "live_blocks", row->live_blocks);
    set_size(L, "held_bytes", row->held_bytes);
}

void module_push_statistics(lua_State *L, const hk_statistics *statistics) {
    lua_createtable(L, 0, 16);
#define FIELD(name, meaning) set_size(L, #name, statistics->name);
    HAKMEM_TOTALS(FIELD)
#undef FIELD
    lua_newtable(L);
    lua_Integer count = 0;
    for (size_t i = 0; i < statistics->size_classes; i++) {
        const hk_class_statistics *row = &statistics->classes[i];
        if (row->live_blocks == 0 && row->held_bytes == 0)
            continue;
        push_class(L, row);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "classes");
}

/* The name of the arena comes first, while it is known to be there: making tables may run finalizers, which may
 * close it. */
void module_push_pointer_info(lua_State *L, const hk_pointer_info *info) {
    static const char *const kinds[] = {
        [HK_POINTER_FOREIGN] = "foreign", [HK_POINTER_SMALL] = "small",   [HK_POINTER_LARGE] = "large",
        [HK_POINTER_HUGE] = "huge",       [HK_POINTER_UNUSED] = "unused",
    };
    static const char *const states[] = {
        [HK_BLOCK_NONE] = "none",
        [HK_BLOCK_LIVE] = "live",
        [HK_BLOCK_FREE] = "free",
        [HK_BLOCK_FREED_REMOTELY] = "freed_remotely",
    };
    if (info->arena != NULL)
        lua_pushstring(L, hk_arena_name(info->arena));
    else
        lua_pushnil(L);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kinds[info->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, states[info->state]);
    lua_setfield(L, -2, "state");
    if (info->block_start != NULL) {
        set_size(L, "block_start", (uintptr_t)info->block_start);
        set_size(L, "block_size", info->block_size);
    }
    lua_insert(L, -2);
    lua_setfield(L, -2, "arena");
}

/* ---- walks ----
 *
 * The visitor is Lua code: it may allocate in the arena, collect garbage there, close it, and raise errors. So it is
 * called for a list of the blocks that there were, when the walk itself is over. */

typedef struct block_list {
    size_t count; /* blocks seen; only the first `room` are kept */
    size_t room;
    struct {
        const void *block;
        size_t size_bytes;
    } blocks[];
} block_list;

static bool count_block(const void *block, size_t size_bytes, void *count) {
    (void)block;
    (void)size_bytes;
    ++*(size_t *)count;
    return true;
}

static bool list_block(const void *block, size_t size_bytes, void *user_data) {
    block_list *list = user_data;
    if (list->count < list->room) {
        list->blocks[list->count].block = block;
        list->blocks[list->count].size_bytes = size_bytes;
    }
    list->count++;
    return true;
}

static void walk(lua_State *L, const module_arena *arena, hk_block_visitor visitor, void *user_data) {
    if (arena->handle == NULL)
        (void)module_raise(L, HK_ERR_BAD_ARENA, "the arena was closed by a finalizer");
    module_check_status(L, hk_arena_walk(arena->handle, visitor, user_data));
}

/* Pushes the list. Making it can change the number of blocks, in an arena that the state lives in; then once more. */
static block_list *push_blocks(lua_State *L, const module_arena *arena) {
    size_t count = 0;
    walk(L, arena, count_block, &count);
    for (;;) {
        size_t room = count + count / 8 + 16;
        block_list *list = lua_newuserdatauv(L, sizeof *list + room * sizeof *list->blocks, 0);
        *list = (block_list){.room = room};
        walk(L, arena, list_block, list);
        if (list->count <= room)
            return list;
        count = list->count;
        lua_pop(L, 1);
    }
}

void module_arena_walk(lua_State *L, module_arena *open_arena, module_function visitor) {
    const block_list *list = push_blocks(L, open_arena);
    for (size_t i = 0; i < list->count; i++) {
        lua_pushvalue(L, visitor);
        lua_pushinteger(L, (lua_Integer)(uintptr_t)list->blocks[i].block);
        lua_pushinteger(L, (lua_Integer)list->blocks[i].size_bytes);
        lua_call(L, 2, 1);
        bool is_over = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (is_over)
            return;
    }
}

/* ---- maps ---- */

void module_arena_map(lua_State *L, hk_arena *arena, const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        luaL_error(L, "cannot open '%s' for the map: %s", path, strerror(errno));
    hk_status status = hk_arena_dump_map(arena, file);
    if (close(file) != 0 && status == HK_OK)
        status = HK_ERR_INVALID_ARGUMENT;
    if (status != HK_OK)
        (void)module_raise(L, status, "cannot write the map to '%s'", path);
}
