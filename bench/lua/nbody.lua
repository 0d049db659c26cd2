-- Moves the sun and its four gas giants: arithmetic alone. It allocates next to nothing, and so is the control.
-- Usage: nbody.lua [STEPS]
-- After the Computer Language Benchmarks Game.

local DEFAULT_STEPS = 300000
local STEP_DAYS = 0.01
local DAYS_PER_YEAR = 365.24
local SOLAR_MASS = 4 * math.pi * math.pi

-- Positions in astronomical units, velocities in the same per day, masses in those of the sun.
local PLANETS = {
    { -- Jupiter
        x = 4.84143144246472090e+00, y = -1.16032004402742839e+00, z = -1.03622044471123109e-01,
        vx = 1.66007664274403694e-03, vy = 7.69901118419740425e-03, vz = -6.90460016972063023e-05,
        mass = 9.54791938424326609e-04,
    },
    { -- Saturn
        x = 8.34336671824457987e+00, y = 4.12479856412430479e+00, z = -4.03523417114321381e-01,
        vx = -2.76742510726411e-03, vy = 4.99852801234917238e-03, vz = 2.30417297573763929e-05,
        mass = 2.85885980666130812e-04,
    },
    { -- Uranus
        x = 1.28943695621391310e+01, y = -1.51111514016986312e+01, z = -2.23307578892655734e-01,
        vx = 2.96460137564761618e-03, vy = 2.37847173959480950e-03, vz = -2.96589568540237556e-05,
        mass = 4.36624404335156298e-05,
    },
    { -- Neptune
        x = 1.53796971148509165e+01, y = -2.59193146099879641e+01, z = 1.79258772950371181e-01,
        vx = 2.68067772490389322e-03, vy = 1.62824170038242295e-03, vz = -9.51592254519715870e-05,
        mass = 5.15138902046611451e-05,
    },
}

local function new_system()
    local sun = { x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, mass = SOLAR_MASS }
    local bodies = { sun }
    for _, planet in ipairs(PLANETS) do
        local body = {
            x = planet.x, y = planet.y, z = planet.z,
            vx = planet.vx * DAYS_PER_YEAR, vy = planet.vy * DAYS_PER_YEAR, vz = planet.vz * DAYS_PER_YEAR,
            mass = planet.mass * SOLAR_MASS,
        }
        -- The system's momentum is zero as a whole.
        sun.vx = sun.vx - body.vx * body.mass / SOLAR_MASS
        sun.vy = sun.vy - body.vy * body.mass / SOLAR_MASS
        sun.vz = sun.vz - body.vz * body.mass / SOLAR_MASS
        bodies[#bodies + 1] = body
    end
    return bodies
end

local function attract(a, b, dt)
    local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
    local square = dx * dx + dy * dy + dz * dz
    local magnitude = dt / (square * math.sqrt(square))
    local pull_a, pull_b = b.mass * magnitude, a.mass * magnitude
    a.vx, a.vy, a.vz = a.vx - dx * pull_a, a.vy - dy * pull_a, a.vz - dz * pull_a
    b.vx, b.vy, b.vz = b.vx + dx * pull_b, b.vy + dy * pull_b, b.vz + dz * pull_b
end

local function advance(bodies, dt)
    for i = 1, #bodies do
        for j = i + 1, #bodies do
            attract(bodies[i], bodies[j], dt)
        end
    end
    for _, body in ipairs(bodies) do
        body.x, body.y, body.z = body.x + dt * body.vx, body.y + dt * body.vy, body.z + dt * body.vz
    end
end

local function energy(bodies)
    local sum = 0
    for i, a in ipairs(bodies) do
        sum = sum + 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
        for j = i + 1, #bodies do
            local b = bodies[j]
            local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
            sum = sum - a.mass * b.mass / math.sqrt(dx * dx + dy * dy + dz * dz)
        end
    end
    return sum
end

local argument = ...
local steps = math.tointeger(tonumber(argument or DEFAULT_STEPS))
assert(steps and steps > 0, "STEPS must be a whole number above 0")
local bodies = new_system()
local before = energy(bodies)
for _ = 1, steps do
    advance(bodies, STEP_DAYS)
end
print(string.format("nbody %d: energy %.9f, then %.9f", steps, before, energy(bodies)))
