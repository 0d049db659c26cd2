#!/usr/bin/env bash
# The command line, the beginning and the end of rewind_server, and applications that are wrong.
# usage: rewind_server_options.sh SERVER      in the project's root
set -uo pipefail
server=$1
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/server.bash"

# refuses STATUS COMPLAINT ARGUMENT...
refuses() {
    local status=0
    timeout 60 "$server" "${@:3}" >"$scratch/out" 2>"$scratch/log" || status=$?
    ((status == $1)) || complain "exit status $status, not $1, of: ${*:3}"
    [[ ! -s $scratch/out ]] || complain "something is served in spite of: ${*:3}"
    logged "$2"
}

refuses 2 'a port and an application are needed'
refuses 2 'a port and an application are needed' 0
refuses 2 'too many arguments' 0 "$application" more
refuses 2 "PORT: '65536' is no port" 65536 "$application"
refuses 2 "PORT: 'http' is no port" http "$application"
refuses 2 "PORT: '' is no port" '' "$application"
refuses 2 "PORT: '80x' is no port" 80x "$application"
for size in '' 0 -1 1.5M 1MB 99999999999999999999 65G; do
    refuses 2 "--limit: '$size' is no size" "--limit=$size" 0 "$application"
done
refuses 2 "--requests: 'many' is no number" --requests many 0 "$application"
refuses 2 'exclude each other' --reopen --no-rewind 0 "$application"
refuses 2 'usage: ' --nonsense 0 "$application"
refuses 1 'the application alone holds' --limit 10K 0 "$application"
refuses 1 'cannot open' 0 "$scratch/none.lua"
echo 'return function(' >"$scratch/syntax.lua"
refuses 1 'near <eof>' 0 "$scratch/syntax.lua"
echo 'return {}' >"$scratch/table.lua"
refuses 1 'returned a table, not a function' 0 "$scratch/table.lua"
echo 'error({})' >"$scratch/error.lua"
refuses 1 'error that is no text' 0 "$scratch/error.lua"
printf '\33Lua' >"$scratch/binary.lua"
refuses 1 'attempt to load a binary chunk' 0 "$scratch/binary.lua"
[[ $("$server" --help) == 'usage: '* ]] || complain 'no help'

# It listens on the loopback interface only, and the port is not shared.
start
listeners=$(awk -v port="$(printf '%04X' "$port")" '$4 == "0A" && $2 ~ ":" port "$" { print $2 }' /proc/net/tcp /proc/net/tcp6)
[[ $listeners == "0100007F:"* && $listeners != *$'\n'* ]] || complain "it listens on: $listeners"
[[ ! -s $scratch/log ]] || complain "a message at the start: $(cat "$scratch/log")"
refuses 1 "127.0.0.1:$port: Address already in use" "$port" "$application"
stop

# It ends by itself after a number of requests, and on SIGINT.
for isolation in '' --reopen --no-rewind; do
    start $isolation --requests 3
    for page in 1 2 3; do
        expect 200 Books "/books?page=$page"
    done
    ended 0
done
start
kill -INT "$server_pid"
ended 0

# A request that has begun is answered after SIGTERM: the server has asked for the body, and gets it only then.
start "$here/fixtures/wrong_answers.lua"
exec {connection}<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n' >&$connection
IFS= read -r -t 60 line <&$connection
[[ $line == 'HTTP/1.1 100 '* ]] || complain "no 100 Continue, but: $line"
kill -TERM "$server_pid"
printf 'late body' >&$connection
answer=$(timeout 60 cat <&$connection)
exec {connection}>&-
[[ $answer == *'HTTP/1.1 200 OK'*'POST late body' ]] || complain "the last answer is: $answer"
ended 0

# One that never ends does not hold the end up for ever.
start
exec {connection}<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /order HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n' >&$connection
IFS= read -r -t 60 line <&$connection
stop
exec {connection}>&-

# An application that goes away under --reopen ends the server.
cp "$here/fixtures/wrong_answers.lua" "$scratch/gone.lua"
start --reopen "$scratch/gone.lua"
rm "$scratch/gone.lua"
expect 200 'GET ' /echo
ended 1
logged 'cannot open'

# What an application may answer, and what not.
start "$here/fixtures/wrong_answers.lua"
wrong() {
    expect 500 'Something went wrong' "$1"
    logged "GET $1: "
    logged "$2"
}
wrong /nothing 'the answer is a nil, not a response table'
wrong /number 'the answer is a number, not a response table'
wrong /status 'response.status is no status'
wrong /status-text 'response.status is no status'
wrong /status-half 'response.status is no status'
wrong /body 'response.body is a table, not a string'
wrong /huge 'response.body has 4194305 bytes'
wrong /headers 'response.headers is no table'
wrong /header-key 'response.headers has an entry that is no header'
wrong /header-value 'response.headers has an entry that is no header'
wrong /header-split 'response.headers has an entry that is no header'
wrong /metatable 'no field for you'
expect 200 'Content-Length: 0' /empty
expect 200 'Content-Length: 4194304' /largest
expect 418 'X-Kind: teapot' /teapot
expect 200 'PUT body' /echo --request PUT --data body
expect 200 'nil nil ' /libraries
stop

((failures == 0))
