/* hklua_end: the moment at which --stats and --heap-map look at the state's memory: when the script is over and nothing
 * of it has been given back. */
#ifndef HKLUA_END_H
#define HKLUA_END_H

#include <lua.h>

/* A lua_CFunction; its one argument is the hklua_options as light userdata, which must live as long as the process.
 * Arranges for what the options ask for at the end: in success and failure, also when the script calls os.exit. Once
 * for each process, before anything else is made in the state.
 *
 * The moment is when the state is being closed: its finalizers have run, none of its memory has been given back. If it
 * is not closed at all (os.exit without its second argument) it is that of exit.
 *
 * Returns one value, which has to stay on the stack until the state is closed. */
int hklua_end_arrange(lua_State *L);
/* The moment has come, if anything was arranged: the state is about to end without finalizers. */
void hklua_end_now(void);

#endif
