-- Tables that grow, shrink and go: queues, sets and records by number and by name, most of them young when they die.
-- Usage: tables.lua [ROUNDS]

local DEFAULT_ROUNDS = 60
local ORDERS = 3000
local KEEP = 40

-- Numbers that are the same everywhere and look random.
local function generator(seed)
    return function(bound)
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed // 65536 % bound + 1
    end
end

local Queue = {}
Queue.__index = Queue

local function new_queue()
    return setmetatable({first = 1, last = 0}, Queue)
end

function Queue:push(value)
    self.last = self.last + 1
    self[self.last] = value
end

function Queue:pop()
    local value = self[self.first]
    if value ~= nil then
        self[self.first] = nil
        self.first = self.first + 1
    end
    return value
end

local function new_order(draw, number)
    local lines = {}
    for i = 1, draw(6) do
        lines[i] = {article = draw(500), count = draw(9), price = draw(1000) / 4}
    end
    return {number = number, customer = "customer " .. draw(200), lines = lines, tags = {urgent = draw(10) == 1}}
end

-- Articles to the customers that bought them.
local function index(orders)
    local buyers = {}
    for _, order in pairs(orders) do
        for _, line in ipairs(order.lines) do
            local of_article = buyers[line.article]
            if not of_article then
                of_article = {}
                buyers[line.article] = of_article
            end
            of_article[order.customer] = (of_article[order.customer] or 0) + line.count
        end
    end
    return buyers
end

local function run_round(draw, round)
    local waiting, done = new_queue(), {}
    for i = 1, ORDERS do
        waiting:push(new_order(draw, i))
        if draw(3) > 1 then
            local order = waiting:pop()
            done[order.number] = order
        end
    end
    local totals = {round = round, value = 0, buyers = 0}
    for _, of_article in pairs(index(done)) do
        for _ in pairs(of_article) do
            totals.buyers = totals.buyers + 1
        end
    end
    for _, order in pairs(done) do
        for _, line in ipairs(order.lines) do
            totals.value = totals.value + line.count * line.price
        end
    end
    totals.left = waiting.last - waiting.first + 1
    return totals, done
end

local argument = ...
local rounds = math.tointeger(tonumber(argument or DEFAULT_ROUNDS))
assert(rounds and rounds > 0, "ROUNDS must be a whole number above 0")
local draw = generator(4711)
local kept, value, buyers, left = {}, 0, 0, 0
for round = 1, rounds do
    local totals, done = run_round(draw, round)
    value, buyers, left = value + totals.value, buyers + totals.buyers, left + totals.left
    kept[round % KEEP] = draw(4) == 1 and done or nil
end
local kept_orders = 0
for _, done in pairs(kept) do
    for _ in pairs(done) do
        kept_orders = kept_orders + 1
    end
end
print(string.format("tables %d: value %.2f, %d buyers, %d left, %d kept", rounds, value, buyers, left, kept_orders))
