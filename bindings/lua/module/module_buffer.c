/* module_buffer: blocks as buffers of bytes, counted from 1. See module.h. Owns the counter of buffers, which all
 * states share; a number is never used again. */
#include "module.h"

#include <limits.h>
#include <stdatomic.h>

static atomic_uint_fast64_t buffer_count;

enum { NUMBER_SIZE = sizeof(uint64_t) };

bool module_buffer_is_live(const module_buffer *buffer) {
    if (buffer->bytes == NULL || buffer->arena->handle == NULL)
        return false;
    hk_pointer_info info = {.struct_size = sizeof info};
    (void)hk_classify(buffer->bytes, &info);
    /* The block that is live may be another one, and shorter. */
    return info.state == HK_BLOCK_LIVE && info.arena == buffer->arena->handle && info.block_start == buffer->bytes &&
           info.block_size >= buffer->size_bytes + NUMBER_SIZE &&
           memcmp(buffer->bytes + buffer->size_bytes, &buffer->number, NUMBER_SIZE) == 0;
}

void module_buffer_close(module_buffer *any_buffer) {
    if (module_buffer_is_live(any_buffer))
        (void)hk_arena_free(any_buffer->arena->handle, any_buffer->bytes);
    any_buffer->bytes = NULL;
}

/* The collector sees a buffer as one small userdata. Told of its bytes as well, it keeps step with what scripts leave
 * behind in arenas that have no limit. */
static void tell_collector(lua_State *L, size_t size_bytes) {
    size_t kib = size_bytes >> 10;
    if (kib != 0 && lua_gc(L, LUA_GCISRUNNING) == 1)
        (void)lua_gc(L, LUA_GCSTEP, kib < INT_MAX >> 11 ? (int)kib : INT_MAX >> 11);
}

/* NULL and the reason in *status. Finalizers may have closed the arena when the collector was called. */
static unsigned char *allocate(const module_arena *arena, size_t size_bytes, hk_status *status) {
    *status = HK_ERR_BAD_ARENA;
    if (arena->handle == NULL)
        return NULL;
    unsigned char *block = hk_arena_calloc(arena->handle, 1, size_bytes + NUMBER_SIZE);
    *status = block != NULL ? HK_OK : hk_last_status();
    return block;
}

static module_buffer *push_buffer(lua_State *L, module_arena *arena, size_t size_bytes) {
    module_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 1);
    *buffer = (module_buffer){.arena = arena, .size_bytes = size_bytes};
    lua_pushvalue(L, 1);
    (void)lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, MODULE_BUFFER);
    return buffer;
}

/* The object comes first: when it cannot be had, there is no block yet that would leak. Where there is no room, buffers
 * that nobody can reach any more are collected, as Lua does for its own objects. */
module_results module_arena_buffer(lua_State *L, module_arena *open_arena, size_t size_bytes) {
    if (open_arena->is_of_state)
        return module_raise(L, HK_ERR_UNSUPPORTED, "the running state lives in this arena; buffers are for others");
    tell_collector(L, size_bytes);
    module_buffer *buffer = push_buffer(L, open_arena, size_bytes);
    hk_status status;
    buffer->bytes = allocate(open_arena, size_bytes, &status);
    if (status == HK_ERR_LIMIT || status == HK_ERR_NO_MEMORY) {
        (void)lua_gc(L, LUA_GCCOLLECT);
        buffer->bytes = allocate(open_arena, size_bytes, &status);
    }
    if (status == HK_ERR_BAD_ARENA)
        return module_raise(L, status, "the arena was closed by a finalizer");
    if (status != HK_OK)
        return module_raise(L, status, "%s: a buffer of %I bytes in arena \"%s\"", hk_status_message(status),
                            (LUAI_UACINT)size_bytes, hk_arena_name(open_arena->handle));
    buffer->number = atomic_fetch_add_explicit(&buffer_count, 1, memory_order_relaxed) + 1;
    memcpy(buffer->bytes + size_bytes, &buffer->number, NUMBER_SIZE);
    return 1;
}

/* ---- whole ranges ---- */

