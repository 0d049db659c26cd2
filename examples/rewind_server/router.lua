-- Routes: "GET", "/books/:slug" and a function from a request to a response. What stands for a part of a path that
-- begins with a colon is handed on in request.params, decoded.
local form = require("form")

local router = {}
router.__index = router

function router.new()
    return setmetatable({fixed = {}, patterns = {}}, router)
end

local function compile(path)
    local names = {}
    local pattern = path:gsub("[%-.]", "%%%0"):gsub(":(%w+)", function(name)
        names[#names + 1] = name
        return "([^/]+)"
    end)
    return "^" .. pattern .. "$", names
end

function router:add(method, path, handler)
    if not path:find(":", 1, true) then
        self.fixed[path] = self.fixed[path] or {}
        self.fixed[path][method] = handler
        return
    end
    local pattern, names = compile(path)
    for _, entry in ipairs(self.patterns) do
        if entry.pattern == pattern then
            entry.methods[method] = handler
            return
        end
    end
    table.insert(self.patterns, {pattern = pattern, names = names, methods = {[method] = handler}})
end

local function match(entry, path)
    local values = table.pack(path:match(entry.pattern))
    if values[1] == nil then
        return nil
    end
    local params = {}
    for i, name in ipairs(entry.names) do
        params[name] = form.decode((values[i]:gsub("+", "%%2B")))
        if params[name] == nil then
            return nil
        end
    end
    return params
end

function router:find(path)
    if self.fixed[path] ~= nil then
        return self.fixed[path], {}
    end
    for _, entry in ipairs(self.patterns) do
        local params = match(entry, path)
        if params ~= nil then
            return entry.methods, params
        end
    end
    return nil
end

local function allowed(methods)
    local names = {}
    for method in pairs(methods) do
        names[#names + 1] = method
    end
    if methods.GET then
        names[#names + 1] = "HEAD"
    end
    table.sort(names)
    return table.concat(names, ", ")
end

-- The handler and the params of its path; or nil and the methods that the path has, if it has any.
function router:route(method, path)
    local methods, params = self:find(path)
    if methods == nil then
        return nil
    end
    local handler = methods[method] or (method == "HEAD" and methods.GET)
    if not handler then
        return nil, allowed(methods)
    end
    return handler, params
end

return router
