#!/usr/bin/env bash
# The options that hklua has and lua5.4 has not: --limit, --stats, --help.
# usage: hklua_options.sh HKLUA CHECK_STATISTICS_JSON
set -uo pipefail

hklua=$1
check_json=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LUA_INIT LUA_INIT_5_4

failures=0
greedy='local t = {} for i = 1, 1e8 do t[i] = {} end'

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

prints() {
    grep -qF -- "$1" "$scratch/out" || complain "standard output lacks: $1"
}

says() {
    grep -qF -- "$1" "$scratch/err" || complain "standard error lacks: $1"
}

says_only_json() {
    "$check_json" <"$scratch/err" || complain 'this is not the JSON of statistics'
}

limit_of() {
    sed -E 's/.*"limit_bytes":([0-9]+).*/\1/' "$scratch/err"
}

for size in 1048576 1024K 1024k 1M 1m; do
    run 0 --limit "$size" --stats=json -e 'print("ran")'
    prints ran
    [[ $(limit_of) == 1048576 ]] || complain "--limit $size is not a limit of 1048576 bytes"
done
run 0 --limit=1G --stats=json -e ''
[[ $(limit_of) == 1073741824 ]] || complain '--limit=1G is not a limit of 1073741824 bytes'

# bad SIZE COMPLAINT
bad() {
    run 1 --limit "$1" -e 'print("ran")'
    says "--limit: '$1' $2"
    says '512K, 64M or 1G'
    [[ ! -s $scratch/out ]] || complain "something was run in spite of --limit '$1'"
}
bad '' 'is empty'
bad -5 'is negative'
bad abc 'does not begin with a number'
bad K 'does not begin with a number'
bad ' 1M' 'does not begin with a number'
bad +1M 'does not begin with a number'
bad 12Q 'has something other than K, M or G'
bad 1.5M 'has something other than K, M or G'
bad 1MB 'has something other than K, M or G'
bad '1 M' 'has something other than K, M or G'
bad 0x100000 'has something other than K, M or G'
bad 0 'would leave no memory at all'
bad 0K 'would leave no memory at all'
bad 18446744073709551616 'is more than there can be'
bad 17179869184G 'is more than there can be'
bad 99999999999999999999999M 'is more than there can be'
run 1 --limit
says "'--limit' needs argument"
run 1 --limit 1K -e 'print("ran")'
says "'1K' is too small: Lua and its libraries alone hold"

run 1 --limit 4M -e "$greedy"
says 'not enough memory'
run 0 --limit 4M -e "print(pcall(function() $greedy end))" -e 'print("goes on", #("x"):rep(1e6))'
prints $'false\tnot enough memory'
prints $'goes on\t1000000'
run 1 --limit 4M -e 'x = setmetatable({}, {__gc = function() print("finalized") end})' -e "$greedy"
prints finalized
run 0 --limit 4M --stats=json -e "pcall(function() $greedy end)"
says_only_json
grep -qE '"limit_failures":[1-9]' "$scratch/err" || complain 'no limit failure is counted'

run 0 --stats -e 'print("ran")'
prints ran
for word in held_bytes peak_held_bytes limit_bytes live_blocks live_bytes limit_failures 'block size'; do
    says "$word"
done
[[ $(cat "$scratch/out") == ran ]] || complain 'the statistics are not on standard error'

# However a script ends, its statistics are taken while its memory is still there.
run 0 --stats=json -e 't = {}' -e 'for i = 1, 10000 do t[i] = {} end'
says_only_json
run 3 --stats=json -e 'os.exit(3)'
says_only_json
run 3 --stats=json -e 'os.exit(3, true)'
says_only_json
run 0 --stats=json -e 'coroutine.wrap(function() os.exit(0, true) end)()'
says_only_json
run 0 --stats=json -i
says_only_json
run 1 --stats -e 'error("stop")'
says stop
says live_blocks
run 0 --stats=json -e 'for i = 1, 200000 do local t = {i} end collectgarbage()'
says_only_json
run 1 --stats=xml -e 'print("ran")'
says "--stats: 'xml' is no format"

# --repeat: each run finds what the first one found; what comes before it is done once.
cat >"$scratch/request.lua" <<'SCRIPT'
count = (count or 0) + 1
print("run", count, base, math.random(1000), ...)
leak = {}
for i = 1, 10000 do leak[i] = {i} end
setmetatable(leak, {__gc = function() print("finalized") end})
SCRIPT
run 0 --repeat 3 --stats=json -e 'math.randomseed(42) base = 5 print("once")' "$scratch/request.lua" A
[[ $(grep -c '^once$' "$scratch/out") == 1 ]] || complain '-e ran more than once'
[[ $(grep -cE $'^run\t1\t5\t[0-9]+\tA$' "$scratch/out") == 3 ]] || complain 'not every run begins with the same state'
[[ $(sort -u "$scratch/out" | wc -l) == 2 ]] || complain 'the runs differ, or a finalizer ran'
says_only_json
run 0 --repeat=200 --limit 8M "$scratch/request.lua"
[[ $(wc -l <"$scratch/out") == 200 ]] || complain 'not 200 runs'
echo 'count = (count or 0) + 1 print(count) if count == 1 then error("stop") end' >"$scratch/fails.lua"
run 1 --repeat 3 "$scratch/fails.lua"
says stop
[[ $(cat "$scratch/out") == 1 ]] || complain 'went on after an error'
for times in '' 0 -1 x 1x 99999999999999999999999; do
    run 1 --repeat "$times" "$scratch/request.lua"
    says "--repeat: '$times' is no number of times"
done
run 1 --repeat 2 -e 'print("ran")'
says 'there is no script to repeat'
run 1 --repeat 2 -
says 'standard input cannot be read again'
run 1 --repeat 2 -i "$scratch/request.lua"
says 'cannot be interactive'

# --fast-close: no finalizer runs; the statistics are taken all the same.
run 0 --fast-close --stats=json "$scratch/request.lua"
says_only_json
if grep -qF finalized "$scratch/out"; then
    complain 'a finalizer ran'
fi
run 0 "$scratch/request.lua"
prints finalized

run 0 --help
prints 'usage: '
prints '--repeat N'
prints '--fast-close'
prints '--limit SIZE'
run 1 -q
says "unrecognized option '-q'"
says 'usage: '
run 0 -v
prints 'on hakmem'
run 0 arguments.lua --limit nonsense --stats
prints nonsense

((failures == 0))
