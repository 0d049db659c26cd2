#!/bin/sh
# Python on the allocator under test: PYTHONMALLOC keeps its own small-object allocator out of the way.
# usage: python3.sh prepare|run [ROUNDS]
if [ "$1" = prepare ]; then
    command -v python3 >/dev/null || { echo 'python3 is not here: apt install python3' >&2; exit 3; }
    exit 0
fi
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 LD_PRELOAD="$HKBENCH_PRELOAD"
exec python3 -S "$HKBENCH_PROGRAMS/python3.py" "${2:-12}"
