#!/bin/sh
# stress-ng's malloc stressor in two threads, a fixed number of its operations.
# usage: stress-ng.sh prepare|run [OPERATIONS]
if [ "$1" = prepare ]; then
    command -v stress-ng >/dev/null || { echo 'stress-ng is not here: apt install stress-ng' >&2; exit 3; }
    exit 0
fi
export LD_PRELOAD="$HKBENCH_PRELOAD"
exec stress-ng --quiet --no-rand-seed --temp-path . --malloc 1 --malloc-pthreads 1 --malloc-touch --malloc-max 4096 \
    --malloc-bytes 16K --malloc-ops "${2:-60000}"
