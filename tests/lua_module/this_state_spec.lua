local hakmem = require("hakmem")
local support = require("support")
local fails = support.fails

-- Where the interpreter's own state lives, as the caller of these tests knows: "arena" or "elsewhere".
local place = assert(os.getenv("HAKMEM_TEST_STATE"), "HAKMEM_TEST_STATE is not set")
local elsewhere = place ~= "arena"

describe("this_state", function()
    it("is nil where the state is not in an arena, and says so", function()
        if elsewhere then
            local state, reason = hakmem.this_state()
            assert.is_nil(state)
            assert.equal("this state does not live in an arena of hakmem's", reason)
        else
            assert.equal(1, select("#", hakmem.this_state()))
        end
        fails("there is no such argument", hakmem.this_state, 1)
    end)

    if elsewhere then
        return
    end

    local state = hakmem.this_state()

    it("is one object, in every coroutine", function()
        assert.equal(state, hakmem.this_state())
        assert.equal(state, coroutine.wrap(hakmem.this_state)())
        assert.equal('hakmem.arena "hklua"', tostring(state))
        assert.equal("hklua", state:name())
    end)

    it("sees what the state holds", function()
        local before = state:statistics().live_bytes
        local text = ("x"):rep(1000000)
        assert.is_true(state:statistics().live_bytes >= before + #text)
        assert.equal("hklua", hakmem.classify(tonumber(("%p"):format({}))).arena)
        assert.is_true(state:check())
        state:trim()
    end)

    it("is walked although the walk itself needs memory there", function()
        local blocks, bytes = 0, 0
        state:walk(function(_, size)
            blocks, bytes = blocks + 1, bytes + size
        end)
        local figures = state:statistics()
        assert.is_true(math.abs(blocks - figures.live_blocks) < 1000)
        assert.is_true(bytes > figures.live_bytes // 2)
    end)

    it("is drawn", function()
        local path = os.tmpname()
        state:map(path)
        local file = assert(io.open(path))
        assert.truthy(file:read("a"):find("hklua", 1, true))
        file:close()
        os.remove(path)
    end)

    it("has a limit that the script may set", function()
        assert.equal(0, state:limit())
        state:set_limit(state:statistics().held_bytes + (1 << 20))
        local ok, message = pcall(function() return ("x"):rep(8 << 20) end)
        state:set_limit(0)
        assert.is_false(ok)
        assert.equal("not enough memory", message)
        assert.equal(8 << 20, #("x"):rep(8 << 20))
    end)

    it("has no buffers", function()
        fails("HK_ERR_UNSUPPORTED: the running state lives in this arena; buffers are for others", function()
            return state:buffer(10)
        end)
    end)

    it("cannot be ended from within", function()
        for _, name in ipairs({"close", "reset", "checkpoint", "rollback"}) do
            fails("HK_ERR_BUSY: the running state lives in this arena", state[name], state)
        end
        do
            local scoped <close> = state
            assert.equal(state, scoped)
        end
        assert.is_true(state:check())
    end)
end)
