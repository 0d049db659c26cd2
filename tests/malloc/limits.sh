#!/usr/bin/env bash
# Little address space, from 64 MB up: programs run, get NULL where there is no more, and go on.
# usage: limits.sh HAKMEM_RUN GREEDY
set -euo pipefail
run=$1
greedy=$2

fail() {
    echo "limits: $*" >&2
    exit 1
}

for megabytes in 64 65 100 128 256 500 1024 4096; do
    (
        ulimit -v $((megabytes * 1024))
        "$run" "$greedy" $((megabytes << 20))
    ) || fail "the greedy program failed in $megabytes MB"
    (
        ulimit -v $((megabytes * 1024))
        [[ $("$run" sh -c 'echo text | sed s/text/TEXT/ | sort') == TEXT ]]
    ) || fail "a pipe of programs failed in $megabytes MB"
done

# What may be charged to the process, were the system strict (vm.overcommit_memory=2), stays near to what is in use.
"$run" "$greedy" charged || fail "too much would be charged"
