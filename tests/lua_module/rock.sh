#!/usr/bin/env bash
# Makes the rock in a copy of the source, by luarocks without a network, into a tree of its own; lua5.4 finds the module
# there, also when the tree has been moved, and the module passes its specs.
# usage: rock.sh SOURCE SCRATCH LUA5.4
set -euo pipefail
source=$1 scratch=$2 lua=$3

fail() {
    echo "rock.sh: $*" >&2
    exit 1
}

command -v luarocks >/dev/null || fail 'luarocks is not installed: apt-get install luarocks'
rm -rf "$scratch"
mkdir -p "$scratch/source" "$scratch/home"
cp -r "$source"/{CMakeLists.txt,LICENSE,README.md,CHANGELOG.md,bindings,cmake,core,include,packaging} "$scratch/source"
unset LUA_PATH LUA_CPATH LUA_INIT CC CFLAGS LDFLAGS CMAKE_GENERATOR
export HOME=$scratch/home

cd "$scratch/source"
luarocks --lua-version 5.4 --tree "$scratch/first" make packaging/hakmem-*.rockspec >"$scratch/log" 2>&1 || {
    cat "$scratch/log"
    fail 'luarocks make failed'
}
cd "$scratch"
rm -rf "$scratch/source"
luarocks --lua-version 5.4 --tree "$scratch/first" show hakmem | grep -q 'hakmem 0.1.0-1' || fail 'the rock is not there'
mv "$scratch/first" "$scratch/tree"

export LUA_CPATH="$scratch/tree/lib/lua/5.4/?.so"
version=$("$lua" -e 'local hakmem = require("hakmem") print(package.searchpath("hakmem", package.cpath), hakmem.version())')
[[ $version == "$scratch/tree/lib/lua/5.4/hakmem.so"$'\t'0.1.0 ]] || fail "lua5.4 finds '$version'"

LUA_CPATH="$LUA_CPATH;;"
cd "$source/tests/lua_module"
HAKMEM_TEST_STATE=elsewhere "$lua" run.lua --output=plainTerminal .

# A mistake is named.
if cmake -S "$source" -B "$scratch/build" -DLIBDIR="$scratch/x" -DPREFIX="$scratch/x" -DLUADIR="$scratch/x" \
    -DLUA_INCDIR="$scratch/nowhere" >"$scratch/log" 2>&1; then
    fail 'a LUA_INCDIR without lua.h is accepted'
fi
tr -s ' \n' ' ' <"$scratch/log" | grep -q 'there is no lua.h in it' || fail 'a LUA_INCDIR without lua.h is not named'
