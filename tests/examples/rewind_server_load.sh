#!/usr/bin/env bash
# Many requests, of which some misbehave: rewind_server stays as large as it was, and answers as it did.
# usage: rewind_server_load.sh SERVER [REQUESTS [KIB]]      in the project's root; 100000 requests, and 1024 KiB more of
#                                                           resident memory are allowed, if not said
set -uo pipefail
server=$1
requests=${2:-100000}
allowed_kib=${3:-1024}
. "$(dirname "${BASH_SOURCE[0]}")/server.bash"

rounds=10
connections=32
quote='{"lines":[{"book":"kim","quantity":7}]}'

# load COUNT PATH [AB-ARGUMENT...]: so many requests, all answered, all with the same length.
load() {
    ab -q -n "$1" -c "$connections" "${@:3}" "$url$2" >"$scratch/ab" 2>&1 || complain "ab: $2: $(cat "$scratch/ab")"
    grep -qE "^Complete requests: +$1\$" "$scratch/ab" && grep -qE '^Failed requests: +0$' "$scratch/ab" ||
        complain "$2: $(cat "$scratch/ab")"
    served=$((served + $1))
}

# Six kinds of requests; ab has five of six keep their connections.
round() {
    local count=$(((requests / rounds + 5) / 6))
    load $count / -k
    load $count '/api/books?q=moor'
    load $count /api/quote -k -p "$scratch/quote" -T application/json
    load $count /books/cranford -k
    load $count /mischief/globals -k
    load $count /mischief/error -k
    ask --output "$scratch/answer" "$url/mischief/leak?megabytes=50"
    served=$((served + 1))
}

picture() {
    ask "$url/" "$url/status" "$url/api/books" "$url/order"
}

printf '%s' "$quote" >"$scratch/quote"
start
count_open_files
files_at_start=$open_files
served=0
before=$(picture)
round
warm=$(resident_kib)
for ((i = 1; i < rounds && failures == 0; i++)); do
    round
done
resident=$(resident_kib)
echo "$served requests; resident after a tenth of them: $warm KiB, at the end: $resident KiB"
((resident - warm <= allowed_kib)) || complain "it has grown by $((resident - warm)) KiB"
only_files "$files_at_start"
[[ $(picture) == "$before" ]] || complain 'it answers differently now'
stop
((failures == 0))
