# To be sourced: starts and stops rewind_server, asks it with curl, and counts what is not as it should be. Needs $server.

application=examples/rewind_server/app.lua
scratch=$(mktemp -d)
server_pid=
failures=0

end_all() {
    [[ -z $server_pid ]] || kill -KILL "$server_pid" 2>/dev/null
    rm -rf "$scratch"
}
trap end_all EXIT

complain() {
    failures=$((failures + 1))
    echo "failed: $*"
}

give_up() {
    complain "$*"
    cat "$scratch/log"
    exit 1
}

# start [OPTION...] [APPLICATION]: returns when the server has said where it listens. Sets server_pid, port and url.
start() {
    local arguments=("$@") line=
    [[ ${*: -1} == *.lua ]] || arguments+=("$application")
    set -- "${arguments[@]:0:${#arguments[@]}-1}" 0 "${arguments[-1]}"
    rm -f "$scratch/line"
    mkfifo "$scratch/line"
    "$server" "$@" >"$scratch/line" 2>"$scratch/log" &
    server_pid=$!
    IFS= read -r -t 60 line <"$scratch/line"
    port=${line##*:}
    url=http://127.0.0.1:$port
    [[ $line == "listening on 127.0.0.1:"* ]] || give_up "the server does not start: $line"
}

# ended STATUS: waits until the server has ended.
ended() {
    local status=0
    wait "$server_pid" || status=$?
    server_pid=
    ((status == $1)) || give_up "the server ended with $status, not $1"
}

stop() {
    kill -TERM "$server_pid"
    ended 0
}

ask() {
    curl --silent --show-error --max-time 60 "$@"
}

# expect STATUS TEXT PATH [CURL-ARGUMENT...]: the answer has this status, and the text somewhere, in headers or body.
expect() {
    local status text=$2 path=$3
    status=$(ask --include --output "$scratch/answer" --write-out '%{http_code}' "${@:4}" "$url$path")
    [[ $status == "$1" ]] || complain "$path ${*:4}: status $status, not $1"
    grep -qF -- "$text" "$scratch/answer" || {
        complain "$path ${*:4}: the answer lacks: $text"
        cat "$scratch/answer"
    }
}

logged() {
    grep -qF -- "$1" "$scratch/log" || {
        complain "the log lacks: $1"
        cat "$scratch/log"
    }
}

resident_kib() {
    awk '/^VmRSS:/ { print $2 }' "/proc/$server_pid/status"
}

count_open_files() {
    local files=("/proc/$server_pid/fd/"*)
    open_files=${#files[@]}
}

# only_files COUNT: this many files are open, once the server has noticed that its clients are gone.
only_files() {
    local deadline=$((SECONDS + 20))
    count_open_files
    while ((open_files != $1 && SECONDS < deadline)); do
        count_open_files
    done
    ((open_files == $1)) || complain "$open_files files are open, not $1"
}
