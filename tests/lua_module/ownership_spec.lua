local hakmem = require("hakmem")
local support = require("support")
local fails, live_blocks, collect = support.fails, support.live_blocks, support.collect

describe("a closed arena", function()
    it("may be closed again, and refuses everything else", function()
        local arena = hakmem.arena()
        local buffer = arena:buffer(10)
        assert.equal(0, select("#", arena:close()))
        arena:close()
        arena:close()
        for name, argument in pairs({
            buffer = 1, check = false, checkpoint = false, limit = false, map = "none", name = false, reset = false,
            rollback = false, set_limit = 0, statistics = false, trim = false, walk = print,
        }) do
            fails("HK_ERR_BAD_ARENA: the arena is closed", function()
                if argument then
                    return arena[name](arena, argument)
                end
                return arena[name](arena)
            end)
        end
        fails("use of a buffer that ended when its arena was closed", function() return buffer[1] end)
        fails("ended when its arena was closed", function() buffer[1] = 1 end)
        fails("ended when its arena was closed", function() return #buffer end)
        buffer:close()
        assert.equal("hakmem.buffer (closed)", tostring(buffer))
    end)

    it("closes at the end of its scope, after an error too", function()
        local kept
        do
            local arena <close> = hakmem.arena()
            kept = arena:buffer(1)
        end
        fails("ended when its arena was closed", function() return kept[1] end)
        local leaked
        pcall(function()
            local arena <close> = hakmem.arena()
            leaked = arena
            error("oops")
        end)
        assert.equal("hakmem.arena (closed)", tostring(leaked))
        do
            local arena <close> = hakmem.arena()
            arena:close()
        end
    end)

    it("may have been closed before, between and after its buffers", function()
        for closed_at = 1, 7 do
            for order = 1, 2 do
                local arena, buffers = hakmem.arena(), {}
                for i = 1, 6 do
                    buffers[i] = arena:buffer(i)
                end
                for i = 1, 6 do
                    if i == closed_at then
                        arena:close()
                    end
                    buffers[order == 1 and i or 7 - i]:close()
                end
                arena:close()
            end
        end
    end)
end)

describe("the collector", function()
    it("frees the buffers that nobody can reach", function()
        local arena <close> = hakmem.arena()
        local kept = arena:buffer(10)
        for _ = 1, 100 do
            arena:buffer(10)
        end
        collect()
        assert.equal(1, live_blocks(arena))
        kept[10] = 1
    end)

    it("keeps an arena as long as one of its buffers", function()
        local watched = setmetatable({}, {__mode = "k"})
        local buffer
        do
            local arena = hakmem.arena({name = "kept"})
            watched[arena] = true
            buffer = arena:buffer(10)
        end
        collect()
        assert.truthy(next(watched))
        buffer[1] = 7
        assert.equal(7, buffer[1])
        assert.equal("kept", hakmem.classify(buffer).arena)
        local address = buffer:address()
        buffer = nil -- luacheck: no unused
        collect()
        assert.is_nil(next(watched))
        assert.not_equal("live", hakmem.classify(address).state)
    end)

    it("finalizes arena and buffers in one go, in any order", function()
        for _ = 1, 50 do
            local arena = hakmem.arena()
            local buffers = {}
            for i = 1, 20 do
                buffers[i] = arena:buffer(i)
            end
            local cycle = {arena, buffers}
            cycle[3] = cycle
            assert.equal(cycle, cycle[3])
        end
        collect()
    end)

    it("is called when there is no room, and finds some", function()
        local arena <close> = hakmem.arena({limit = "1M"})
        collectgarbage("stop")
        for i = 1, 100 do
            arena:buffer("300K")[1] = i % 256
        end
        collectgarbage("restart")
        assert.is_true(arena:statistics().peak_held_bytes <= 1 << 20)
    end)

    it("keeps step with garbage in arenas without a limit", function()
        local arena <close> = hakmem.arena()
        collect()
        for _ = 1, 2000 do
            arena:buffer("256K")
        end
        assert.is_true(arena:statistics().peak_held_bytes < 128 << 20)
    end)

    it("is left alone when a script has stopped it", function()
        local arena <close> = hakmem.arena()
        collect()
        collectgarbage("stop")
        for _ = 1, 50 do
            arena:buffer("64K")
        end
        local blocks = live_blocks(arena)
        collectgarbage("restart")
        assert.equal(50, blocks)
    end)

    it("may call finalizers that use, close and make arenas at any moment", function()
        local made = 0
        local function bomb(arena)
            setmetatable({}, {__gc = function()
                pcall(arena.buffer, arena, 10)
                arena:close()
                hakmem.arena():buffer(10)
                made = made + 1
            end})
        end
        for round = 1, 200 do
            local arena = hakmem.arena({limit = "64K"})
            bomb(arena)
            for _ = 1, 10 do
                -- Each of these may collect, and so may find the arena closed half way.
                pcall(arena.buffer, arena, round % 2 == 0 and "48K" or 100)
                pcall(arena.walk, arena, function() collectgarbage("step") end)
                pcall(arena.statistics, arena)
                pcall(hakmem.classify, round)
            end
        end
        collect()
        assert.equal(200, made)
    end)

    it("may change an arena's options while it is made", function()
        for round = 1, 200 do
            local options = {name = "name " .. round, limit = "64K"}
            setmetatable({}, {__gc = function() options.name = nil end})
            if round % 10 == 0 then
                collectgarbage("step")
            end
            local arena <close> = hakmem.arena(options)
            assert.truthy(arena:name():match("^name %d+$") or arena:name() == "arena")
        end
    end)

    it("works in generational mode", function()
        collectgarbage("generational")
        local arena <close> = hakmem.arena()
        local kept = {}
        for i = 1, 2000 do
            local buffer = arena:buffer(100)
            buffer[1] = i % 256
            if i % 10 == 0 then
                kept[#kept + 1] = {buffer, i % 256}
            end
        end
        collect()
        local blocks = live_blocks(arena)
        collectgarbage("incremental")
        for _, pair in ipairs(kept) do
            assert.equal(pair[2], pair[1][1])
        end
        assert.is_true(blocks <= 2000 and blocks >= 200)
    end)
end)

describe("coroutines", function()
    it("share arenas and buffers", function()
        local arena = hakmem.arena()
        local writer = coroutine.wrap(function()
            local buffer = arena:buffer(10)
            for i = 1, 10 do
                buffer[i] = i
                coroutine.yield(buffer)
            end
            arena:close()
            return buffer
        end)
        local buffer
        for i = 1, 10 do
            buffer = writer()
            assert.equal(i, buffer[i])
        end
        writer()
        fails("ended when its arena was closed", function() return buffer[1] end)
    end)

    it("close what is in their scopes when they are closed", function()
        local arena, buffer
        local thread = coroutine.create(function()
            local scoped <close> = hakmem.arena()
            arena, buffer = scoped, scoped:buffer(1)
            coroutine.yield()
        end)
        assert.is_true(coroutine.resume(thread))
        buffer[1] = 1
        assert.is_true(coroutine.close(thread))
        assert.equal("hakmem.arena (closed)", tostring(arena))
    end)

    it("leave arenas to the collector when they are dropped", function()
        local watched = setmetatable({}, {__mode = "k"})
        do
            local thread = coroutine.wrap(function()
                local arena = hakmem.arena()
                watched[arena] = true
                coroutine.yield(arena:buffer(1))
            end)
            thread()
        end
        collect()
        assert.is_nil(next(watched))
    end)
end)
