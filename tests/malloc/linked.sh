#!/usr/bin/env bash
# Programs that are linked with hakmem-malloc.o, dynamically and statically, in C and C++: malloc is hakmem's.
# usage: linked.sh OBJECT INCLUDE SCRATCH     with CC and CXX in the environment
set -euo pipefail
object=$1 include=$2 scratch=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$scratch"
# The sources misuse memory on purpose, and know what compilers take for granted.
flags=(-O2 -w -D_GNU_SOURCE -fno-builtin "-I$include" "-I$here")

for how in '' -static; do
    for program in semantics threads signals fork; do
        "$CC" "${flags[@]}" $how "$here/$program.c" "$object" -pthread -o "$scratch/$program$how"
        "$scratch/$program$how" || { echo "linked: $program $how failed" >&2; exit 1; }
    done
    for program in operators replaced; do
        "$CXX" "${flags[@]}" $how "$here/$program.cpp" "$object" -pthread -o "$scratch/$program$how"
        "$scratch/$program$how" || { echo "linked: $program $how failed" >&2; exit 1; }
    done
    HAKMEM_STATS=1 "$scratch/replaced$how" 2>&1 | grep -q '^memory of replaced' || { echo "linked: no figures" >&2; exit 1; }
done
