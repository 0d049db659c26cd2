#!/usr/bin/env bash
# What a process tells at its end, and by a signal; what hakmem-run takes and refuses.
# usage: exit_figures.sh HAKMEM_RUN
set -euo pipefail
run=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset "${!HAKMEM_@}" LD_PRELOAD

fail() {
    echo "exit_figures: $*" >&2
    exit 1
}

# expect PATTERN STATUS COMMAND...: of standard error, and the exit code
expect() {
    local pattern=$1 wanted=$2 status=0
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    [[ $status == "$wanted" ]] || fail "'$*' ended with $status, not $wanted: $(cat "$scratch/err")"
    grep -Eq -e "$pattern" "$scratch/err" || fail "'$*' did not say '$pattern', but: $(cat "$scratch/err")"
}

# Nothing is said unless asked for.
"$run" true 2>"$scratch/err"
[[ ! -s $scratch/err ]] || fail "something was said: $(cat "$scratch/err")"

# Figures, also of programs that close their standard error before they end, as those of coreutils do. Programs that end
# by _exit, as dash does, have none.
expect '^memory of bash, process [0-9]+ \(hakmem ' 7 "$run" --stats bash -c 'exit 7'
expect '^ +live_blocks +[1-9]' 0 "$run" --stats ls "$scratch"
expect '"program":"sort".*"live_blocks":[1-9].*"classes":\[\{"block_size":' 0 "$run" --stats=json sort /dev/null
python3 -c 'import json, sys; json.loads(sys.argv[1])' "$(cat "$scratch/err")" || fail "it is no JSON"

# Each process tells its own.
"$run" --stats=json bash -c 'true; bash -c "exit 0"; ls / >/dev/null; true' 2>"$scratch/err"
[[ $(grep -c '"program":' "$scratch/err") == 3 ]] || fail "not each process told: $(cat "$scratch/err")"

# A descriptor that has become another file is not written to.
cat >"$scratch/reuse.py" <<'PY'
import os, sys
os.closerange(3, 1024)
files = [os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT) for _ in range(200)]
PY
expect '"program":"python3"' 0 "$run" --stats=json python3 "$scratch/reuse.py" "$scratch/other"
[[ ! -s $scratch/other ]] || fail "figures went into a file of the program's"

# A picture, one for each process.
expect '^$' 0 "$run" --heap-map "$scratch/map-%p.svg" bash -c 'ls / >/dev/null; echo >&2'
maps=("$scratch"/map-*.svg)
((${#maps[@]} == 2)) || fail "${#maps[@]} pictures, not 2"
for map in "${maps[@]}"; do
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$map" || fail "$map is no XML"
done
expect 'HAKMEM_HEAP_MAP is "/nowhere/map.svg", which is no file that can be written to' 0 \
    "$run" --heap-map /nowhere/map.svg true

# A limit.
expect '"limit_bytes":8388608' 1 "$run" --limit 8M --stats=json python3 -c 'x = bytearray(100 << 20)'
grep -q '^MemoryError' "$scratch/err" || fail "no MemoryError: $(cat "$scratch/err")"

# A policy.
cat >"$scratch/double_free.py" <<'PY'
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
block = ctypes.c_void_p(libc.malloc(100))
libc.free(block)
libc.free(block)
print("went on")
PY
expect '^hakmem: HK_ERR_DOUBLE_FREE in free\(0x[0-9a-f]+\)' 134 "$run" python3 "$scratch/double_free.py"
expect '^hakmem: HK_ERR_DOUBLE_FREE in free' 0 "$run" --on-error report python3 "$scratch/double_free.py"
grep -q 'went on' "$scratch/out" || fail "it did not go on"
expect '^$' 0 "$run" --on-error ignore sh -c "python3 '$scratch/double_free.py'; echo >&2"

# A signal, while the program is at work and after it has closed its standard error.
cat >"$scratch/signals.py" <<'PY'
import os, signal
blocks = [bytearray(5000) for _ in range(1000)]
os.kill(os.getpid(), signal.SIGUSR2)
print("alive")
PY
expect '^memory of python3' 0 "$run" --stats-signal USR2 python3 "$scratch/signals.py"
grep -q alive "$scratch/out" || fail "the signal ended it"

# Wrong values in the environment are told and ignored.
expect 'HAKMEM_STATS is "2", which is none of: 0 1 json' 0 env HAKMEM_STATS=2 "$run" true
expect 'HAKMEM_LIMIT is "5X", which is no size' 0 env HAKMEM_LIMIT=5X "$run" true
expect 'HAKMEM_STATS_SIGNAL is "KILL", which is none of' 0 env HAKMEM_STATS_SIGNAL=KILL "$run" true

# hakmem-run itself.
expect 'which program' 125 "$run"
expect "'10Q' is no size" 125 "$run" --limit 10Q true
expect "'100' is no size" 125 "$run" --limit 100 true
expect "'xml' is none of: json" 125 "$run" --stats=xml true
expect "'die' is none of: abort report ignore" 125 "$run" --on-error die true
expect "'KILL' is none of" 125 "$run" --stats-signal KILL true
expect 'unrecognized option' 125 "$run" --nonsense true
expect "cannot run 'no-such-program'" 127 "$run" no-such-program
expect "cannot run '$scratch'" 126 "$run" "$scratch"
[[ $(LD_PRELOAD=libm.so.6 "$run" printenv LD_PRELOAD) == *libhakmem-malloc.so:libm.so.6 ]] || fail "LD_PRELOAD is lost"
