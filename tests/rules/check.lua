-- Checks one rule. usage: lua check.lua ROOT RULE [argument...]
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local rules = require("rules")

local root, name = arg[1], arg[2]
local rule = rules[name] or error("no rule is named " .. tostring(name))
local violations = rule(root, table.unpack(arg, 3))
for _, violation in ipairs(violations) do
    print(violation)
end
print(string.format("%s: %d violations", name, #violations))
os.exit(#violations == 0)