/* Whether 1 <= first, first - 1 <= last, last <= size: the empty range lies before or behind any byte. */
static void check_range(lua_State *L, const module_buffer *buffer, lua_Integer first, lua_Integer last) {
    if (first < 1 || last < first - 1 || (size_t)last > buffer->size_bytes)
        luaL_error(L, "bytes %I to %I are out of bounds; the buffer has bytes 1 to %I", (LUAI_UACINT)first,
                   (LUAI_UACINT)last, (LUAI_UACINT)buffer->size_bytes);
}

module_results module_buffer_read(lua_State *L, const module_buffer *live_buffer, const lua_Integer *first,
                                  const lua_Integer *last) {
    lua_Integer begin = first != NULL ? *first : 1;
    lua_Integer end = last != NULL ? *last : (lua_Integer)live_buffer->size_bytes;
    check_range(L, live_buffer, begin, end);
    lua_pushlstring(L, (const char *)live_buffer->bytes + (begin - 1), (size_t)(end - begin + 1));
    return 1;
}

module_results module_buffer_write(lua_State *L, module_buffer *live_buffer, const char *text, size_t length,
                                   const lua_Integer *first) {
    lua_Integer begin = first != NULL ? *first : 1;
    size_t size = live_buffer->size_bytes;
    if (begin < 1 || (size_t)begin - 1 > size || length > size - ((size_t)begin - 1))
        return luaL_error(L, "%I bytes from %I on are out of bounds; the buffer has bytes 1 to %I", (LUAI_UACINT)length,
                          (LUAI_UACINT)begin, (LUAI_UACINT)size);
    memcpy(live_buffer->bytes + (begin - 1), text, length);
    lua_pushinteger(L, begin + (lua_Integer)length);
    return 1;
}

module_results module_buffer___tostring(lua_State *L, const module_buffer *any_buffer) {
    if (module_buffer_is_live(any_buffer))
        lua_pushfstring(L, MODULE_BUFFER " of %I bytes in arena \"%s\"", (LUAI_UACINT)any_buffer->size_bytes,
                        hk_arena_name(any_buffer->arena->handle));
    else
        lua_pushliteral(L, MODULE_BUFFER " (closed)");
    return 1;
}

/* ---- single bytes: the way that has to be short ---- */

/* Lua calls these with a buffer first; who gets hold of them by the debug library may not. */
static module_buffer *find_self(lua_State *L) {
    bool is_buffer = lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(2));
    if (!is_buffer)
        (void)luaL_typeerror(L, 1, MODULE_BUFFER);
    lua_pop(L, 1);
    return lua_touserdata(L, 1);
}

/* The byte that the number at 2 stands for. */
static unsigned char *find_byte(lua_State *L, const module_buffer *buffer) {
    if (!module_buffer_is_live(buffer))
        (void)module_raise_ended_buffer(L, buffer);
    int is_integer;
    lua_Integer index = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || (lua_Unsigned)index - 1 >= buffer->size_bytes)
        luaL_error(L, "index %s is out of bounds; the buffer has bytes 1 to %I", luaL_tolstring(L, 2, NULL),
                   (LUAI_UACINT)buffer->size_bytes);
    return buffer->bytes + (index - 1);
}

int module_buffer_index(lua_State *L) {
    const module_buffer *buffer = find_self(L);
    if (lua_type(L, 2) != LUA_TNUMBER) {
        lua_settop(L, 2);
        (void)lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    lua_pushinteger(L, *find_byte(L, buffer));
    return 1;
}

int module_buffer_new_index(lua_State *L) {
    module_buffer *buffer = find_self(L);
    if (lua_type(L, 2) != LUA_TNUMBER)
        return luaL_error(L, "a buffer has bytes at integers, and nothing at '%s'", luaL_tolstring(L, 2, NULL));
    unsigned char *byte = find_byte(L, buffer);
    int is_integer = 0;
    lua_Integer value = lua_type(L, 3) == LUA_TNUMBER ? lua_tointegerx(L, 3, &is_integer) : 0;
    if (!is_integer || value < 0 || value > UCHAR_MAX)
        return luaL_error(L, "a byte is an integer from 0 to %d, not %s", UCHAR_MAX,
                          lua_type(L, 3) == LUA_TNUMBER ? luaL_tolstring(L, 3, NULL) : luaL_typename(L, 3));
    *byte = (unsigned char)value;
    return 0;
}
