local hakmem = require("hakmem")
local support = require("support")
local fails, live_blocks = support.fails, support.live_blocks

describe("a buffer", function()
    local arena, buffer

    before_each(function()
        arena = hakmem.arena({name = "bytes"})
        buffer = arena:buffer(1000)
    end)
    after_each(function()
        arena:close()
    end)

    it("has these methods", function()
        assert.same({"address", "close", "read", "write"}, support.methods(buffer))
        assert.is_nil(buffer.nothing)
        assert.is_nil(buffer[true])
        assert.is_nil(buffer[nil])
        assert.is_nil(buffer["1"])
    end)

    it("takes nobody else for itself", function()
        local functions = {}
        for _, from in ipairs({debug.getmetatable(buffer), support.method_table(buffer)}) do
            for _, value in pairs(from) do
                functions[#functions + 1] = type(value) == "function" and value or nil
            end
        end
        assert.equal(10, #functions)
        local index = setmetatable({}, {__index = buffer}) -- where Lua itself goes on to the buffer
        assert.equal(0, index[1])
        for _, f in ipairs(functions) do
            for _, other in ipairs({1, "buffer", {}, print, true, io.stdout, arena}) do
                fails("hakmem.buffer expected", f, other)
            end
            fails("hakmem.buffer expected", f)
        end
    end)

    it("begins as zeros, whatever lay there before", function()
        for _ = 1, 20 do
            local dirty = arena:buffer(512)
            dirty:write(("\xff"):rep(512))
            dirty:close()
            assert.equal(("\0"):rep(512), arena:buffer(512):read())
        end
    end)

    it("holds bytes from 1 to its length", function()
        for i = 1, #buffer do
            buffer[i] = i % 256
        end
        for i = 1, #buffer do
            assert.equal(i % 256, buffer[i])
        end
        assert.equal("integer", math.type(buffer[1]))
        buffer[2.0] = 9.0
        assert.equal(9, buffer[2])
        assert.equal("integer", math.type(buffer[2.0]))
    end)

    it("has bounds", function()
        for _, index in ipairs({0, -1, 1001, math.maxinteger, math.mininteger, 1.5, 0.5, 1e300, math.huge, -math.huge,
            2 ^ 53, 2 ^ 64, (1 << 32) + 1, (1 << 53) + 1}) do
            local text = "index " .. tostring(index) .. " is out of bounds; the buffer has bytes 1 to 1000"
            fails(text, function() return buffer[index] end)
            fails(text, function() buffer[index] = 1 end)
        end
        fails("nan is out of bounds", function() return buffer[0 / 0] end)
        fails("nan is out of bounds", function() buffer[0 / 0] = 1 end)
        local empty = arena:buffer(0)
        assert.equal(0, #empty)
        fails("index 1 is out of bounds; the buffer has bytes 1 to 0", function() return empty[1] end)
        assert.equal("", empty:read())
    end)

    it("holds integers from 0 to 255 only", function()
        for _, value in ipairs({-1, 256, 1.5, math.maxinteger, math.mininteger, 2 ^ 53, math.huge, (1 << 32) + 7}) do
            fails("a byte is an integer from 0 to 255, not " .. tostring(value), function() buffer[1] = value end)
        end
        fails("nan", function() buffer[1] = 0 / 0 end)
        fails("a byte is an integer from 0 to 255, not string", function() buffer[1] = "7" end)
        fails("not nil", function() buffer[1] = nil end)
        fails("not table", function() buffer[1] = {} end)
        fails("not boolean", function() buffer[1] = true end)
        assert.equal(0, buffer[1])
    end)

    it("has no fields to set", function()
        fails("a buffer has bytes at integers, and nothing at 'read'", function() buffer.read = 1 end)
        fails("nothing at '1'", function() buffer["1"] = 1 end)
        fails("nothing at 'true'", function() buffer[true] = 1 end)
    end)

    it("is written and read in ranges", function()
        assert.equal(6, buffer:write("hello"))
        assert.equal(12, buffer:write(" world", 6))
        assert.equal("hello world", buffer:read(1, 11))
        assert.equal("world", buffer:read(7, 11))
        assert.equal(1000, #buffer:read())
        assert.equal(1000, #buffer:read(nil, nil))
        assert.equal(990, #buffer:read(11))
        assert.equal("", buffer:read(1, 0))
        assert.equal("", buffer:read(1001, 1000))
        assert.equal("", buffer:read(1001))
        assert.equal("h", buffer:read(1, 1))
        assert.equal(1001, buffer:write("\0\xff", 999))
        assert.equal("\0\xff", buffer:read(999))
        assert.equal(1001, buffer:write("", 1001))
        assert.equal(1, buffer:write(""))
        local whole = ("0123456789"):rep(100)
        assert.equal(1001, buffer:write(whole))
        assert.equal(whole, buffer:read())
    end)

    it("has bounds for ranges", function()
        local function refuses(...)
            fails("out of bounds; the buffer has bytes 1 to 1000", buffer.read, buffer, ...)
        end
        refuses(0)
        refuses(-1)
        refuses(1, 1001)
        refuses(1002)
        refuses(1002, 1001)
        refuses(5, 3)
        refuses(1, -1)
        refuses(1, math.maxinteger)
        refuses(math.mininteger, math.maxinteger)
        refuses(math.maxinteger)
        refuses(math.mininteger, math.mininteger)
        fails("6 bytes from 996 on are out of bounds", buffer.write, buffer, "123456", 996)
        fails("out of bounds", buffer.write, buffer, "", 1002)
        fails("out of bounds", buffer.write, buffer, "x", 0)
        fails("out of bounds", buffer.write, buffer, "x", -1)
        fails("out of bounds", buffer.write, buffer, "x", math.maxinteger)
        fails("out of bounds", buffer.write, buffer, "x", math.mininteger)
        fails("out of bounds", buffer.write, buffer, ("x"):rep(1001))
        assert.equal(("\0"):rep(1000), buffer:read()) -- nothing was written half
    end)

    it("takes positions and strings as they are", function()
        fails("integer expected, got string", buffer.read, buffer, "1")
        fails("integer expected, got 1.5", buffer.read, buffer, 1.5)
        fails("bad argument #3", buffer.read, buffer, 1, {})
        fails("nan", buffer.read, buffer, 0 / 0)
        fails("there is no such argument", buffer.read, buffer, 1, 2, 3)
        fails("string expected, got no value", buffer.write, buffer)
        fails("string expected, got number", buffer.write, buffer, 1)
        fails("integer expected, got boolean", buffer.write, buffer, "x", false)
        fails("there is no such argument", buffer.write, buffer, "x", 1, 2)
        fails("there is no such argument", buffer.address, buffer, 1)
        fails("there is no such argument", buffer.close, buffer, 1)
        assert.equal(2, buffer:write("x", 1.0))
    end)

    it("tells what it is", function()
        assert.equal('hakmem.buffer of 1000 bytes in arena "bytes"', tostring(buffer))
        assert.equal("integer", math.type(buffer:address()))
        assert.is_true(buffer == buffer and buffer ~= arena:buffer(1000))
        buffer:close()
        assert.equal("hakmem.buffer (closed)", tostring(buffer))
    end)

    it("has the size that was asked for, however it was said", function()
        assert.equal(4096, #arena:buffer("4K"))
        assert.equal(2 << 20, #arena:buffer("2M"))
        assert.equal(7, #arena:buffer(7.0))
        assert.equal(1, #arena:buffer(1))
        fails("size expected", arena.buffer, arena)
        fails("integer expected, got 1.5", arena.buffer, arena, 1.5)
        fails("is negative", arena.buffer, arena, -1)
        fails("got table", arena.buffer, arena, {})
        fails("HK_ERR_", arena.buffer, arena, math.maxinteger)
        assert.is_true(arena:check())
    end)

    it("is the same in arenas of every kind", function()
        for _, options in ipairs({{hardened = true}, {rewindable = true}, {alignment = 8}}) do
            local other <close> = hakmem.arena(options)
            for size = 0, 300 do
                local bytes = other:buffer(size)
                for i = 1, size do
                    bytes[i] = 255
                end
                fails("out of bounds", function() bytes[size + 1] = 1 end)
                if size % 2 == 0 then
                    bytes:close() -- a hardened arena would tell of a byte too many
                end
            end
            assert.is_true(other:check())
        end
    end)

    it("goes when it is closed, at the end of a scope too", function()
        assert.equal(1, live_blocks(arena))
        assert.equal(0, select("#", buffer:close()))
        assert.equal(0, live_blocks(arena))
        buffer:close()
        do
            local scoped <close> = arena:buffer(10)
            scoped[1] = 1
            assert.equal(1, live_blocks(arena))
        end
        assert.equal(0, live_blocks(arena))
        for _, use in ipairs({
            function() return buffer[1] end, function() buffer[1] = 1 end, function() return #buffer end,
            function() return buffer:read() end, function() return buffer:write("x") end,
            function() return buffer:address() end,
        }) do
            fails("use of a buffer that was closed", use)
        end
    end)
end)

describe("many buffers", function()
    it("keep their bytes apart, and close in any order", function()
        math.randomseed(20261126)
        local arena <close> = hakmem.arena()
        local buffers = {}
        for i = 1, 5000 do
            local buffer = arena:buffer(math.random(1, 600))
            buffer:write(string.pack("<I4", i):rep(150):sub(1, #buffer))
            buffers[i] = {buffer = buffer, number = i}
        end
        assert.equal(5000, live_blocks(arena))
        for i = #buffers, 2, -1 do
            local j = math.random(i)
            buffers[i], buffers[j] = buffers[j], buffers[i]
        end
        for i, entry in ipairs(buffers) do
            local buffer = entry.buffer
            assert(buffer:read() == string.pack("<I4", entry.number):rep(150):sub(1, #buffer))
            buffer:close()
            if i % 500 == 0 then
                assert.is_true(arena:check())
                assert.equal(5000 - i, live_blocks(arena))
            end
        end
    end)
end)
