/* hklua_statistics: the figures that --stats prints on standard error when the process ends. */
#ifndef HKLUA_STATISTICS_H
#define HKLUA_STATISTICS_H

#include <lua.h>

/* A lua_CFunction; its one argument is the hklua_options as light userdata. Arranges for the figures of the state's
 * arena to be printed when the process ends by exit() or by a return from main, in success and failure, also when the
 * script calls os.exit. Once for each process, before anything else is made in the state.
 *
 * They are taken when the state is being closed: its finalizers have run, none of its memory has been given back. If it
 * is not closed at all (os.exit without its second argument) they are taken at exit.
 *
 * Returns one value, which has to stay on the stack until the state is closed. */
int hklua_statistics_arrange(lua_State *L);

#endif
