/* module_arguments: see module.h. Values are taken as they are: no string is a number here, no number a string. No data
 * of its own. */
#include "module.h"

#include "../size_text.h"

void module_check_argument_count(lua_State *L, int most) {
    if (lua_gettop(L) > most)
        (void)luaL_argerror(L, most + 1, "there is no such argument");
}

module_arena *module_check_arena(lua_State *L, int index) {
    return *(module_arena **)luaL_checkudata(L, index, MODULE_ARENA);
}

module_arena *module_check_open_arena(lua_State *L, int index) {
    module_arena *arena = module_check_arena(L, index);
    if (arena->handle == NULL)
        (void)module_raise(L, HK_ERR_BAD_ARENA, "the arena is closed");
    return arena;
}

module_buffer *module_check_buffer(lua_State *L, int index) {
    return luaL_checkudata(L, index, MODULE_BUFFER);
}

int module_raise_ended_buffer(lua_State *L, const module_buffer *buffer) {
    const char *end = "ended when its arena was reset or rolled back";
    if (buffer->bytes == NULL)
        end = "was closed";
    else if (buffer->arena->handle == NULL)
        end = "ended when its arena was closed";
    return luaL_error(L, "use of a buffer that %s", end);
}

module_buffer *module_check_live_buffer(lua_State *L, int index) {
    module_buffer *buffer = module_check_buffer(L, index);
    if (!module_buffer_is_live(buffer))
        (void)module_raise_ended_buffer(L, buffer);
    return buffer;
}

/* ---- numbers ---- */

/* NULL and an integer in *value, or what is wrong with the value at `index`. */
static const char *read_integer(lua_State *L, int index, lua_Integer *value) {
    if (lua_type(L, index) != LUA_TNUMBER)
        return lua_pushfstring(L, "integer expected, got %s", luaL_typename(L, index));
    int is_integer;
    *value = lua_tointegerx(L, index, &is_integer);
    if (is_integer)
        return NULL;
    return lua_pushfstring(L, "integer expected, got %f", lua_tonumber(L, index));
}

static const char *read_size_text(lua_State *L, int index, size_t *size) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    const char *complaint = strlen(text) == length ? size_text_parse(text, size) : "has a zero byte in it";
    if (complaint == NULL)
        return NULL;
    return lua_pushfstring(L, "the size '%s' %s; write bytes, or a number with K, M or G, as in \"4M\"", text,
                           complaint);
}

static const char *read_size(lua_State *L, int index, size_t *size) {
    if (lua_type(L, index) == LUA_TSTRING)
        return read_size_text(L, index, size);
    if (lua_type(L, index) != LUA_TNUMBER)
        return lua_pushfstring(L, "size expected (bytes, or a string as \"4M\"), got %s", luaL_typename(L, index));
    lua_Integer value;
    const char *complaint = read_integer(L, index, &value);
    if (complaint == NULL && value < 0)
        complaint = lua_pushfstring(L, "the size %I is negative", (LUAI_UACINT)value);
    *size = (size_t)value;
    return complaint;
}

size_t module_check_size(lua_State *L, int index) {
    size_t size;
    const char *complaint = read_size(L, index, &size);
    if (complaint != NULL)
        (void)luaL_argerror(L, index, complaint);
    return size;
}

const lua_Integer *module_check_optional_position(lua_State *L, int index, lua_Integer *position) {
    if (lua_isnoneornil(L, index))
        return NULL;
    const char *complaint = read_integer(L, index, position);
    if (complaint != NULL)
        (void)luaL_argerror(L, index, complaint);
    return position;
}

const void *module_check_address(lua_State *L, int index) {
    if (luaL_testudata(L, index, MODULE_BUFFER) != NULL)
        return module_check_live_buffer(L, index)->bytes;
    if (lua_type(L, index) != LUA_TNUMBER)
        (void)luaL_typeerror(L, index, "address (an integer) or buffer");
    lua_Integer address;
    const char *complaint = read_integer(L, index, &address);
    if (complaint != NULL)
        (void)luaL_argerror(L, index, complaint);
    return (const void *)(uintptr_t)address;
}

/* ---- other values ---- */

