/* server: see server.h. `lock` guards the counts; the application belongs to libmicrohttpd's thread. */
#include "server.h"

#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1000, IDLE_SECONDS = 30, DRAIN_SECONDS = 5 };
#define CONNECTION_MEMORY ((size_t)32 << 10)

struct server {
    struct MHD_Daemon *daemon;
    application *app;
    size_t request_bound;
    pthread_mutex_t lock;
    pthread_cond_t drained;
    size_t begun; /* begun >= ended */
    size_t ended;
    atomic_bool is_stopping;
    atomic_bool has_failed;
};

static void ask_to_stop(void) {
    (void)kill(getpid(), SIGTERM);
}

/* ---- called by libmicrohttpd's thread ---- */

/* The first that is heard of a request, and the only place where its target is there as it was sent. */
static void *begin_request(void *context, const char *target, struct MHD_Connection *connection) {
    server *it = context;
    pthread_mutex_lock(&it->lock);
    it->begun++;
    pthread_mutex_unlock(&it->lock);
    return exchange_new(connection, target);
}

static void end_request(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode reason) {
    server *it = context;
    (void)connection;
    (void)reason;
    exchange_free(*request);
    *request = NULL;
    pthread_mutex_lock(&it->lock);
    it->ended++;
    bool was_last = it->ended == it->request_bound;
    if (it->ended == it->begun)
        pthread_cond_signal(&it->drained);
    pthread_mutex_unlock(&it->lock);
    if (was_last)
        ask_to_stop();
}

static struct MHD_Response *answer(server *it, exchange *request, const char *method, unsigned *status) {
    if (atomic_load(&it->has_failed)) {
        *status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return exchange_plain_response("The server is ending.\n");
    }
    struct MHD_Response *response = exchange_answer(request, it->app, method, status);
    if (!application_renew(it->app)) {
        atomic_store(&it->has_failed, true);
        ask_to_stop();
    }
    return response;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *bytes, size_t *byte_count, void **request) {
    server *it = context;
    (void)path;
    (void)version;
    if (*request == NULL)
        return MHD_NO;
    if (exchange_begins(*request))
        return MHD_YES;
    if (*byte_count > 0) {
        exchange_add_body(*request, bytes, *byte_count);
        *byte_count = 0;
        return MHD_YES;
    }
    unsigned status;
    struct MHD_Response *response = answer(it, *request, method, &status);
    if (response == NULL)
        return MHD_NO;
    if (atomic_load(&it->is_stopping))
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- called by the thread that started the server ---- */

static struct MHD_Daemon *start_daemon(server *it, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC, port, NULL, NULL, handle, it,
                            MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_URI_LOG_CALLBACK, begin_request, it,
                            MHD_OPTION_NOTIFY_COMPLETED, end_request, it, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
}

server *server_start(application *app, uint16_t port, size_t request_bound) {
    server *it = calloc(1, sizeof *it);
    if (it == NULL) {
        fputs("rewind_server: not enough memory\n", stderr);
        return NULL;
    }
    it->app = app;
    it->request_bound = request_bound;
    pthread_mutex_init(&it->lock, NULL);
    pthread_cond_init(&it->drained, NULL);
    errno = 0;
    it->daemon = start_daemon(it, port);
    if (it->daemon != NULL)
        return it;
    fprintf(stderr, "rewind_server: 127.0.0.1:%u: %s\n", (unsigned)port, errno != 0 ? strerror(errno) : "no server");
    free(it);
    return NULL;
}

uint16_t server_port(const server *it) {
    return MHD_get_daemon_info(it->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void drain(server *it) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DRAIN_SECONDS;
    pthread_mutex_lock(&it->lock);
    int waited = 0;
    while (it->ended < it->begun && waited == 0)
        waited = pthread_cond_timedwait(&it->drained, &it->lock, &deadline);
    pthread_mutex_unlock(&it->lock);
}

bool server_stop(server *it) {
    atomic_store(&it->is_stopping, true);
    MHD_socket listener = MHD_quiesce_daemon(it->daemon);
    if (listener != MHD_INVALID_SOCKET)
        (void)close(listener);
    drain(it);
    MHD_stop_daemon(it->daemon);
    bool worked = !atomic_load(&it->has_failed);
    pthread_cond_destroy(&it->drained);
    pthread_mutex_destroy(&it->lock);
    free(it);
    return worked;
}
