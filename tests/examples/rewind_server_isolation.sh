#!/usr/bin/env bash
# Whatever a request does to the state of rewind_server, the next ones are answered as if it had not been.
# usage: rewind_server_isolation.sh SERVER      in the project's root
set -uo pipefail
server=$1
. "$(dirname "${BASH_SOURCE[0]}")/server.bash"

pages=(/ /books '/books?q=moor&sort=year' /books/cranford /order /api/books /api/books/walden /nowhere)
mischiefs=(globals leak?megabytes=50 limit huge caught error object recursion patch catalogue collector)

# The status codes that there should be: 503 where memory ran out, 500 after an error.
declare -A statuses=([limit]=503 [huge]=503 [recursion]=503 [error]=500 [object]=500)

# take_picture NAME [PATH...]: the bytes of all pages, of an order, and of these paths.
take_picture() {
    local path folder=$scratch/$1 number=0
    mkdir -p "$folder"
    for path in "${pages[@]}" "${@:2}"; do
        number=$((number + 1))
        ask --output "$folder/$number" --write-out '%{http_code} %{content_type}\n' "$url$path" >"$folder/$number.code"
    done
    ask --output "$folder/quote" --header 'Content-Type: application/json' \
        --data '{"lines":[{"book":"kim","quantity":7}]}' "$url/api/quote"
    ask --output "$folder/receipt" --data 'book=kim&quantity=7&name=%3CKim%3E' "$url/order"
}

# same_as_before WHAT [PATH...]
same_as_before() {
    take_picture after "${@:2}"
    diff -r "$scratch/before" "$scratch/after" || complain "$1 has left a trace"
}

do_mischief() {
    local status
    status=$(ask --output "$scratch/answer" --write-out '%{http_code}' "$url/mischief/$1")
    [[ $status == "${statuses[$1]:-200}" ]] || complain "$1: status $status, not ${statuses[$1]:-200}"
}

# With /status: held bytes, live blocks, all are what they were.
start
count_open_files
files_at_start=$open_files
take_picture before /status
for mischief in "${mischiefs[@]}"; do
    do_mischief "$mischief"
    same_as_before "$mischief" /status
done
logged 'GET /mischief/error: '
logged ': this request fails on purpose'
logged 'GET /mischief/object: error that is a table'
logged 'GET /mischief/limit: not enough memory'
logged 'GET /mischief/huge: not enough memory'

# Once more, each followed by a page on the same connection.
ask --output "$scratch/home" "$url/"
for mischief in "${mischiefs[@]}"; do
    connects=$(ask --write-out '%{num_connects}' --output "$scratch/answer" "$url/mischief/$mischief" \
        --output "$scratch/home_again" "$url/")
    [[ $connects == 10 ]] || complain "$mischief: connections made: $connects"
    cmp "$scratch/home" "$scratch/home_again" || complain "$mischief has left a trace on its connection"
done

# Neither memory nor files are left behind.
resident=$(resident_kib)
for ((i = 0; i < 3; i++)); do
    for mischief in "${mischiefs[@]}"; do
        do_mischief "$mischief"
    done
done
grown=$(($(resident_kib) - resident))
((grown <= 1024)) || complain "33 bad requests have left $grown KiB behind"
only_files "$files_at_start"
same_as_before 'all of it' /status
stop

# Closing and loading anew isolates as well; but a new state has its own seed of hashes, so that /status may differ.
start --reopen
rm -rf "$scratch/before" "$scratch/after"
take_picture before
for mischief in "${mischiefs[@]}"; do
    do_mischief "$mischief"
    same_as_before "$mischief with --reopen"
done
stop

# That this test sees traces: without rewinding there are some.
for mischief in globals leak?megabytes=50 patch catalogue; do
    start --no-rewind
    rm -rf "$scratch/before" "$scratch/after"
    take_picture before /status
    ask --output "$scratch/answer" "$url/mischief/$mischief"
    take_picture after /status
    if diff -r "$scratch/before" "$scratch/after" >"$scratch/answer"; then
        complain "$mischief leaves no trace even without rewinding"
    fi
    stop
done

((failures == 0))
