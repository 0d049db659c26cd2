#!/usr/bin/env bash
# Runs the same command lines under hklua and under lua5.4: output, errors and exit status must be equal.
# usage: compare_with_lua.sh HKLUA LUA5.4      (in the folder of the fixtures)
set -uo pipefail

hklua=$1
lua=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_PATH_5_4 LUA_CPATH LUA_CPATH_5_4
export TERM=dumb INPUTRC=/dev/null

cases=0
failures=0

# run SIDE PROGRAM ARGUMENTS...: both get the same argv[0], so that their messages can be equal to the letter.
run() {
    local side=$1 program=$2
    shift 2
    (exec -a "${name-lua}" "$program" "$@") \
        >"$scratch/$side.out" 2>"$scratch/$side.err" < <(printf '%s' "${input-}")
    echo "exit status $?" >>"$scratch/$side.out"
    sed -i 's/, on hakmem [0-9.]*$//' "$scratch/$side.out"
    if [[ -n ${error_lines-} ]]; then
        head -n "$error_lines" "$scratch/$side.err" >"$scratch/head" && mv "$scratch/head" "$scratch/$side.err"
    fi
}

# same TITLE ARGUMENTS...; in front of it may stand input=TEXT, name=ARGV0, error_lines=COUNT and environment variables.
same() {
    local title=$1
    shift
    cases=$((cases + 1))
    run hklua "$hklua" "$@"
    run lua "$lua" "$@"
    if ! diff -u --label lua5.4 --label hklua "$scratch/lua.out" "$scratch/hklua.out" >"$scratch/diff" ||
        ! diff -u --label 'lua5.4, errors' --label 'hklua, errors' \
            "$scratch/lua.err" "$scratch/hklua.err" >>"$scratch/diff"; then
        failures=$((failures + 1))
        echo "not equal: $title"
        cat "$scratch/diff"
    fi
}

# Scripts and their arguments
same 'script' arguments.lua
same 'script with arguments' arguments.lua one 'two words' '' -e --limit
same 'indices below zero' -W -e 'x = 1' arguments.lua one
same 'arg without a script' -e 'print(arg[0], arg[1], #arg, arg[-1])'
same 'arg is not a table' -e 'arg = nil' arguments.lua
same 'arg changed before the script' -e 'arg[1] = 7 arg[2] = 8' arguments.lua one
same 'result values of a script are dropped' results.lua
same 'script that begins with #' hash_line.lua
same 'no such script' no_such_script.lua
same 'a folder as script' .
same 'script after --' -- arguments.lua one
same 'script named - after --' -- -
same '-- and nothing more' --
input='print(arg[0], arg[-1], ...)' same 'standard input by -' - one two
input='print(arg[0], arg[1], ...)' same 'standard input by itself'
input='print(1' same 'syntax error in standard input' -
input='error("x")' same 'error in standard input' -
same 'empty standard input'
input='print(io.read("n"))' same 'standard input is the script' -
input='42 rest' same 'standard input is left to the script' -e 'print(io.read("n"), io.read("a"))'

# -e, -l, -W, -E, -v
same '-e' -e 'print(1)' -e 'print(2)'
same '-e in one word' '-eprint(1)'
same '-e, -l and script in their order' -e 'package.path = "./?.lua" print("first")' -l library -e 'print(library)' \
    arguments.lua
same '-l in one word' -e 'package.path = "./?.lua"' -llibrary -e 'print(library)'
same '-l with a name' -e 'package.path = "./?.lua"' -l short=library -e 'print(short, library)'
same '-l with a dotted name' -e 'package.path = "./?.lua"' -l a.b=library -e 'print(_G["a.b"])'
same '-l that is not found' -l no.such.library
same '-l that fails' -e 'package.path = "./?.lua"' -l failing_library
same '-l of a standard library' -l string -e 'print(string.rep("x", 3))'
same '-e syntax error' -e 'x ='
same '-e error ends all' -e 'error("stop")' -e 'print("not reached")'
same '-v' -v
same '-v and -e' -v -e 'print(1)'
same '-v -v' -v -v
same '-E' -E -e 'print(package.path, package.cpath)'
LUA_PATH='./?.lua;;' same 'LUA_PATH' -e 'print(package.path)' -l library
LUA_PATH_5_4='/nowhere/?.lua' LUA_PATH='./?.lua' same 'LUA_PATH_5_4' -e 'print(package.path)'
LUA_CPATH='/nowhere/?.so;;' same 'LUA_CPATH' -e 'print(package.cpath)'
LUA_PATH='/nowhere/?.lua' same 'LUA_PATH and -E' -E -e 'print(package.path)'
same 'warnings are off' -e 'warn("a")'
same 'warnings by -W' -W -e 'warn("a", "b", "c") warn("d")'
same 'warnings by @on' -e 'warn("a") warn("@on") warn("b") warn("@off") warn("c") warn("@what")'
same 'control messages in pieces' -e 'warn("x", "@on") warn("b") warn("@off", "c") warn("d")'
same 'warning of a finalizer' -W -e 'setmetatable({}, {__gc = function() error("in gc") end}) collectgarbage()'
same 'warning of a finalizer at the end' -W -e 'x = setmetatable({}, {__gc = function() error({}) end})'

# Mistakes on the command line
error_lines=1 same 'unknown option' -q
error_lines=1 same 'unknown option after a good one' -v -q
error_lines=1 same 'unknown long option' --what
error_lines=1 same 'letters do not combine' -vE
error_lines=1 same '-i with something behind' -ix
error_lines=1 same '-e without code' -e
error_lines=1 same '-e followed by an option' -e -v
error_lines=1 same '-l without a name' -l
error_lines=1 same 'nothing is run before a mistake' -e 'print(1)' -q
error_lines=1 name=./some/where/lua same 'name of the program' -q
name=./some/where/lua same 'name of the program in messages' -e 'error("x")'

