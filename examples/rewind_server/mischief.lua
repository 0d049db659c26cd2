-- Requests that a server should survive: /mischief/NAME does its worst to the state, and answers "done" if it comes to
-- that.
local mischief = {}

function mischief.globals()
    polluted = "by an earlier request" -- luacheck: ignore 111
    for i = 1, 1000 do
        _G["junk" .. i] = {i}
    end
    _G.print, _G.tostring, _G.ipairs, _G.require = nil, nil, nil, nil
end

local function fill(hoard, megabytes)
    for i = 1, megabytes * 1024 do
        hoard[#hoard + 1] = ("x"):rep(1000) .. i
    end
end

function mischief.leak(request)
    _G.leaked = _G.leaked or {}
    fill(_G.leaked, math.tointeger(tonumber(request.query.megabytes)) or 1)
end

function mischief.limit()
    _G.leaked = {}
    fill(_G.leaked, math.maxinteger >> 10)
end

-- In one piece: the error comes from a buffer of Lua's string library.
function mischief.huge()
    return #("x"):rep(1 << 30)
end

-- The limit is met, and the request goes on as if nothing were.
function mischief.caught()
    assert(not pcall(mischief.limit))
end

function mischief.error()
    _G.half_done = true
    error("this request fails on purpose")
end

function mischief.object()
    error(setmetatable({}, {__tostring = function() error("not even this works") end}))
end

function mischief.recursion()
    local function again()
        return 1 + again()
    end
    return again()
end

-- What is called everywhere is something else now.
function mischief.patch()
    local methods = getmetatable("").__index
    for name in pairs(methods) do
        methods[name] = function() return "patched" end
    end
    table.concat = function() return "patched" end -- luacheck: ignore 122
    math.random = function() return 4 end -- luacheck: ignore 122
    math.randomseed = nil -- luacheck: ignore 122
    for _, module in pairs(package.loaded) do
        if type(module) == "table" and module ~= _G then
            setmetatable(module, {__index = function() return "patched" end})
        end
    end
    setmetatable(_G, {__index = function() return "patched" end, __newindex = function() end})
end

function mischief.catalogue()
    for _, book in ipairs(require("catalogue").books) do
        book.title, book.cents = "<script>alert('" .. book.title .. "')</script>", 0
    end
    package.loaded.catalogue = nil
    require("template").escape = function(text) return text end
    require("template").helpers.money = function() return "free" end
end

function mischief.collector()
    collectgarbage("stop")
    collectgarbage("generational")
    collectgarbage("stop")
    debug.sethook(function() _G.hooked = (_G.hooked or 0) + 1 end, "crl")
    debug.getregistry().mischief = {}
    _G.sleeper = coroutine.create(function() coroutine.yield(_G) end)
    coroutine.resume(_G.sleeper)
    _G.finalized = setmetatable({}, {__gc = function() error("a finalizer ran") end})
end

return mischief
