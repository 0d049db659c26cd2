/* The application: a Lua state in an arena of its own, loaded once, and brought back to where it was after each
 * request.
 *
 * The state's stack is empty between requests, but for the function that answers them, at index 1. What an application
 * can reach is only what goes back with the arena: the libraries io and os, and modules in C, are not there.
 * One thread at a time. */
#ifndef REWIND_SERVER_APPLICATION_H
#define REWIND_SERVER_APPLICATION_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* What becomes of the state after a request. */
typedef enum application_isolation {
    APPLICATION_REWOUND,  /* it goes back to the checkpoint */
    APPLICATION_REOPENED, /* it is closed, and a new one is loaded */
    APPLICATION_KEPT      /* it stays as it is */
} application_isolation;

typedef struct application_settings {
    const char *path; /* a Lua file; modules are looked for beside it */
    size_t limit_bytes;
    application_isolation isolation;
} application_settings;

typedef struct application {
    application_settings settings;
    lua_State *lua; /* NULL: there is none */
} application;

typedef enum application_result {
    APPLICATION_DONE,
    APPLICATION_FAILED,   /* a Lua error */
    APPLICATION_NO_MEMORY /* the arena's limit, or the system's */
} application_result;

/* Loads the application. If that fails, standard error tells why. Texts in settings stay the caller's, and must
 * last. */
bool application_open(application *app, const application_settings *settings);

/* Calls work(answering function, argument as light userdata), protected. If it fails, *message says why, until the
 * state is renewed; else it is NULL. */
application_result application_run(application *app, lua_CFunction work, void *argument, const char **message);

/* After each request. False: there is no state any more to answer with; standard error tells why. */
bool application_renew(application *app);

void application_close(application *app);

#endif
