#!/bin/sh
# The Lua interpreter of the system with bench/lua/binary_trees.lua.
# usage: lua5.4-binary_trees.sh prepare|run [SIZE]
if [ "$1" = prepare ]; then
    command -v lua5.4 >/dev/null || { echo 'lua5.4 is not here: apt install lua5.4' >&2; exit 3; }
    exit 0
fi
export LD_PRELOAD="$HKBENCH_PRELOAD"
exec lua5.4 "$HKBENCH_PROGRAMS/../lua/binary_trees.lua" "${2:-15}"
