-- What the specs share.
local support = {}

-- Calls f, which has to fail with a message that holds `part`.
function support.fails(part, f, ...)
    local ok, message = pcall(f, ...)
    assert(not ok, "it should have failed with: " .. part)
    assert(type(message) == "string" and message:find(part, 1, true), "not '" .. part .. "' but: " .. tostring(message))
end

function support.live_blocks(arena)
    return arena:statistics().live_blocks
end

-- Twice: finalizers run in the first, what they let go of goes in the second.
function support.collect()
    collectgarbage()
    collectgarbage()
end

-- An object's table of methods; that of buffers is known to the function that looks up both bytes and methods.
function support.method_table(object)
    local index = debug.getmetatable(object).__index
    if type(index) == "function" then
        return select(2, debug.getupvalue(index, 1))
    end
    return index
end

-- The names of an object's methods, in order.
function support.methods(object)
    local names = {}
    for name in pairs(support.method_table(object)) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

return support
