/* exchange: see exchange.h. No state but that of each exchange. */
#include "exchange.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_STATUS = 200, MAX_STATUS = 599 };

struct exchange {
    struct MHD_Connection *connection;
    const char *method;
    char *target;
    char *body;
    size_t body_bytes;
    bool has_begun;
    bool is_too_large;
    bool has_no_memory;
    /* What Lua answers; here, so that an error half way does not lose it. */
    struct MHD_Response *response;
    unsigned status;
};

static const struct {
    const char *name;
    const char *key;
} known_headers[] = {
    {MHD_HTTP_HEADER_ACCEPT, "accept"},
    {MHD_HTTP_HEADER_CONTENT_TYPE, "content-type"},
    {MHD_HTTP_HEADER_HOST, "host"},
    {MHD_HTTP_HEADER_USER_AGENT, "user-agent"},
};

exchange *exchange_new(struct MHD_Connection *connection, const char *target) {
    exchange *it = calloc(1, sizeof *it);
    if (it == NULL)
        return NULL;
    it->connection = connection;
    it->target = strdup(target);
    if (it->target != NULL)
        return it;
    free(it);
    return NULL;
}

void exchange_free(exchange *it) {
    if (it == NULL)
        return;
    free(it->target);
    free(it->body);
    free(it);
}

bool exchange_begins(exchange *it) {
    bool begins = !it->has_begun;
    it->has_begun = true;
    return begins;
}

void exchange_add_body(exchange *it, const char *bytes, size_t count) {
    it->is_too_large |= count > EXCHANGE_MAX_REQUEST_BODY - it->body_bytes;
    if (it->is_too_large || it->has_no_memory)
        return;
    char *body = realloc(it->body, it->body_bytes + count);
    if (body == NULL) {
        it->has_no_memory = true;
        return;
    }
    memcpy(body + it->body_bytes, bytes, count);
    it->body = body;
    it->body_bytes += count;
}

/* ---- in Lua: called protected, errors are Lua's ---- */

static void push_request(lua_State *L, const exchange *it) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, it->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, it->target);
    lua_setfield(L, -2, "target");
    lua_pushlstring(L, it->body != NULL ? it->body : "", it->body_bytes);
    lua_setfield(L, -2, "body");
    lua_createtable(L, 0, sizeof known_headers / sizeof *known_headers);
    for (size_t i = 0; i < sizeof known_headers / sizeof *known_headers; i++) {
        lua_pushstring(L, MHD_lookup_connection_value(it->connection, MHD_HEADER_KIND, known_headers[i].name));
        lua_setfield(L, -2, known_headers[i].key);
    }
    lua_setfield(L, -2, "headers");
}

static unsigned status_of(lua_State *L, int response) {
    lua_getfield(L, response, "status");
    int is_integer;
    lua_Integer status = lua_isnil(L, -1) ? MHD_HTTP_OK : lua_tointegerx(L, -1, &is_integer);
    if (!lua_isnil(L, -1) && (!is_integer || status < MIN_STATUS || status > MAX_STATUS))
        luaL_error(L, "response.status is no status from %d to %d", MIN_STATUS, MAX_STATUS);
    lua_pop(L, 1);
    return (unsigned)status;
}

static struct MHD_Response *copy_body(lua_State *L, int response) {
    size_t bytes = 0;
    lua_getfield(L, response, "body");
    const char *body = lua_isnil(L, -1) ? "" : lua_tolstring(L, -1, &bytes);
    if (body == NULL)
        luaL_error(L, "response.body is a %s, not a string", luaL_typename(L, -1));
    if (bytes > EXCHANGE_MAX_RESPONSE_BODY)
        luaL_error(L, "response.body has %I bytes; %I are allowed", (lua_Integer)bytes,
                   (lua_Integer)EXCHANGE_MAX_RESPONSE_BODY);
    /* The declaration lacks a const; libmicrohttpd only reads. */
    struct MHD_Response *copy = MHD_create_response_from_buffer(bytes, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (copy == NULL)
        luaL_error(L, "not enough memory");
    lua_pop(L, 1);
    return copy;
}

static void add_headers(lua_State *L, int response, struct MHD_Response *copy) {
    lua_getfield(L, response, "headers");
    if (lua_isnil(L, -1))
        return;
    luaL_argcheck(L, lua_istable(L, -1), response, "response.headers is no table");
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        /* lua_tostring would change a key that is a number */
        bool is_text = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING;
        if (!is_text || MHD_add_response_header(copy, lua_tostring(L, -2), lua_tostring(L, -1)) != MHD_YES)
            luaL_error(L, "response.headers has an entry that is no header");
        lua_pop(L, 1);
    }
}

/* (answering function, exchange) */
static int answer(lua_State *L) {
    exchange *it = lua_touserdata(L, 2);
    lua_pushvalue(L, 1);
    push_request(L, it);
    lua_call(L, 1, 1);
    int response = lua_gettop(L);
    if (!lua_istable(L, response))
        return luaL_error(L, "the answer is a %s, not a response table", luaL_typename(L, response));
    it->status = status_of(L, response);
    it->response = copy_body(L, response);
    add_headers(L, response, it->response);
    return 0;
}

/* ---- around Lua ---- */

struct MHD_Response *exchange_plain_response(const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (response != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    return response;
}

/* What came over the network must not write to a terminal as it likes. */
static void log_failure(const exchange *it, const char *message) {
    fprintf(stderr, "rewind_server: %s ", it->method);
    for (const char *at = it->target; *at != '\0'; at++)
        fputc(isprint((unsigned char)*at) ? *at : '?', stderr);
    fputs(": ", stderr);
    for (const char *at = message; *at != '\0'; at++)
        fputc(iscntrl((unsigned char)*at) && strchr("\n\t", *at) == NULL ? '?' : *at, stderr);
    fputc('\n', stderr);
}

static struct MHD_Response *refuse(unsigned wanted, const char *text, unsigned *status) {
    *status = wanted;
    return exchange_plain_response(text);
}

static struct MHD_Response *answer_failure(exchange *it, application_result result, const char *message,
                                           unsigned *status) {
    log_failure(it, message);
    if (it->response != NULL)
        MHD_destroy_response(it->response);
    it->response = NULL;
    if (result == APPLICATION_NO_MEMORY)
        return refuse(MHD_HTTP_SERVICE_UNAVAILABLE, "This request needs more memory than it may have.\n", status);
    return refuse(MHD_HTTP_INTERNAL_SERVER_ERROR, "Something went wrong; the server's log tells what.\n", status);
}

struct MHD_Response *exchange_answer(exchange *it, application *app, const char *method, unsigned *status) {
    if (it->is_too_large)
        return refuse(MHD_HTTP_CONTENT_TOO_LARGE, "The request's body is too large.\n", status);
    if (it->has_no_memory)
        return refuse(MHD_HTTP_SERVICE_UNAVAILABLE, "The server is short of memory.\n", status);
    const char *message;
    it->method = method;
    application_result result = application_run(app, answer, it, &message);
    if (result != APPLICATION_DONE)
        return answer_failure(it, result, message, status);
    struct MHD_Response *response = it->response;
    it->response = NULL;
    *status = it->status;
    return response;
}
