local hakmem = require("hakmem")
local support = require("support")
local fails = support.fails

local function keys(of)
    local names = {}
    for name in pairs(of) do
        names[#names + 1] = tostring(name)
    end
    table.sort(names)
    return names
end

describe("the module", function()
    it("offers these functions and nothing else", function()
        assert.same({"arena", "classify", "good_size", "purge", "this_state", "version"}, keys(hakmem))
        for _, value in pairs(hakmem) do
            assert.equal("function", type(value))
        end
        assert.is_nil(getmetatable(hakmem))
    end)

    it("leaves no trace in _G, and may be loaded anew", function()
        local before = keys(_G)
        local arena <close> = hakmem.arena()
        local buffer = arena:buffer(1)
        package.loaded.hakmem = nil
        local again = require("hakmem")
        package.loaded.hakmem = hakmem
        assert.same(before, keys(_G))
        assert.not_equal(hakmem, again)
        buffer[1] = 5
        assert.equal(5, buffer[1])
        assert.equal(1, #arena:buffer(1))
        assert.is_true(again.arena():check())
    end)

    it("does not write to _G even for a moment", function()
        local loaded = package.loaded.hakmem
        package.loaded.hakmem = nil
        setmetatable(_G, {__newindex = function(_, name) error("global " .. name) end})
        local ok, message = pcall(require, "hakmem")
        setmetatable(_G, nil)
        package.loaded.hakmem = loaded
        assert.is_true(ok, message)
    end)

    it("leaves nothing of SWIG's in the registry", function()
        for key in pairs(debug.getregistry()) do
            assert.is_nil(tostring(key):lower():match("swig"))
        end
    end)

    it("keeps scripts from the finalizers", function()
        local arena <close> = hakmem.arena()
        assert.equal("hakmem.arena", getmetatable(arena))
        assert.equal("hakmem.buffer", getmetatable(arena:buffer(1)))
        assert.is_nil(arena.__gc)
        assert.is_nil(arena:buffer(1).__gc)
    end)
end)

describe("version", function()
    it("is three numbers", function()
        assert.truthy(hakmem.version():match("^%d+%.%d+%.%d+$"))
        fails("bad argument #1 to 'hakmem.version' (there is no such argument)", hakmem.version, 1)
    end)
end)

describe("purge", function()
    it("takes and gives nothing", function()
        assert.equal(0, select("#", hakmem.purge()))
        fails("there is no such argument", hakmem.purge, 1)
    end)
end)

describe("good_size", function()
    it("is an integer, at least what was asked for", function()
        for _, size in ipairs({1, 8, 16, 17, 100, 1000, 1024, 5000, 1 << 20, (1 << 30) + 1}) do
            local good = hakmem.good_size(size)
            assert.equal("integer", math.type(good))
            assert.is_true(good >= size)
        end
        assert.equal(112, hakmem.good_size(100))
        assert.equal(0, hakmem.good_size(math.maxinteger))
    end)

    it("takes sizes in every form", function()
        assert.equal(4096, hakmem.good_size("4K"))
        assert.equal(4096, hakmem.good_size("4k"))
        assert.equal(4096, hakmem.good_size("4096"))
        assert.equal(4096, hakmem.good_size(4096.0))
        assert.equal(4 << 20, hakmem.good_size("4M"))
        assert.equal(1 << 30, hakmem.good_size("1G"))
    end)

    it("refuses everything else, and says what would be right", function()
        fails("got no value", hakmem.good_size)
        fails("size expected (bytes, or a string as \"4M\"), got nil", hakmem.good_size, nil)
        fails("got boolean", hakmem.good_size, true)
        fails("got table", hakmem.good_size, {})
        fails("got function", hakmem.good_size, print)
        fails("the size -1 is negative", hakmem.good_size, -1)
        fails("the size -9223372036854775808 is negative", hakmem.good_size, math.mininteger)
        fails("integer expected, got 0.5", hakmem.good_size, 0.5)
        fails("nan", hakmem.good_size, 0 / 0)
        fails("inf", hakmem.good_size, math.huge)
        fails("integer expected, got 9.2233720368548e+18", hakmem.good_size, 2.0 ^ 63)
        fails("is empty", hakmem.good_size, "")
        fails("is negative", hakmem.good_size, "-1")
        fails("does not begin with a number", hakmem.good_size, " 1")
        fails("does not begin with a number", hakmem.good_size, "K")
        fails("something other than K, M or G", hakmem.good_size, "4T")
        fails("something other than K, M or G", hakmem.good_size, "4KB")
        fails("something other than K, M or G", hakmem.good_size, "1.5M")
        fails("something other than K, M or G", hakmem.good_size, "0x10")
        fails("is more than there can be", hakmem.good_size, "99999999999999999999")
        fails("is more than there can be", hakmem.good_size, "18014398509481984K")
        fails("has a zero byte in it", hakmem.good_size, "4K\0")
        fails("bad argument #2", hakmem.good_size, 1, 2)
    end)
end)

describe("classify", function()
    local arena

    before_each(function()
        arena = hakmem.arena({name = "classified"})
    end)
    after_each(function()
        arena:close()
    end)

    it("knows buffers of every size", function()
        for kind, size in pairs({small = 100, large = "100K", huge = "16M"}) do
            local buffer = arena:buffer(size)
            local info = hakmem.classify(buffer)
            assert.equal(kind, info.kind)
            assert.equal("live", info.state)
            assert.equal("classified", info.arena)
            assert.equal(buffer:address(), info.block_start)
            assert.equal("integer", math.type(info.block_start))
            assert.is_true(info.block_size >= #buffer)
            assert.same(info, hakmem.classify(buffer:address()))
            assert.same(info, hakmem.classify(buffer:address() + #buffer - 1))
        end
    end)

    it("knows what is free, and what is not hakmem's", function()
        local buffer = arena:buffer(100)
        local address = buffer:address()
        buffer:close()
        assert.equal("free", hakmem.classify(address).state)
        local nothing = {kind = "foreign", state = "none"}
        for _, foreign in ipairs({0, 1, -1, 4096.0, math.mininteger, math.maxinteger, (1 << 53) + 1}) do
            assert.same(nothing, hakmem.classify(foreign))
        end
    end)

    it("refuses what is no address", function()
        fails("address (an integer) or buffer expected, got no value", hakmem.classify)
        fails("address (an integer) or buffer expected, got string", hakmem.classify, "1")
        fails("address (an integer) or buffer expected, got hakmem.arena", hakmem.classify, arena)
        fails("got table", hakmem.classify, {})
        fails("got FILE*", hakmem.classify, io.stdout)
        fails("integer expected, got 0.5", hakmem.classify, 0.5)
        fails("integer expected, got 1e+300", hakmem.classify, 1e300)
        fails("nan", hakmem.classify, 0 / 0)
        local buffer = arena:buffer(1)
        buffer:close()
        fails("use of a buffer that was closed", hakmem.classify, buffer)
    end)
end)
