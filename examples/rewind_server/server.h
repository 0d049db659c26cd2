/* The HTTP side: libmicrohttpd on 127.0.0.1, one thread for all connections, so that one request at a time is in the
 * application. The thread that starts and stops it is another one, and stays out of the application meanwhile. */
#ifndef REWIND_SERVER_SERVER_H
#define REWIND_SERVER_SERVER_H

#include "application.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct server server;

/* After request_bound requests (0: never), and when the application cannot go on, the process gets a SIGTERM, for which
 * its main thread should be waiting. Signals must be blocked already. NULL: standard error tells why. */
server *server_start(application *app, uint16_t port, size_t request_bound);
uint16_t server_port(const server *it);
/* Takes no more connections, lets requests that have begun end, as far as they do in some seconds, and frees the
 * server. False if the application could not go on. */
bool server_stop(server *it);

#endif
