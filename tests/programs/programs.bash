# To be sourced by NAME.sh: runs programs of the system twice, plain and on hakmem, and compares what they leave.
# usage of every script: NAME.sh HAKMEM_RUN [fast|full]      in the project's root; fast if not said
#
# `compare` runs a function of the script in an empty folder, which has the same path both times, so that nothing that
# names it must be normalised. "${on[@]}" stands before each program in it: it is empty for the plain run, and
# HAKMEM_RUN for the other. All that the function leaves in the folder, its output, its errors and its exit code must be
# equal to the byte. What can never be equal, such as times, the function itself takes out, and says so.
#
# Owned here: the scratch folder, the server that runs, the counts of comparisons and failures.

hakmem_run=${1:?usage: NAME.sh HAKMEM_RUN [fast|full]}
extent=${2:-fast}
name=$(basename "$0" .sh)
root=$PWD

[[ $extent == fast || $extent == full ]] || {
    echo "$name: '$extent' is no extent of a test; there are: fast, full" >&2
    exit 2
}
[[ -x $hakmem_run ]] || {
    echo "$name: no program is '$hakmem_run'; the first argument is the path of hakmem-run" >&2
    exit 2
}
hakmem_run=$(realpath "$hakmem_run")

# The system's own programs, whatever else is installed; and nothing of the caller's settings.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC
unset CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS MAKEFLAGS LD_PRELOAD LD_LIBRARY_PATH MALLOC_ARENA_MAX "${!HAKMEM_@}"

scratch=$(mktemp -d)
here=$scratch/here
export HOME=$scratch/home
mkdir "$HOME"
on=()
server_pid=
comparisons=0
failures=0
plain_us=0
hakmem_us=0

end_all() {
    stop_server
    rm -rf "$scratch"
}
trap end_all EXIT

complain() {
    failures=$((failures + 1))
    echo "$name: FAILED: $*"
}

# run_side SIDE FUNCTION...: in an empty folder; leaves it as scratch/SIDE, and adds to SIDE_us.
run_side() {
    local side=$1 started status
    shift
    rm -rf "$here" "${scratch:?}/$side"
    mkdir "$here"
    started=${EPOCHREALTIME/./}
    # Not followed by ||, which would take the meaning from set -e.
    (
        set -e
        trap stop_server EXIT
        cd "$here"
        "$@"
    ) >"$scratch/$side.out" 2>"$scratch/$side.err" </dev/null
    status=$?
    declare -g "${side}_us=$((${side}_us + ${EPOCHREALTIME/./} - started))"
    mv "$here" "$scratch/$side"
    mv "$scratch/$side.out" "$scratch/$side/stdout"
    mv "$scratch/$side.err" "$scratch/$side/stderr"
    echo "$status" >"$scratch/$side/status"
}

# compare TITLE FUNCTION [ARGUMENT...]: plain, which must end well, and on hakmem.
compare() {
    local title=$1
    shift
    comparisons=$((comparisons + 1))
    on=()
    run_side plain "$@"
    [[ $(<"$scratch/plain/status") == 0 ]] || {
        complain "$title: already without hakmem it ends with $(<"$scratch/plain/status")"
        tail -n 20 "$scratch/plain/stdout" "$scratch/plain/stderr" | cut --characters=1-300
        return
    }
    on=("$hakmem_run")
    run_side hakmem "$@"
    on=()
    diff -r --unified=0 "$scratch/plain" "$scratch/hakmem" >"$scratch/difference" || {
        complain "$title: not equal to the plain run"
        cut --characters=1-300 "$scratch/difference" | head -n 40
    }
}

# has_hakmem COUNT PROGRAM...: at least COUNT processes, of all that it starts, tell the statistics of a heap in use.
has_hakmem() {
    local count=$1 live peak
    shift
    mkdir -p "$here"
    (cd "$here" && "$hakmem_run" --stats "$@") >/dev/null 2>"$scratch/statistics" </dev/null || {
        complain "--stats $*: ends with $?"
        tail -n 20 "$scratch/statistics"
    }
    live=$(grep -cE '^ +live_bytes +[1-9]' "$scratch/statistics")
    peak=$(grep -cE '^ +peak_held_bytes +[1-9]' "$scratch/statistics")
    ((live >= count && peak >= count)) || {
        complain "--stats $*: of $count processes $live have told live bytes, $peak peak bytes"
        tail -n 20 "$scratch/statistics"
    }
}

# start_server PROGRAM...: in the background, in a session of its own; its log is the file server.log.
start_server() {
    setsid "$@" >server.log 2>&1 &
    server_pid=$!
}

# ready COMMAND...: returns as soon as the command succeeds; fails when the server has ended, or after a minute.
ready() {
    local deadline=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        kill -0 "$server_pid" 2>/dev/null && ((SECONDS < deadline)) || {
            echo "the server does not answer: $*" >&2
            cat server.log >&2
            return 1
        }
    done
}

# server_has_hakmem [PID]: the library is mapped in it exactly if this is the run on hakmem.
server_has_hakmem() {
    local mapped=0
    grep -q libhakmem-malloc "/proc/${1:-$server_pid}/maps" && mapped=1
    ((mapped == ${#on[@]})) || {
        echo "libhakmem-malloc.so is mapped in the server: $mapped, and should be: ${#on[@]}" >&2
        return 1
    }
}

# server_ends SIGNAL: it has to end with exit code 0.
server_ends() {
    local status=0
    kill -"$1" "$server_pid"
    wait "$server_pid" || status=$?
    server_pid=
    ((status == 0)) || {
        echo "the server ended with $status" >&2
        cat server.log >&2
        return 1
    }
}

# For the end of a script that goes wrong: neither the server nor its children survive it.
stop_server() {
    [[ -z $server_pid ]] || kill -KILL -- "-$server_pid" "$server_pid" 2>/dev/null
    server_pid=
}

# finish: the last line of each script, which the nightly run reads; the exit code says the same.
finish() {
    local result=equal
    ((failures == 0 && comparisons > 0)) || result=FAILED
    printf '%s: %s; comparisons %d, plain %d.%02d s, on hakmem %d.%02d s\n' "$name" "$result" "$comparisons" \
        $((plain_us / 1000000)) $((plain_us / 10000 % 100)) $((hakmem_us / 1000000)) $((hakmem_us / 10000 % 100))
    [[ $result == equal ]]
    exit
}
