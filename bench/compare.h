/* compare: `hkbench compare`, every row with every allocator, in fresh processes. */
#ifndef HKBENCH_COMPARE_H
#define HKBENCH_COMPARE_H

#include "options.h"

int compare_command(const compare_options *options);

#endif