# LUA_INIT
LUA_INIT='print("init")' same 'LUA_INIT' -e 'print(1)'
LUA_INIT='print("init", arg[0])' same 'LUA_INIT knows arg' arguments.lua
LUA_INIT='@arguments.lua' same 'LUA_INIT names a file' -e 'print(1)' x y
LUA_INIT='@no_such_file' same 'LUA_INIT names no file' -e 'print(1)'
LUA_INIT='error("in init")' same 'LUA_INIT fails' -v -e 'print(1)'
LUA_INIT='x =' same 'LUA_INIT is no Lua' -e 'print(1)'
LUA_INIT='print("no")' LUA_INIT_5_4='print("yes")' same 'LUA_INIT_5_4' -e 'print(1)'
LUA_INIT_5_4='error("in init")' same 'LUA_INIT_5_4 fails' -e 'print(1)'
LUA_INIT='print("init")' same 'LUA_INIT and -E' -E -e 'print(1)'
LUA_INIT='' same 'LUA_INIT is empty' -e 'print(1)'

# Errors
same 'error with traceback' traceback.lua
printf 'if true then\n    print("never ends"\n' >"$scratch/syntax_error.lua"
same 'syntax error in a script' "$scratch/syntax_error.lua"
same 'error with a table' -e 'error({})'
same 'error with nil' -e 'error(nil)'
same 'error without a value' -e 'error()'
same 'error with a number' -e 'error(42)'
same 'error with a boolean' -e 'error(false)'
same 'error object with __tostring' -e 'error(setmetatable({}, {__tostring = function() return "spoken" end}))'
same '__tostring that gives no string' -e 'error(setmetatable({}, {__tostring = function() return {} end}))'
same '__tostring that fails' -e 'error(setmetatable({}, {__tostring = function() error("no") end}))'
same 'error object with __name' -e 'error(setmetatable({}, {__name = "My.Type"}))'
same 'error without position' -e 'error("x", 0)'
same 'error at level 2' -e 'local function f() error("x", 2) end f()'
error_lines=4 same 'stack overflow' -e 'local function f() return 1 + f() end f()'
same 'error in a coroutine' -e 'coroutine.wrap(function() error("inside") end)()'
same 'error through a tail call' -e 'local function g() error("x") end local function f() return g() end f()'
same 'error in a method' -e 'local o = {m = function(self) self.x.y = 1 end} o:m()'
same 'error from C' -e 'string.rep()'
same 'error with zero bytes in its message' -e 'error("a\0b")'
same 'to-be-closed variables' close.lua
same 'error in __close' -e 'local x <close> = setmetatable({}, {__close = function() error("closing") end})'
# shellcheck disable=SC2016 # the shell that Lua starts expands it
interrupted='local ok, message = pcall(function() io.popen("kill -INT $PPID"):close() while true do end end)'
same 'interrupt, caught' -e "$interrupted print(ok, message:match('interrupted!'))" -e 'print("goes on")'
same 'interrupt, not caught' -e "$interrupted error(message:match('interrupted!'), 0)" -e 'print("not reached")'

# The end
same 'finalizers at the end, last first' finalizers.lua
same 'finalizers after an error' finalizers.lua error
same 'finalizers and os.exit' finalizers.lua exit
same 'finalizers and os.exit that closes' finalizers.lua close
same 'os.exit' -e 'os.exit()'
same 'os.exit true' -e 'os.exit(true)'
same 'os.exit false' -e 'os.exit(false)'
same 'os.exit with a number' -e 'os.exit(7)'
same 'os.exit that closes' -e 'os.exit(7, true)'
same 'os.exit in a coroutine' -e 'coroutine.wrap(function() os.exit(3, true) end)()'
same 'os.exit in a finalizer' -e 'x = setmetatable({}, {__gc = function() os.exit(9) end})'
same 'output without a line end' -e 'io.write("no line end")'
same 'kind of garbage collection' -e 'print(collectgarbage("incremental"))'

# The interactive mode
input=$'1 + 1\n=2, nil, "x"\nx =\n3\nprint(x)\nfor i = 1, 2 do\nprint(i)\nend\n' same 'statements and expressions' -i
input=$'error("e")\nerror({})\nx = = 1\nnil + 1\nlocal x <close> = 3\n' same 'errors' -i
input=$'_PROMPT = "$ "\n_PROMPT2 = 5\n(\n1)\n_PROMPT = setmetatable({}, {__tostring = function() return "? " end})\n1' \
    same 'prompts' -i
input=$'print = nil\n5\nreturn\n\nreturn 1, 2\n=\n' same 'print is gone' -i
input=$'os.exit(3)\n1\n' same 'os.exit in it' -i
# Here Lua 5.4.4 writes "(null)" for its error, and hklua the error.
error_lines=0 input=$'f(' same 'input ends within a statement' -i
input=$'x = [[a\nb\n]]\nx\n--[[\n]] 7\ngoto out ::out::\n' same 'long strings and comments' -i
input=$'x, arg[0]\n' same 'after -e' -i -e 'x = "set"'
input=$'...\n' same 'after a script' -i arguments.lua one
input=$'1\n' same 'not after a failed script' -i traceback.lua
input=$'local t = setmetatable({}, {__gc = function() print("gc") end}) y = t\n' same 'finalizers after it' -i

echo "$cases cases, $failures not equal"
((failures == 0))
