#!/usr/bin/env bash
# stress-ng's stressors that call malloc, realloc, calloc, posix_memalign and free, or move the ground under them (brk,
# mremap, forks, threads, address space that runs out), each for a fixed number of operations, verifying what it wrote.
# usage: stress-ng.sh HAKMEM_RUN [fast|full]      full: more operations, by two processes each
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# Stressor, operations, and options of its own.
stressors=(
    'malloc 20000'
    'malloc 5000 --malloc-pthreads 3 --malloc-max 1000'
    'malloc 5000 --malloc-touch --malloc-zerofree --malloc-bytes 100K'
    'malloc 5000 --malloc-thresh 4K'
    'bigheap 500 --bigheap-growth 64K'
    'bigheap 100 --bigheap-growth 1M'
    'stackmmap 20'
    'mmap 10 --mmap-bytes 16M'
    'mremap 10 --mremap-bytes 16M'
    'memfd 10 --memfd-bytes 16M --memfd-fds 16'
    'vm 2000 --vm-bytes 16M'
    'vm-splice 1000'
    'madvise 5'
    'fork 200'
    'vfork 500'
    'pthread 500'
    'clone 20'
    'zlib 3'
    'qsort 2'
    'tsearch 2'
    'hsearch 20'
    'bsearch 50'
    'list 5'
    'tree 2'
    'skiplist 20'
    'stream 1'
    'str 500'
    'wcs 500'
    'memcpy 10'
    'judy 2'
    'jpeg 10'
    'matrix 50'
    'rmap 100'
    'shm 5'
    'stack 4'
)

# Its log holds numbers of processes and times; what counts is that each has been successful.
work() {
    local factor=$1 processes=$2 line words
    for line in "${stressors[@]}"; do
        read -ra words <<<"$line"
        echo "$line"
        "${on[@]}" stress-ng --verify --timeout 300s --temp-path "$PWD" "--${words[0]}" "$processes" \
            "--${words[0]}-ops" $((words[1] * factor)) "${words[@]:2}" >log 2>&1 || {
            echo "ends with $?"
            cat log >&2
            return 1
        }
        grep -o 'successful run completed' log
        ! grep -iE 'fail:|error:|unexpected' log >&2
    done
    rm -f log
}

has_hakmem 1 stress-ng --malloc 1 --malloc-ops 100 --quiet
if [[ $extent == fast ]]; then
    compare "${#stressors[@]} stressors" work 1 1
else
    compare "${#stressors[@]} stressors" work 5 2
fi
finish
