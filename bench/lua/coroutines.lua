-- Coroutines by the thousand: walks through trees, pipelines of producers and consumers, tasks that send messages.
-- Usage: coroutines.lua [ROUNDS]

local DEFAULT_ROUNDS = 20
local TREE_DEPTH = 9
local PIPE_LENGTH = 600
local TASKS = 1000
local MESSAGES = 4

local function build(depth, value)
    if depth == 0 then
        return nil
    end
    return {value = value, left = build(depth - 1, value * 2), right = build(depth - 1, value * 2 + 1)}
end

-- A coroutine for each node, so that values climb through as many as the tree is deep.
local function walk(tree)
    return coroutine.wrap(function()
        if tree.left then
            for value in walk(tree.left) do
                coroutine.yield(value)
            end
        end
        coroutine.yield(tree.value)
        if tree.right then
            for value in walk(tree.right) do
                coroutine.yield(value)
            end
        end
    end)
end

local function count_up(bound)
    return coroutine.wrap(function()
        for i = 2, bound do
            coroutine.yield(i)
        end
    end)
end

local function without_multiples(source, of)
    return coroutine.wrap(function()
        for value in source do
            if value % of ~= 0 then
                coroutine.yield(value)
            end
        end
    end)
end

-- The sieve of Eratosthenes as a pipeline that grows by a coroutine for each prime.
local function primes(bound)
    local source, found = count_up(bound), {}
    for prime in source do
        found[#found + 1] = prime
        source = without_multiples(source, prime)
        if prime * prime > bound then
            break
        end
    end
    for prime in source do
        found[#found + 1] = prime
    end
    return found
end

local function run_tasks(count)
    local tasks, boxes, received = {}, {}, 0
    for i = 1, count do
        boxes[i] = {}
        tasks[i] = coroutine.create(function(first)
            local sum = first
            for step = 1, MESSAGES do
                local target = boxes[(i * 7 + step) % count + 1]
                target[#target + 1] = {from = i, text = "message " .. step}
                local box = coroutine.yield(sum)
                for j = #box, 1, -1 do
                    sum = sum + box[j].from
                    received = received + 1
                    box[j] = nil
                end
            end
            return sum
        end)
    end
    local total, running = 0, count
    for i = 1, count do
        assert(coroutine.resume(tasks[i], i))
    end
    while running > 0 do
        for i = 1, count do
            if tasks[i] then
                local ok, sum = coroutine.resume(tasks[i], boxes[i])
                assert(ok, sum)
                if coroutine.status(tasks[i]) == "dead" then
                    total, running, tasks[i] = total + sum, running - 1, false
                end
            end
        end
    end
    return total, received
end

local argument = ...
local rounds = math.tointeger(tonumber(argument or DEFAULT_ROUNDS))
assert(rounds and rounds > 0, "ROUNDS must be a whole number above 0")
local walked, found, total, received = 0, 0, 0, 0
for round = 1, rounds do
    for value in walk(build(TREE_DEPTH, 1)) do
        walked = walked + value
    end
    found = found + #primes(PIPE_LENGTH + round)
    local sum, messages = run_tasks(TASKS)
    total, received = total + sum, received + messages
end
local form = "coroutines %d: walked %d, %d primes, total %d, %d messages"
print(form:format(rounds, walked, found, total, received))
