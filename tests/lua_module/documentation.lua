-- Runs each snippet of a page of documentation in an environment of its own. Every line that opens a snippet has to be
-- a fence of Lua's, so that none is left out by a mistake.
-- usage: lua documentation.lua PAGE
local path = arg[1] or error("usage: lua documentation.lua PAGE")
local snippet, first_line, count, number = nil, nil, 0, 0
for line in io.lines(path) do
    number = number + 1
    if snippet == nil and line == "```lua" then
        snippet, first_line = {}, number + 1
    elseif snippet ~= nil and line == "```" then
        -- Empty lines in front make the line numbers of errors those of the page.
        local text = ("\n"):rep(first_line - 1) .. table.concat(snippet, "\n")
        local environment = setmetatable({}, {__index = _G})
        assert(load(text, "@" .. path, "t", environment))()
        local global = next(environment)
        assert(global == nil, "the snippet at line " .. first_line .. " sets the global " .. tostring(global))
        snippet, count = nil, count + 1
    elseif snippet ~= nil then
        snippet[#snippet + 1] = line
    else
        assert(line:sub(1, 3) ~= "```", "line " .. number .. " opens a snippet that would not run")
    end
end
assert(snippet == nil, "the last snippet has no end")
assert(count > 0, "there is no snippet")
print(count .. " snippets ran")
