-- Functions that make functions: lazy lists, parsers out of combinators, and accumulators with variables of their own.
-- Usage: closures.lua [ROUNDS]

local DEFAULT_ROUNDS = 25
local LIST_LENGTH = 4000
local EXPRESSIONS = 60

-- Lazy lists: a function that returns the first value and the rest, or nothing.

local function range(from, to)
    if from > to then
        return function() end
    end
    return function()
        return from, range(from + 1, to)
    end
end

local function map(list, transform)
    return function()
        local value, rest = list()
        if value ~= nil then
            return transform(value), map(rest, transform)
        end
    end
end

local function filter(list, accepts)
    return function()
        local value, rest = list()
        while value ~= nil and not accepts(value) do
            value, rest = rest()
        end
        if value ~= nil then
            return value, filter(rest, accepts)
        end
    end
end

local function fold(list, combine, result)
    local value, rest = list()
    while value ~= nil do
        result = combine(result, value)
        value, rest = rest()
    end
    return result
end

-- Parsers: functions from a text and a position to a value and the next position, or nothing.

local function token(pattern)
    return function(text, at)
        local first, last = text:find("^%s*" .. pattern, at)
        if first then
            return (text:sub(first, last):gsub("%s", "")), last + 1
        end
    end
end

local function either(one, other)
    return function(text, at)
        local value, next_at = one(text, at)
        if value ~= nil then
            return value, next_at
        end
        return other(text, at)
    end
end

-- Values with operators between them; each is turned into a function of the variables.
local function chain(operand, operator, combine)
    return function(text, at)
        local value, next_at = operand(text, at)
        while value ~= nil do
            local sign, after_sign = operator(text, next_at)
            local other, after_other
            if sign then
                other, after_other = operand(text, after_sign)
            end
            if other == nil then
                break
            end
            value, next_at = combine(sign, value, other), after_other
        end
        return value, next_at
    end
end

local function combine(sign, left, right)
    if sign == "+" then
        return function(variables) return (left(variables) + right(variables)) % 1000003 end
    elseif sign == "-" then
        return function(variables) return (left(variables) - right(variables)) % 1000003 end
    end
    return function(variables) return left(variables) * right(variables) % 1000003 end
end

local function new_parser()
    local sum
    local number, name = token("%d+"), token("%a+")
    local open, close = token("%("), token("%)")
    local function constant(text, at)
        local digits, next_at = number(text, at)
        if digits then
            local value = math.tointeger(tonumber(digits))
            return function() return value end, next_at
        end
    end
    local function variable(text, at)
        local word, next_at = name(text, at)
        if word then
            return function(variables) return variables[word] end, next_at
        end
    end
    local function group(text, at)
        local opened, inside = open(text, at)
        if opened then
            local value, behind = sum(text, inside)
            local closed, next_at = close(text, behind)
            return closed and value, next_at
        end
    end
    local factor = either(constant, either(variable, group))
    local product = chain(factor, token("%*"), combine)
    sum = chain(product, token("[+-]"), combine)
    return sum
end

local function expression(seed)
    local parts = {}
    for i = 1, 30 do
        parts[i] = string.format("(%s + %d) * %d", i % 2 == 0 and "x" or "y", (seed + i) % 17, (seed * i) % 23)
    end
    return table.concat(parts, seed % 2 == 0 and " - " or " + ")
end

local function accumulators(count)
    local all = {}
    for i = 1, count do
        local sum = i
        all[i] = {
            add = function(value) sum = (sum + value) % 1000003 end,
            get = function() return sum end,
        }
    end
    for i = 1, count do
        all[i].add(all[count - i + 1].get())
    end
    return all
end

local argument = ...
local rounds = math.tointeger(tonumber(argument or DEFAULT_ROUNDS))
assert(rounds and rounds > 0, "ROUNDS must be a whole number above 0")
local folded, parsed, added = 0, 0, 0
for round = 1, rounds do
    local squares = map(range(1, LIST_LENGTH), function(value) return value * value + round end)
    local odd = filter(squares, function(value) return value % 2 == 1 end)
    folded = (folded + fold(odd, function(sum, value) return sum + value end, 0)) % 1000003
    local parse = new_parser()
    for i = 1, EXPRESSIONS do
        parsed = (parsed + parse(expression(round + i), 1)({x = i, y = round})) % 1000003
    end
    for _, accumulator in ipairs(accumulators(LIST_LENGTH)) do
        added = (added + accumulator.get()) % 1000003
    end
end
print(string.format("closures %d: folded %d, parsed %d, added %d", rounds, folded, parsed, added))
