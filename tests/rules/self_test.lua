-- Shows that the rules can fail: each finds exactly what is wrong with a bad project, which this test lays out.
-- usage: lua self_test.lua SCRATCH-FOLDER
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local rules = require("rules")
local source = require("source")

local scratch = arg[1]
local failures = 0

local function expect(what, got, wanted)
    if got ~= wanted then
        failures = failures + 1
        print(string.format("FAILED %s\n  expected: %s\n  got:      %s", what, wanted, got))
    end
end

-- Lays out a project of these files and runs one rule over it.
local function run(rule, files)
    assert(os.execute("rm -rf '" .. scratch .. "' && mkdir -p '" .. scratch .. "/core'"))
    for file, text in pairs(files) do
        local handle = assert(io.open(scratch .. "/" .. file, "wb"))
        handle:write(text)
        handle:close()
    end
    return table.concat(rules[rule](scratch), "; ")
end

local function body(lines)
    return "{\n" .. ("    x();\n"):rep(lines - 2) .. "}\n"
end

expect("an upper layer", run("layers", {["core/lock.c"] = '#include "heap.h"\n'}),
    "core/lock.c (layer 2) includes heap.h (layer 6)")
expect("the same and lower layers", run("layers", {
    ["core/heap.h"] = '#include "base.h"\n#include "hakmem.h"\n',
    ["core/heap.c"] = '#include <stdio.h>\n#include "heap.h"\n',
}), "")
expect("a file in no layer", run("layers", {["core/novel.h"] = ""}),
    "core/novel.h is in no layer: name it in LAYERS (tests/rules/rules.lua) and in core/README.md")
expect("an include in no layer", run("layers", {["core/heap.c"] = '#include "lua.h"\n'}),
    "core/heap.c includes lua.h, which is in no layer")

expect("a long function", run("lengths", {
    ["core/heap.c"] = "int f(int a)\n" .. body(61) .. "int g(void) " .. body(60),
}), "core/heap.c:2: f has 61 lines; 60 are allowed")
expect("braces in comments, strings and macros", run("lengths", {
    ["core/heap.c"] = '#define A(x) do { \\\n    {\n/* { */ char *s = "{\\"{"; char c = \'{\';\n'
        .. "int f(void) " .. body(60),
}), "")
expect("tables are not functions", run("lengths", {
    ["core/heap.c"] = "int f[] = " .. body(70) .. "struct s " .. body(70),
}), "")
expect("a long file", run("lengths", {["core/heap.c"] = ("\n"):rep(601)}), "core/heap.c has 601 lines; 600 are allowed")

local guarded = "/* words */\n#ifndef HKI_X_H\n#define HKI_X_H\n%s#endif\n"
expect("#if in the wrong place", run("conditionals", {
    ["core/heap.h"] = guarded:format("#ifdef X\n#endif\n"),
    ["core/unit.h"] = guarded:format("/*\n#if comment\n*/\n"),
    ["core/base.h"] = guarded:format("# if 1\n# endif\n"),
}), "core/heap.h:4: #if belongs in base and os_*")
expect("too many #if", run("conditionals", {["core/os_linux.c"] = ("#if 1\n#endif\n"):rep(31)}),
    "core has 31 #if; 30 are allowed")

local home = "/" .. "home/"
expect("a machine's path", run("paths", {
    ["a.md"] = "cd " .. home .. "me\n",
    ["b.md"] = "x" .. home .. " ${d}" .. home,
}),
    "a.md:1: absolute path of a machine: " .. home:sub(1, -2))
expect("a host", run("paths", {["a.md"] = "\nhttps://pypi" .. ".org\n"}), "a.md:2: name of a host")
expect("generated files", run("generated", {["a.o"] = "", ["b.c"] = ""}), "a.o is a generated file or a log")

-- A library that exports one name too many and lacks one.
local code = "int hk_one(void);int hk_stray(void);int stray(void);"
    .. "int hk_one(void){return 1;}int hk_stray(void){return 2;}int stray(void){return 3;}"
run("generated", {["h.h"] = "int hk_one(void);\n/* hk_comment(); */\nconst char *hk_two(int a);\n", ["l.c"] = code})
local library = scratch .. "/l.so"
local compiler = os.getenv("CC") or "cc"
assert(os.execute(compiler .. " -shared -fPIC -o '" .. library .. "' '" .. scratch .. "/l.c'"))
expect("exports", table.concat(rules.exports(scratch, library, "h.h", "hk_"), "; "),
    "hk_stray is exported and not declared in h.h; hk_two is declared in h.h and not exported; "
    .. "stray is exported and does not begin with hk_")

expect("functions", #source.functions("static int f(int a) {\n  if (a) {\n  }\n}\nTest(a, b) { }\n"), 2)

print(failures == 0 and "self-test: all rules can fail" or ("self-test: %d failures"):format(failures))
os.exit(failures == 0)
