#!/usr/bin/env bash
# A memory limit of the kernel's (cgroup): a program whose live blocks stay below it goes through sizes and threads and
# is not killed, as what it has freed goes back or is used again. Needs the right to make control groups.
# usage: cgroup.sh HAKMEM_RUN GREEDY
set -euo pipefail
run=$1
greedy=$2
limit=$((80 << 20))
live=$((32 << 20))

make_group() {
    if [[ -f /sys/fs/cgroup/cgroup.controllers ]]; then
        group=/sys/fs/cgroup/hakmem-test-$$
        mkdir "$group"
        echo $limit >"$group/memory.max"
        echo 0 >"$group/memory.swap.max" || true # where there is no swap, there is no such file
    else
        group=/sys/fs/cgroup/memory/hakmem-test-$$
        mkdir "$group"
        echo $limit >"$group/memory.limit_in_bytes"
    fi
}

make_group
trap 'rmdir "$group"' EXIT
# The subshell enters the group, and leaves it by ending.
( echo "$BASHPID" >"$group/cgroup.procs" && exec "$run" "$greedy" bursts $live ) || {
    echo "cgroup: with $live bytes live of $limit it ended with $?" >&2
    exit 1
}
