local hakmem = require("hakmem")
local support = require("support")
local fails, live_blocks = support.fails, support.live_blocks

describe("hakmem.arena", function()
    it("takes nothing, nil, and every option", function()
        assert.equal("arena", hakmem.arena():name())
        assert.equal("arena", hakmem.arena(nil):name())
        assert.equal("arena", hakmem.arena({}):name())
        local all <close> = hakmem.arena({
            limit = "4M", name = "all", hardened = false, rewindable = true, alignment = 8, reserve = 8 << 20,
        })
        assert.equal("all", all:name())
        assert.equal(4 << 20, all:limit())
        all:checkpoint()
        local hardened <close> = hakmem.arena({hardened = true, alignment = 16, limit = 0})
        assert.equal(0, hardened:limit())
        assert.equal(108, hakmem.classify(hardened:buffer(100)).block_size) -- and the number behind the bytes
        local eight <close> = hakmem.arena({alignment = 8})
        assert.equal(24, hakmem.classify(eight:buffer(16)).block_size)
    end)

    it("bounds the address space of rewindable arenas by their reserve", function()
        local arena <close> = hakmem.arena({rewindable = true, reserve = "4M"})
        fails("HK_ERR_LIMIT", arena.buffer, arena, "8M")
        local larger <close> = hakmem.arena({rewindable = true, reserve = "16M"})
        assert.equal(8 << 20, #larger:buffer("8M"))
    end)

    it("refuses every other option and value", function()
        fails("table expected, got string", hakmem.arena, "name")
        fails("table expected, got number", hakmem.arena, 1)
        fails("bad argument #2", hakmem.arena, {}, {})
        fails("there is no option 'limits'; there are limit, name", hakmem.arena, {limits = 1})
        fails("there is no option '1'", hakmem.arena, {"name"})
        fails("there is no option 'true'", hakmem.arena, {[true] = 1})
        local named = setmetatable({}, {__tostring = function() return "limit" end})
        fails("there is no option 'limit'", hakmem.arena, {[named] = 1})
        fails("limit: size expected", hakmem.arena, {limit = {}})
        fails("limit: the size '4X'", hakmem.arena, {limit = "4X"})
        fails("limit: the size -1 is negative", hakmem.arena, {limit = -1})
        fails("limit: integer expected, got nan", hakmem.arena, {limit = math.abs(0 / 0)})
        fails("HK_ERR_INVALID_ARGUMENT: a limit is 1K at least", hakmem.arena, {limit = 1023})
        fails("reserve: integer expected, got 1.5", hakmem.arena, {reserve = 1.5, rewindable = true})
        fails("reserve: only rewindable arenas have one", hakmem.arena, {reserve = "1M"})
        fails("HK_ERR_INVALID_ARGUMENT", hakmem.arena, {reserve = "1025G", rewindable = true})
        fails("name: string expected, got number", hakmem.arena, {name = 12})
        fails("name: 31 bytes at most, got 32", hakmem.arena, {name = ("x"):rep(32)})
        fails("name: there is a zero byte in it", hakmem.arena, {name = "a\0b"})
        fails("hardened: boolean expected, got string", hakmem.arena, {hardened = "yes"})
        fails("rewindable: boolean expected, got number", hakmem.arena, {rewindable = 1})
        fails("alignment: 8 or 16 expected, got 32", hakmem.arena, {alignment = 32})
        fails("alignment: integer expected, got string", hakmem.arena, {alignment = "16"})
        fails("HK_ERR_UNSUPPORTED: an arena is either hardened or rewindable", hakmem.arena,
            {hardened = true, rewindable = true})
    end)

    it("collects arenas that are out of reach when address space is used up", function()
        -- 1 TiB of address space would hold 32 of these.
        for _ = 1, 100 do
            assert.is_true(hakmem.arena({rewindable = true, reserve = "32G"}):check())
        end
    end)
end)

describe("an arena", function()
    local arena

    before_each(function()
        arena = hakmem.arena({limit = "4M", name = "request"})
    end)
    after_each(function()
        arena:close()
    end)

    it("has these methods", function()
        assert.same({
            "buffer", "check", "checkpoint", "close", "limit", "map", "name", "reset", "rollback", "set_limit",
            "statistics", "trim", "walk",
        }, support.methods(arena))
        assert.is_nil(arena.nothing)
        assert.is_nil(arena[1])
        fails("attempt to index a hakmem.arena value", function() arena.field = 1 end)
    end)

    it("takes nobody else for itself", function()
        local buffer = arena:buffer(1)
        for _, name in ipairs(support.methods(arena)) do
            for _, other in ipairs({1, "arena", {}, print, true, io.stdout, buffer, coroutine.create(print)}) do
                fails("hakmem.arena expected", arena[name], other)
            end
            fails("hakmem.arena expected, got no value", arena[name])
            fails("hakmem.arena expected, got nil", arena[name], nil)
        end
    end)

    it("refuses arguments that there are not", function()
        for name, most in pairs({
            check = 0, checkpoint = 0, close = 0, limit = 0, name = 0, reset = 0, rollback = 0, statistics = 0,
            trim = 0, buffer = 1, map = 1, set_limit = 1, walk = 1,
        }) do
            fails("there is no such argument", arena[name], arena, table.unpack({}, 1, most + 1))
        end
    end)

    it("tells what it is", function()
        assert.equal('hakmem.arena "request"', tostring(arena))
        assert.equal("request", arena:name())
        arena:close()
        assert.equal("hakmem.arena (closed)", tostring(arena))
    end)

    it("has a limit, exactly", function()
        assert.equal(4 << 20, arena:limit())
        fails('HK_ERR_LIMIT: the arena\'s limit or reserve is reached: a buffer of 8388608 bytes in arena "request"',
            arena.buffer, arena, 8 << 20)
        fails("4611686018427387905", arena.buffer, arena, (1 << 62) + 1)
        arena:set_limit("16M")
        assert.equal(16 << 20, arena:limit())
        assert.equal(8 << 20, #arena:buffer(8 << 20))
        arena:set_limit((1 << 53) + 1024)
        assert.equal((1 << 53) + 1024, arena:limit())
        arena:set_limit(0)
        assert.equal(0, arena:limit())
        assert.equal(0, select("#", arena:set_limit("1G")))
        fails("HK_ERR_INVALID_ARGUMENT: a limit is 1K at least", arena.set_limit, arena, 1)
        fails("size expected", arena.set_limit, arena)
        fails("size expected", arena.set_limit, arena, nil)
        fails("is negative", arena.set_limit, arena, -1024)
        assert.equal(1 << 30, arena:limit())
    end)

    it("tells its figures as integers", function()
        local buffers = {}
        for i = 1, 10 do
            buffers[i] = arena:buffer(100)
        end
        local big <close> = arena:buffer("1M")
        assert.equal(10, #buffers)
        local figures = arena:statistics()
        for _, name in ipairs({
            "held_bytes", "peak_held_bytes", "limit_bytes", "live_blocks", "live_bytes", "large_blocks", "large_bytes",
            "units", "limit_failures", "system_failures",
        }) do
            assert.equal("integer", math.type(figures[name]), name)
        end
        assert.equal(11, figures.live_blocks)
        assert.equal(1, figures.large_blocks)
        assert.is_true(figures.large_bytes >= #big and figures.large_bytes <= #big + 1024)
        assert.equal(4 << 20, figures.limit_bytes)
        assert.equal(0, figures.limit_failures)
        assert.equal(1, #figures.classes)
        local class = figures.classes[1]
        assert.same({block_size = 112, live_blocks = 10, held_bytes = class.held_bytes}, class)
        assert.equal("integer", math.type(class.held_bytes))
        assert.equal(figures.held_bytes, class.held_bytes + figures.large_bytes)
        pcall(arena.buffer, arena, "5M")
        assert.is_true(arena:statistics().limit_failures > 0)
    end)

    it("checks itself, and gives memory back", function()
        for _ = 1, 100 do
            arena:buffer(1000):close()
        end
        assert.is_true(arena:check())
        assert.is_true(arena:statistics().held_bytes > 0)
        assert.equal(0, select("#", arena:trim()))
        assert.equal(0, live_blocks(arena))
        assert.is_true(arena:check())
    end)

    it("is drawn into a file", function()
        arena:buffer(1000)
        local path = os.tmpname()
        assert.equal(0, select("#", arena:map(path)))
        arena:map(path) -- over the first one
        local file = assert(io.open(path))
        local text = file:read("a")
        file:close()
        os.remove(path)
        assert.truthy(text:find("<svg", 1, true))
        assert.truthy(text:find("request", 1, true))
        assert.equal(1, select(2, text:gsub("</svg>", "")))
        fails("No such file or directory", arena.map, arena, path .. "/none")
        fails("HK_ERR_INVALID_ARGUMENT: cannot write the map to '/dev/full'", arena.map, arena, "/dev/full")
        fails("has a zero byte in it", arena.map, arena, "map\0.svg")
        fails("string expected, got no value", arena.map, arena)
        fails("string expected, got number", arena.map, arena, 1)
        assert.is_true(arena:check())
    end)
end)

describe("a walk", function()
    local arena, buffers

    before_each(function()
        arena, buffers = hakmem.arena(), {}
        for i = 1, 50 do
            buffers[i] = arena:buffer(i * 40)
        end
    end)
    after_each(function()
        arena:close()
    end)

    it("meets every buffer once, by address", function()
        local met, last = {}, 0
        assert.equal(0, select("#", arena:walk(function(address, size)
            assert.equal("integer", math.type(address))
            assert.equal("integer", math.type(size))
            assert.is_true(address > last)
            met[address], last = size, address
        end)))
        for _, buffer in ipairs(buffers) do
            assert.is_true(met[buffer:address()] >= #buffer)
            met[buffer:address()] = nil
        end
        assert.is_nil(next(met))
    end)

    it("ends when the function returns false, and only then", function()
        local function count(result)
            local visits = 0
            arena:walk(function()
                visits = visits + 1
                return result
            end)
            return visits
        end
        assert.equal(1, count(false))
        assert.equal(50, count(nil))
        assert.equal(50, count(true))
        assert.equal(50, count(0))
    end)

    it("ends with an error of the function, and leaves the arena as it was", function()
        for _ = 1, 3 do
            local ok, message = pcall(arena.walk, arena, function() error({code = 7}) end)
            assert.is_false(ok)
            assert.equal(7, message.code)
        end
        fails("attempt to yield across a C-call boundary", coroutine.wrap(function()
            arena:walk(coroutine.yield)
        end))
        assert.is_true(arena:check())
        assert.equal(50, live_blocks(arena))
        buffers[1]:close()
        assert.equal(200, #arena:buffer(200))
    end)

    it("lets the function do anything to the arena", function()
        local visits = 0
        arena:walk(function()
            visits = visits + 1
            buffers[#buffers + 1] = arena:buffer(64)
            if buffers[visits] ~= nil then
                buffers[visits]:close()
            end
            arena:statistics()
            arena:check()
            arena:walk(function() return false end)
            collectgarbage("step")
        end)
        assert.equal(50, visits)
        arena:walk(function() arena:reset() end)
        assert.equal(0, live_blocks(arena))
        arena:buffer(10)
        arena:walk(function() arena:close() end)
        assert.equal("hakmem.arena (closed)", tostring(arena))
    end)

    it("takes functions only", function()
        fails("function expected, got no value", arena.walk, arena)
        fails("function expected, got table", arena.walk, arena, setmetatable({}, {__call = print}))
    end)
end)

describe("reset", function()
    it("ends the buffers and keeps the arena", function()
        local arena <close> = hakmem.arena({name = "again", limit = "1M"})
        local buffers = {}
        for round = 1, 3 do
            for i = 1, 100 do
                buffers[#buffers + 1] = arena:buffer(i)
                buffers[#buffers][i] = round
            end
            assert.equal(0, select("#", arena:reset()))
            assert.equal(0, live_blocks(arena))
            for _, buffer in ipairs(buffers) do
                fails("use of a buffer that ended when its arena was reset or rolled back", function()
                    return buffer[1]
                end)
            end
        end
        assert.equal("again", arena:name())
        assert.equal(1 << 20, arena:limit())
        local fresh = arena:buffer(64) -- lies where another one was
        fails("ended when its arena was reset", function() buffers[1][1] = 1 end)
        assert.equal(("\0"):rep(64), fresh:read())
        for i = 1, #buffers do
            buffers[i] = nil
        end
        support.collect() -- finalizers of buffers that ended do nothing
        assert.equal(1, live_blocks(arena))
        assert.is_true(arena:check())
    end)
end)

describe("rewinding", function()
    local arena

    before_each(function()
        arena = hakmem.arena({rewindable = true, reserve = "16M"})
    end)
    after_each(function()
        arena:close()
    end)

    it("brings back bytes, and ends later buffers", function()
        local base = arena:buffer(1000)
        base:write("base")
        assert.equal(0, select("#", arena:checkpoint()))
        local before = arena:statistics()
        for _ = 1, 3 do
            base:write("spoilt")
            local later = arena:buffer("1M")
            later[1] = 1
            assert.equal(0, select("#", arena:rollback()))
            assert.equal("base\0\0", base:read(1, 6))
            fails("use of a buffer that ended when its arena was reset or rolled back", function() return later[1] end)
            fails("reset or rolled back", function() return #later end)
            assert.same(before, arena:statistics())
            assert.is_true(arena:check())
        end
        support.collect()
        assert.equal(1, live_blocks(arena))
    end)

    it("counts the newest checkpoint", function()
        local first = arena:buffer(10)
        arena:checkpoint()
        local second = arena:buffer(10)
        second[1] = 2
        arena:checkpoint()
        local third = arena:buffer(10)
        arena:rollback()
        first[1] = 1
        assert.equal(2, second[1])
        fails("reset or rolled back", function() return third[1] end)
        arena:rollback()
        assert.equal(0, first[1])
    end)

    it("does not bring back a buffer that was closed, only its block", function()
        local closed, kept = arena:buffer(100), arena:buffer(100)
        arena:checkpoint()
        closed:close()
        local later = arena:buffer(100) -- likely the same block
        later:write("later")
        arena:rollback()
        fails("use of a buffer that was closed", function() return closed[1] end)
        fails("reset or rolled back", function() return later[1] end)
        assert.equal(2, live_blocks(arena))
        kept[1] = 1
        support.collect()
        arena:rollback()
        assert.equal(0, kept[1])
        assert.is_true(arena:check())
    end)

    it("brings back buffers that a reset has ended", function()
        local buffer = arena:buffer(100)
        buffer[1] = 7
        arena:checkpoint()
        arena:reset()
        fails("reset or rolled back", function() return buffer[1] end)
        local other = arena:buffer(100) -- likely the same block
        other[1] = 8
        fails("reset or rolled back", function() return buffer[1] end)
        arena:rollback()
        assert.equal(7, buffer[1])
        fails("reset or rolled back", function() return other[1] end)
        assert.equal(1, live_blocks(arena))
        arena:reset()
        assert.equal(0, live_blocks(arena))
    end)

    it("says what is missing", function()
        fails("HK_ERR_INVALID_ARGUMENT: there was no checkpoint to go back to", arena.rollback, arena)
        local plain <close> = hakmem.arena()
        fails("HK_ERR_UNSUPPORTED: the arena was not made with rewindable = true", plain.checkpoint, plain)
        fails("HK_ERR_UNSUPPORTED: the arena was not made with rewindable = true", plain.rollback, plain)
    end)
end)
