#!/usr/bin/env bash
# Loads and uses C modules of Debian: the same output and exit status under hklua and lua5.4, with a limit too.
# usage: hklua_modules.sh HKLUA LUA5.4      in the folder of modules.lua
set -uo pipefail

hklua=$1
lua=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_CPATH
export TMPDIR=$scratch

# run NAME INTERPRETER ARGUMENTS...
run() {
    local name=$1
    shift
    "$@" modules.lua >"$scratch/$name" 2>&1 </dev/null
    echo "exit status $?" >>"$scratch/$name"
}

run lua "$lua"
run hklua "$hklua"
run hklua_with_limit "$hklua" --limit 32M
# Without finalizers the libraries' own memory leaks, as hakmem_lua.h says.
ASAN_OPTIONS=detect_leaks=0 run hklua_fast_close "$hklua" --fast-close

# Module by module: one that is missing would fail alike everywhere.
for module in cjson lpeg socket lxp lyaml lfs; do
    if ! grep -q "^$module"$'\ttrue' "$scratch/lua"; then
        echo "lua5.4 itself could not use $module:"
        cat "$scratch/lua"
        exit 1
    fi
done
for name in hklua hklua_with_limit hklua_fast_close; do
    diff -u "$scratch/lua" "$scratch/$name" || exit 1
done
