-- Templates of HTML, compiled to Lua once.
--   {{ expression }}     its value, escaped
--   {{{ expression }}}   its value as it is: for HTML only
--   {% statement %}      Lua
-- What a template names is looked up among the values that it is given, then among the helpers; a name that is neither
-- is an error, and so is a value that is nil.
local template = {}

local ENTITIES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}

local function text_of(value)
    if value == nil then
        error("a value is nil", 2)
    end
    return type(value) == "string" and value or tostring(value)
end

function template.escape(value)
    return (text_of(value):gsub("[&<>\"']", ENTITIES))
end

template.helpers = {ipairs = ipairs, pairs = pairs}

local environment = {
    __index = function(_, name)
        local helper = template.helpers[name]
        if helper == nil then
            error("no value is named " .. name, 2)
        end
        return helper
    end,
}

-- Where the next tag begins, how it ends, and what becomes of what is in it.
local function next_tag(text, at)
    local start = text:find("{[{%%]", at)
    if start == nil then
        return nil
    elseif text:sub(start, start + 2) == "{{{" then
        return start, "}}}", 3, "_out[#_out + 1] = _text(%s)"
    elseif text:sub(start, start + 1) == "{{" then
        return start, "}}", 2, "_out[#_out + 1] = _escape(%s)"
    end
    return start, "%}", 2, "%s"
end

local function translate(name, text)
    local code = {"local _out, _escape, _text, _ENV = ... "}
    local at = 1
    while true do
        local start, closing, width, form = next_tag(text, at)
        code[#code + 1] = ("_out[#_out + 1] = %q"):format(text:sub(at, (start or 0) - 1))
        if start == nil then
            return table.concat(code, "\n")
        end
        local stop = text:find(closing, start + width, true) or error(name .. ": a tag does not end")
        code[#code + 1] = form:format(text:sub(start + width, stop - 1):match("^%s*(.-)%s*$"))
        at = stop + #closing
    end
end

-- A function from a table of values to text. It gives the table a metatable.
function template.compile(name, text)
    local run = assert(load(translate(name, text), "=template " .. name, "t"))
    return function(values)
        local out = {}
        run(out, template.escape, text_of, setmetatable(values, environment))
        return table.concat(out)
    end
end

return template
