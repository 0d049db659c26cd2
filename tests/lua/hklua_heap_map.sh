#!/usr/bin/env bash
# hklua --heap-map: the picture is written however a script ends, with the figures of --stats; and what is said if not.
# usage: hklua_heap_map.sh HKLUA CHECK_HEAP_MAP
set -uo pipefail

hklua=$1
check=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LUA_INIT LUA_INIT_5_4

failures=0
map=$scratch/map.svg

complain() {
    failures=$((failures + 1))
    echo "failed: $*"
    cat "$scratch/out" "$scratch/err"
}

# run STATUS ARGUMENTS...: runs hklua, keeps its output, and checks its exit status.
run() {
    local wanted=$1 status
    shift
    "$hklua" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    ((status == wanted)) || complain "exit status $status, not $wanted, of: hklua $*"
}

says() {
    grep -qF -- "$1" "$scratch/err" || complain "standard error lacks: $1"
}

# draws STATUS ARGUMENTS...: the same, and the picture has the figures of the statistics.
draws() {
    local wanted=$1
    shift
    rm -f "$map"
    run "$wanted" --stats=json --heap-map "$map" "$@"
    "$check" "$map" "$scratch/err" || complain "the picture is not as it should be, of: hklua $*"
}

# draws_not STATUS FILE COMPLAINT: nothing is run.
draws_not() {
    run "$1" --heap-map "$2" -e 'print("ran")'
    says "$3"
    [[ ! -s $scratch/out ]] || complain "something was run in spite of --heap-map '$2'"
}

draws 0 -e ''
draws 0 -e 't = {}' -e 'for i = 1, 300000 do t[i] = {i} end'
draws 0 -e 's = ("x"):rep(30000000)'
draws 0 -e 'setmetatable({}, {__gc = function() t = {} for i = 1, 10000 do t[i] = {} end end})'
draws 1 -e 'error("stop")'
draws 1 -e 'this is no Lua'
draws 1 no_such_script.lua
draws 3 -e 'os.exit(3)'
draws 3 -e 'os.exit(3, true)'
draws 0 -e 'coroutine.wrap(function() os.exit(0, true) end)()'
draws 0 -i
draws 0 arguments.lua --heap-map nonsense
draws 1 --limit 4M -e 'local t = {} for i = 1, 1e8 do t[i] = {} end'
draws 0 --limit 64M -e 't = {} for i = 1, 100 do t[i] = ("x"):rep(i * 1000) end'

# Alone, and over what was there.
printf 'something else, longer than any picture\n%.0s' {1..9000} >"$map"
run 0 --heap-map "$map" -e 'print("ran")'
[[ $(cat "$scratch/out") == ran && ! -s $scratch/err ]] || complain 'something else was printed'
"$check" "$map" || complain 'a file is not replaced by the picture'
run 0 --heap-map="$map" -e ''
"$check" "$map" || complain '--heap-map=FILE does not work'

# The script cannot get at the file.
run 0 --heap-map "$map" -e 'os.execute("ls -l /proc/self/fd >&2")'
! grep -qF "$map" "$scratch/err" || complain 'the file is open in child processes'

draws_not 1 "$scratch/no/such/folder.svg" "--heap-map: cannot write '$scratch/no/such/folder.svg': No such file"
draws_not 1 "$scratch" "--heap-map: cannot write '$scratch': Is a directory"
draws_not 1 '' "--heap-map: cannot write '': No such file"
run 1 --heap-map
says "'--heap-map' needs argument"
if [[ -c /dev/full ]]; then
    run 1 --heap-map /dev/full -e 'print("ran")'
    says "--heap-map: cannot write all of '/dev/full'"
    [[ $(cat "$scratch/out") == ran ]] || complain 'the script was not run'
    run 5 --heap-map /dev/full -e 'os.exit(5)'
    says "--heap-map: cannot write all of '/dev/full'"
fi
run 0 --help
grep -qF -- '--heap-map FILE' "$scratch/out" || complain '--help does not name it'

((failures == 0))
