-- The annotations of the module declare exactly the functions and methods that there are.
-- usage: lua annotations.lua FILE
local hakmem = require("hakmem")
local support = require("support")

local declared, fields = {hakmem = {}, arena = {}, buffer = {}}, {}
local path = arg[1] or error("usage: lua annotations.lua FILE")
for line in io.lines(path) do
    local owner, name = line:match("^function (%w+)[.:]([%w_]+)%(.-%) end$")
    if owner ~= nil then
        table.insert(declared[owner], name)
    end
    local field = line:match("^%-%-%-@field ([%w_]+)%?? ")
    fields[field or ""] = true
end

local function expect(owner, names)
    table.sort(declared[owner])
    table.sort(names)
    local found, wanted = table.concat(declared[owner], " "), table.concat(names, " ")
    assert(found == wanted, owner .. " is declared with " .. found .. "; it has " .. wanted)
end

local functions = {}
for name in pairs(hakmem) do
    functions[#functions + 1] = name
end
expect("hakmem", functions)
local arena <close> = hakmem.arena()
local buffer = arena:buffer(1)
expect("arena", support.methods(arena))
expect("buffer", support.methods(buffer))
for _, result in ipairs({arena:statistics(), arena:statistics().classes[1], hakmem.classify(buffer)}) do
    for field in pairs(result) do
        assert(fields[field], "the field " .. field .. " is not declared")
    end
end
for _, option in ipairs({"limit", "name", "hardened", "rewindable", "alignment", "reserve"}) do
    assert(fields[option], "the option " .. option .. " is not declared")
end
print("the annotations are complete")
