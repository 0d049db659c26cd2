-- Builds and walks many small binary trees while a large one stays alive: the collector's and allocator's daily bread.
-- Usage: binary_trees.lua [DEPTH]     DEPTH of the largest tree, 5 to 24
-- After the Computer Language Benchmarks Game.

local DEFAULT_DEPTH = 15
local MIN_DEPTH = 4

local function build(depth)
    if depth == 0 then
        return {}
    end
    return { left = build(depth - 1), right = build(depth - 1) }
end

local function count_nodes(tree)
    if not tree.left then
        return 1
    end
    return 1 + count_nodes(tree.left) + count_nodes(tree.right)
end

-- Builds `number` trees one after the other, each garbage as soon as it has been counted.
local function churn(number, depth)
    local nodes = 0
    for _ = 1, number do
        nodes = nodes + count_nodes(build(depth))
    end
    return nodes
end

local function run(max_depth)
    local stretched = count_nodes(build(max_depth + 1))
    local long_lived = build(max_depth)
    local churned = 0
    for depth = MIN_DEPTH, max_depth, 2 do
        churned = churned + churn(1 << (max_depth - depth + MIN_DEPTH), depth)
    end
    return stretched, churned, count_nodes(long_lived)
end

local argument = ...
local depth = math.tointeger(tonumber(argument or DEFAULT_DEPTH))
assert(depth and depth > MIN_DEPTH and depth <= 24, "DEPTH must be a whole number from 5 to 24")
print(string.format("binary_trees %d: stretched %d, churned %d, long-lived %d", depth, run(depth)))
