/* One request and its response: from libmicrohttpd to a Lua table, and from a Lua table to libmicrohttpd.
 *
 * Lua gets {method, target, body, headers} (headers by their names in lower case, those of `known_headers`) and returns
 * {status, body, headers}, of which each may be missing. What an exchange holds lies outside of the application's arena
 * and is bounded: a target by libmicrohttpd's memory for a connection, bodies by the two constants here. */
#ifndef REWIND_SERVER_EXCHANGE_H
#define REWIND_SERVER_EXCHANGE_H

#include "application.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#define EXCHANGE_MAX_REQUEST_BODY ((size_t)64 << 10)
#define EXCHANGE_MAX_RESPONSE_BODY ((size_t)4 << 20)

typedef struct exchange exchange;

/* `target` is copied. NULL: not enough memory. */
exchange *exchange_new(struct MHD_Connection *connection, const char *target);
void exchange_free(exchange *it);

/* True the first time: the headers are there, and the body, if any, is still to come. */
bool exchange_begins(exchange *it);
void exchange_add_body(exchange *it, const char *bytes, size_t count);

/* Has the application answer, or says why it cannot. The response is the caller's, and nothing in it lies in the arena,
 * so that the state may be renewed at once. NULL: not enough memory. */
struct MHD_Response *exchange_answer(exchange *it, application *app, const char *method, unsigned *status);

/* A page of one line, for what Lua does not answer. The text must last. */
struct MHD_Response *exchange_plain_response(const char *text);

#endif
