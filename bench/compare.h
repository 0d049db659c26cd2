/* compare: `hkbench compare`, `hkbench arenas`, `hkbench lua` and `hkbench preload`, every row with every allocator,
 * in fresh processes. */
#ifndef HKBENCH_COMPARE_H
#define HKBENCH_COMPARE_H

#include "options.h"

int compare_command(const compare_options *options);
int arenas_command(const compare_options *options);
int lua_command(const compare_options *options);
int preload_command(const compare_options *options);

#endif
