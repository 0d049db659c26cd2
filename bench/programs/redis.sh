#!/bin/sh
# redis-server on the allocator under test; redis-benchmark, on the system's, asks it through a socket. Prints how many
# requests it answers in a second.
# usage: redis.sh prepare|run [REQUESTS]
if [ "$1" = prepare ]; then
    for program in redis-server redis-benchmark; do
        command -v $program >/dev/null || { echo "$program is not here: apt install redis-server" >&2; exit 3; }
    done
    exit 0
fi
requests=${2:-60000}
# Debian's server is linked to jemalloc; with libc first, the system's malloc is the C library's.
LD_PRELOAD=${HKBENCH_PRELOAD:-libc.so.6} redis-server --port 0 --unixsocket socket --save '' --appendonly no \
    --logfile log --dir . &
server=$!
trap 'kill -KILL $server' EXIT
# Connecting fails until the server listens.
until redis-cli -s socket ping >/dev/null 2>&1; do
    kill -0 $server 2>/dev/null || { cat log >&2; exit 1; }
done
redis-benchmark -s socket -n "$requests" -r 100000 -d 300 -P 16 -t set,get,lpush,lpop,hset --csv |
    awk -F '"' -v requests="$requests" '
        FNR > 1 {
            seconds += requests / $4
            tests++
        }
        END {
            if (tests == 0)
                exit 1
            printf "rate %.0f\n", tests * requests / seconds
        }' || exit 1
trap - EXIT
kill -TERM $server
wait $server
