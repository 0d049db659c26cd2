#!/bin/sh
# gcc compiles files of hakmem's core: two processes for each, the larger one of some tens of megabytes.
# usage: gcc.sh prepare|run [FILES]      1 or 3
source=$HKBENCH_PROGRAMS/../..
if [ "$1" = prepare ]; then
    command -v gcc >/dev/null || { echo 'gcc is not here: apt install gcc' >&2; exit 3; }
    cp -R "$source/core" "$source/include" . 2>/dev/null || { echo "hakmem's source is not in $source" >&2; exit 3; }
    exit 0
fi
files=${2:-3}
set -- core/heap.c
[ "$files" -lt 3 ] || set -- "$@" core/map.c core/arena.c
export LD_PRELOAD="$HKBENCH_PRELOAD"
exec gcc -std=c11 -O2 -g -D_GNU_SOURCE -I include -I core -c "$@"
