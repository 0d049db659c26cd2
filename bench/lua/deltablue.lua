-- One-way constraints with strengths, solved incrementally: chains of equalities and of scales are built, edited and
-- taken apart again.
-- Usage: deltablue.lua [LENGTH]
-- After the DeltaBlue algorithm of Sannella, Freeman-Benson, Maloney and Borning.

local DEFAULT_LENGTH = 6000
local REQUIRED, STRONG, NORMAL, WEAK, WEAKEST = 1, 2, 3, 4, 5 -- the lower, the stronger

local Variable = {}
Variable.__index = Variable

local function new_variable(value)
    return setmetatable({value = value, constraints = {}, determined_by = nil, mark = 0, strength = WEAKEST}, Variable)
end

local Constraint = {}
Constraint.__index = Constraint

local planner = {mark = 0, plans = 0}

local function new_mark()
    planner.mark = planner.mark + 1
    return planner.mark
end

-- A constraint computes `output` from `inputs` by `compute`; those without inputs hold a variable as it is or edit it.
local function add_constraint(strength, output, inputs, compute)
    local it = setmetatable(
        {strength = strength, output = output, inputs = inputs, compute = compute, is_on = false}, Constraint
    )
    for _, variable in ipairs({output, table.unpack(inputs)}) do
        table.insert(variable.constraints, it)
    end
    it:satisfy(new_mark())
    return it
end

-- As weak as the weakest thing that it is computed from.
function Constraint:output_strength()
    local weakest = self.strength
    for _, variable in ipairs(self.inputs) do
        weakest = math.max(weakest, variable.strength)
    end
    return weakest
end

function Constraint:execute()
    local values = {}
    for i, variable in ipairs(self.inputs) do
        values[i] = variable.value
    end
    self.output.value = self.compute(self.output.value, table.unpack(values))
end

-- Makes the constraint determine its output, unless something stronger does. What it drives out is satisfied anew.
function Constraint:satisfy(mark)
    local output = self.output
    if output.mark == mark or output.strength <= self.strength and output.determined_by then
        assert(self.strength ~= REQUIRED or output.mark ~= mark, "a required constraint cannot be satisfied")
        return
    end
    local driven_out = output.determined_by
    if driven_out then
        driven_out.is_on = false
    end
    output.determined_by = self
    output.mark = mark
    self.is_on = true
    self:propagate(mark)
    if driven_out then
        driven_out:satisfy(new_mark())
    end
end

-- Recomputes everything downstream, breadth first.
function Constraint:propagate(mark)
    local todo, first = {self}, 1
    while todo[first] do
        local constraint = todo[first]
        todo[first] = nil
        first = first + 1
        constraint.output.strength = constraint:output_strength()
        constraint.output.mark = mark
        constraint:execute()
        for _, consumer in ipairs(constraint.output.constraints) do
            if consumer.is_on and consumer ~= constraint and consumer.output ~= constraint.output then
                todo[#todo + 1] = consumer
                if consumer.output.mark == mark and consumer.output == self.output then
                    error("the constraints go round in a circle")
                end
            end
        end
        if todo[first] == nil then
            return
        end
    end
end

-- The youngest are the first to go.
local function forget(list, item)
    for i = #list, 1, -1 do
        if list[i] == item then
            table.remove(list, i)
            return
        end
    end
end

function Constraint:remove()
    for _, variable in ipairs({self.output, table.unpack(self.inputs)}) do
        forget(variable.constraints, self)
    end
    if not self.is_on then
        return
    end
    self.is_on = false
    self.output.determined_by = nil
    self.output.strength = WEAKEST
    for _, constraint in ipairs(self.output.constraints) do
        if not constraint.is_on and constraint.output == self.output then
            constraint:satisfy(new_mark())
        end
    end
end

-- The constraints downstream of an edit, in the order in which they must run.
local function plan_from(edit)
    planner.plans = planner.plans + 1
    local plan, todo = {}, {edit}
    while #todo > 0 do
        local constraint = table.remove(todo)
        plan[#plan + 1] = constraint
        for _, consumer in ipairs(constraint.output.constraints) do
            if consumer.is_on and consumer ~= constraint and consumer.output ~= constraint.output then
                todo[#todo + 1] = consumer
            end
        end
    end
    return plan
end

local function change(variable, value)
    local edit = add_constraint(STRONG, variable, {}, function() return value end)
    local plan = plan_from(edit)
    for step = 1, 3 do
        value = value + step
        for _, constraint in ipairs(plan) do
            constraint:execute()
        end
    end
    edit:remove()
end

local function equal(_, value)
    return value
end

local function keep(value)
    return value
end

-- A row of variables, each equal to the one before it.
local function chain(length)
    local variables, constraints = {new_variable(0)}, {}
    for i = 2, length do
        variables[i] = new_variable(0)
        constraints[i - 1] = add_constraint(REQUIRED, variables[i], {variables[i - 1]}, equal)
    end
    add_constraint(WEAK, variables[1], {}, keep)
    for value = 1, 10 do
        change(variables[1], value)
        assert(variables[length].value == value + 6)
    end
    for i = length - 1, 1, -1 do
        constraints[i]:remove()
    end
    return variables[length].value
end

-- Pairs of variables, the second of which is the first one's scaled and moved.
local function projection(length)
    local scale, offset = new_variable(10), new_variable(1000)
    local sources, results = {}, {}
    for i = 1, length do
        sources[i], results[i] = new_variable(i), new_variable(0)
        add_constraint(NORMAL, sources[i], {}, keep)
        add_constraint(REQUIRED, results[i], {sources[i], scale, offset}, function(_, source, by, from)
            return source * by + from
        end)
    end
    change(scale, 5)
    change(offset, 2000)
    local sum = 0
    for i = 1, length do
        assert(results[i].value == i * scale.value + offset.value)
        sum = sum + results[i].value
    end
    return sum
end

local argument = ...
local length = math.tointeger(tonumber(argument or DEFAULT_LENGTH))
assert(length and length > 1, "LENGTH must be a whole number above 1")
print(string.format("deltablue %d: chain %d, projection %d, plans %d", length, chain(length), projection(length),
    planner.plans))
