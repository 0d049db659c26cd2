#!/usr/bin/env bash
# Runs programs of Debian that are written in Lua: the same output, files and exit status under hklua and lua5.4.
# usage: hklua_programs.sh HKLUA LUA5.4      in the folder of suite/
set -uo pipefail

hklua=$1
lua=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_CPATH
export HOME=$scratch LC_ALL=C

# run INTERPRETER-NAME PROGRAM INTERPRETER AND ARGUMENTS...: output and exit status in a file
run() {
    local name=$1 program=$2
    shift 2
    "$@" >"$scratch/$program.$name" 2>&1 </dev/null
    echo "exit status $?" >>"$scratch/$program.$name"
}

# compare PROGRAM EXPECTED-TEXT: both ran, and lua5.4's output has the text
compare() {
    if ! grep -q -- "$2" "$scratch/$1.lua"; then
        echo "$1 did not run under lua5.4 itself:"
        head -n 20 "$scratch/$1.lua"
        exit 1
    fi
    diff -u "$scratch/$1.lua" "$scratch/$1.hklua" || exit 1
}

for name in lua hklua; do
    interpreter=("${!name}")
    [[ $name == lua ]] || interpreter+=(--limit 256M)

    # Times and addresses differ.
    run "$name" busted "${interpreter[@]}" /usr/bin/busted --output=plainTerminal --no-enable-sound suite
    sed -i -E 's/: [0-9.]+ seconds/: some seconds/; s/0x[0-9a-f]+/ADDRESS/g' "$scratch/busted.$name"

    run "$name" ldoc "${interpreter[@]}" /usr/bin/ldoc --dir "$scratch/ldoc.$name.files" --not_luadoc --all --date none \
        --project penlight /usr/share/lua/5.4/pl
    sed -i "s/ldoc\.$name\.files/files/g" "$scratch/ldoc.$name"

    run "$name" luarocks "${interpreter[@]}" /usr/bin/luarocks --lua-version 5.4 --tree "$scratch/rocks" help install
    run "$name" luarocks_list "${interpreter[@]}" /usr/bin/luarocks --lua-version 5.4 --tree "$scratch/rocks" list
done
sed -i 's/hklua/lua/g' "$scratch"/luarocks*.hklua

compare busted '^3 successes / 1 failure / 1 error / 1 pending'
compare ldoc 'output written to'
compare luarocks 'luarocks install'
compare luarocks_list '[Rr]ocks installed'
pages=$(find "$scratch/ldoc.lua.files" -name '*.html' | wc -l)
if ((pages < 10)); then
    echo "ldoc wrote $pages pages"
    exit 1
fi
diff -r "$scratch/ldoc.lua.files" "$scratch/ldoc.hklua.files"
