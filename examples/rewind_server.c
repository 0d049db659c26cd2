/* rewind_server: an HTTP server on the loopback interface whose answers a Lua application writes. The application is
 * loaded once; after each request its state goes back to where it was then, so that whatever a request did to globals,
 * metatables, modules or memory is not there for the next one.
 *
 *   build/bin/example_rewind_server 8080 examples/rewind_server/app.lua
 *   curl http://127.0.0.1:8080/status
 *   curl http://127.0.0.1:8080/mischief/leak?megabytes=50
 *   curl http://127.0.0.1:8080/status                         the same as before
 *
 *   rewind_server.c                from the command line to the end
 *   rewind_server/options.c        what the command line says
 *   rewind_server/application.c    the Lua state: arena, limit, checkpoint, rollback; look here first
 *   rewind_server/exchange.c       a request and its response, in Lua and in HTTP
 *   rewind_server/server.c         connections, by libmicrohttpd
 *   rewind_server/app.lua          the application
 *
 * A request that never ends stops the server: memory is bounded here, time is not. */
#include "rewind_server/application.h"
#include "rewind_server/options.h"
#include "rewind_server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static sigset_t stop_signals(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

static bool serve(application *app, const options *chosen) {
    /* Blocked before there is a second thread, so that only sigwait gets them. */
    sigset_t signals = stop_signals();
    sigprocmask(SIG_BLOCK, &signals, NULL);
    server *http = server_start(app, chosen->port, chosen->request_bound);
    if (http == NULL)
        return false;
    printf("listening on 127.0.0.1:%u\n", (unsigned)server_port(http));
    fflush(stdout);
    bool serves_none = chosen->has_request_bound && chosen->request_bound == 0;
    int received;
    if (!serves_none)
        (void)sigwait(&signals, &received);
    return server_stop(http);
}

int main(int argc, char **argv) {
    options chosen;
    options_result parsed = options_parse(argc, argv, &chosen);
    if (parsed != OPTIONS_SERVE)
        return parsed == OPTIONS_HELP_SHOWN ? EXIT_SUCCESS : 2;
    application app;
    if (!application_open(&app, &chosen.application))
        return EXIT_FAILURE;
    bool served = serve(&app, &chosen);
    application_close(&app);
    return served ? EXIT_SUCCESS : EXIT_FAILURE;
}