const char *module_check_string(lua_State *L, int index, size_t *length) {
    luaL_checktype(L, index, LUA_TSTRING);
    return lua_tolstring(L, index, length);
}

const char *module_check_path(lua_State *L, int index) {
    size_t length;
    const char *path = module_check_string(L, index, &length);
    luaL_argcheck(L, strlen(path) == length, index, "the name of a file has a zero byte in it");
    return path;
}

module_function module_check_function(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TFUNCTION);
    return index;
}

/* ---- the table that describes an arena: each function reads the value on top of the stack ---- */

typedef const char *field_reader(lua_State *L, hk_arena_config *config);

static const char *read_flag(lua_State *L, hk_arena_config *config, uint32_t flag) {
    if (!lua_isboolean(L, -1))
        return lua_pushfstring(L, "boolean expected, got %s", luaL_typename(L, -1));
    config->flags |= lua_toboolean(L, -1) ? flag : 0;
    return NULL;
}

static const char *read_hardened(lua_State *L, hk_arena_config *config) {
    return read_flag(L, config, HK_ARENA_HARDENED);
}

static const char *read_rewindable(lua_State *L, hk_arena_config *config) {
    return read_flag(L, config, HK_ARENA_REWINDABLE);
}

static const char *read_limit(lua_State *L, hk_arena_config *config) {
    return read_size(L, -1, &config->limit_bytes);
}

static const char *read_reserve(lua_State *L, hk_arena_config *config) {
    return read_size(L, -1, &config->reserve_bytes);
}

static const char *read_alignment(lua_State *L, hk_arena_config *config) {
    lua_Integer alignment;
    const char *complaint = read_integer(L, -1, &alignment);
    if (complaint == NULL && alignment != 8 && alignment != 16)
        complaint = lua_pushfstring(L, "8 or 16 expected, got %I", (LUAI_UACINT)alignment);
    config->min_alignment = (uint32_t)alignment;
    return complaint;
}

static const char *read_name(lua_State *L, hk_arena_config *config) {
    if (lua_type(L, -1) != LUA_TSTRING)
        return lua_pushfstring(L, "string expected, got %s", luaL_typename(L, -1));
    size_t length;
    config->name = lua_tolstring(L, -1, &length);
    if (length > HK_ARENA_NAME_MAX)
        return lua_pushfstring(L, "%d bytes at most, got %I", HK_ARENA_NAME_MAX, (LUAI_UACINT)length);
    return strlen(config->name) == length ? NULL : "there is a zero byte in it";
}

static const struct {
    const char *name;
    field_reader *read;
} fields[] = {
    {"limit", read_limit},           {"name", read_name},           {"hardened", read_hardened},
    {"rewindable", read_rewindable}, {"alignment", read_alignment}, {"reserve", read_reserve},
};

/* The key and its value are the two on top of the stack. */
static void read_field(lua_State *L, int index, hk_arena_config *config) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    for (size_t i = 0; key != NULL && i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(key, fields[i].name) == 0) {
            const char *complaint = fields[i].read(L, config);
            if (complaint != NULL)
                (void)luaL_argerror(L, index, lua_pushfstring(L, "%s: %s", key, complaint));
            return;
        }
    }
    (void)luaL_argerror(L, index,
                        lua_pushfstring(L,
                                        "there is no option '%s'; there are limit, name, hardened, rewindable, "
                                        "alignment and reserve",
                                        luaL_tolstring(L, -2, NULL)));
}

void module_check_config(lua_State *L, int index, hk_arena_config *config) {
    *config = HK_ARENA_CONFIG_INIT;
    config->flags = HK_ARENA_ONE_THREAD_AT_A_TIME; /* as the state is */
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
        read_field(L, index, config);
    if (config->name != NULL) /* finalizers may take it out of the table */
        config->name = lua_pushstring(L, config->name);
    if ((config->flags & HK_ARENA_HARDENED) != 0 && (config->flags & HK_ARENA_REWINDABLE) != 0)
        (void)module_raise(L, HK_ERR_UNSUPPORTED, "an arena is either hardened or rewindable");
    if (config->reserve_bytes != 0 && (config->flags & HK_ARENA_REWINDABLE) == 0)
        (void)luaL_argerror(L, index, "reserve: only rewindable arenas have one");
}
