#!/usr/bin/env bash
# Runs luacheck, as Debian installs it, over its own sources: the same output and exit status under hklua and lua5.4.
# usage: luacheck_equal.sh HKLUA LUA5.4; exit status 77 if luacheck is not installed
set -uo pipefail

hklua=$1
lua=$2
tree=/usr/share/lua/5.1
program=/usr/bin/luacheck
if [[ ! -f $program || ! -d $tree/luacheck ]]; then
    echo 'skipped: the package lua-check is not installed'
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LUA_INIT LUA_INIT_5_4
export LUA_PATH="$tree/?.lua;$tree/?/init.lua;;"

# run NAME INTERPRETER ARGUMENTS...
run() {
    local name=$1 interpreter=$2
    shift 2
    (exec -a lua "$interpreter" "$@" "$program" --no-config --no-cache --codes "$tree/luacheck") \
        >"$scratch/$name" 2>&1 </dev/null
    echo "exit status $?" >>"$scratch/$name"
}

run lua "$lua"
run hklua "$hklua"
run hklua_with_limit "$hklua" --limit 64M

files=$(find "$tree/luacheck" -name '*.lua' | wc -l)
if ! grep -q "in $files files" "$scratch/lua"; then
    echo "lua5.4 itself did not check the $files files:"
    tail -n 5 "$scratch/lua"
    exit 1
fi
diff -u "$scratch/lua" "$scratch/hklua" && diff -u "$scratch/lua" "$scratch/hklua_with_limit"
