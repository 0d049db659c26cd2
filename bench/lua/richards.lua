-- A small operating system: tasks that wait, run and send each other packets, in many short lives one after the other.
-- Usage: richards.lua [LIVES]
-- After Martin Richards' benchmark of a scheduler.

local DEFAULT_LIVES = 60
local ROUNDS = 1000
local DATA_SIZE = 4
local KIND_DEVICE, KIND_WORK = 1, 2

local Packet = {}
Packet.__index = Packet

local function new_packet(link, destination, kind)
    local data = {}
    for i = 1, DATA_SIZE do
        data[i] = 0
    end
    return setmetatable({link = link, destination = destination, kind = kind, datum = 0, data = data}, Packet)
end

-- Puts itself at the end of a queue, and returns the queue.
function Packet:append_to(queue)
    self.link = nil
    if not queue then
        return self
    end
    local last = queue
    while last.link do
        last = last.link
    end
    last.link = self
    return queue
end

local Task = {}
Task.__index = Task

local function new_task(scheduler, name, priority, queue, run)
    local task = setmetatable({
        scheduler = scheduler, name = name, priority = priority, queue = queue, run = run,
        is_held = false, is_waiting = queue == nil,
    }, Task)
    scheduler.tasks[name] = task
    scheduler.order[#scheduler.order + 1] = task
    return task
end

function Task:can_run()
    return not self.is_held and (not self.is_waiting or self.queue ~= nil)
end

function Task:take()
    local packet = self.queue
    if packet then
        self.queue = packet.link
        packet.link = nil
    end
    return packet
end

-- What a task does returns whether it goes on at once; if not, it waits for a packet.
function Task:step()
    self.is_waiting = not self.run(self, self:take())
end

local function send(task, packet)
    local scheduler = task.scheduler
    local receiver = scheduler.tasks[packet.destination]
    scheduler.sent = scheduler.sent + 1
    packet.destination = task.name
    receiver.queue = packet:append_to(receiver.queue)
end

local function idle(scheduler, count)
    local control = 1
    return function()
        count = count - 1
        if count == 0 then
            scheduler.is_over = true
            return false
        end
        local device = control % 2 == 0 and "first device" or "second device"
        control = control % 2 == 0 and control // 2 or (control // 2) ~ 0xd008
        scheduler.tasks[device].is_held = false
        return true
    end
end

local function device(scheduler)
    local pending
    return function(task, packet)
        if packet then
            pending = packet
            task.is_held = true
            scheduler.holds = scheduler.holds + 1
            return true
        end
        if pending then
            local done = pending
            pending = nil
            send(task, done)
        end
        return false
    end
end

local function worker()
    local to_first, letter = true, 0
    return function(task, packet)
        if packet then
            to_first = not to_first
            packet.destination = to_first and "first handler" or "second handler"
            packet.datum = 1
            for i = 1, DATA_SIZE do
                letter = letter % 26 + 1
                packet.data[i] = letter + 64
            end
            send(task, packet)
        end
        return false
    end
end

local function handler(device_name)
    local work, devices
    return function(task, packet)
        if packet then
            if packet.kind == KIND_WORK then
                work = packet:append_to(work)
            else
                devices = packet:append_to(devices)
            end
        end
        if not work then
            return false
        end
        if work.datum > DATA_SIZE then
            local done = work
            work = work.link
            send(task, setmetatable({destination = "worker", kind = KIND_WORK, datum = 0, data = done.data}, Packet))
        elseif devices then
            local free = devices
            devices = devices.link
            free.destination = device_name
            free.data = {work.data[work.datum]}
            work.datum = work.datum + 1
            send(task, free)
        else
            return false
        end
        return true
    end
end

local function packets(number, destination, kind)
    local queue
    for _ = 1, number do
        queue = new_packet(queue, destination, kind)
    end
    return queue
end

local function live()
    local scheduler = {tasks = {}, order = {}, sent = 0, holds = 0, steps = 0}
    new_task(scheduler, "second device", 5000, nil, device(scheduler))
    new_task(scheduler, "first device", 4000, nil, device(scheduler))
    new_task(scheduler, "second handler", 3000, packets(3, "second device", KIND_DEVICE), handler("second device"))
    new_task(scheduler, "first handler", 2000, packets(3, "first device", KIND_DEVICE), handler("first device"))
    new_task(scheduler, "worker", 1000, packets(2, "worker", KIND_WORK), worker())
    new_task(scheduler, "idle", 0, nil, idle(scheduler, ROUNDS)).is_waiting = false
    while not scheduler.is_over do
        for _, task in ipairs(scheduler.order) do
            if task:can_run() then
                task:step()
                scheduler.steps = scheduler.steps + 1
                break
            end
        end
    end
    return scheduler
end

local argument = ...
local lives = math.tointeger(tonumber(argument or DEFAULT_LIVES))
assert(lives and lives > 0, "LIVES must be a whole number above 0")
local sent, holds, steps = 0, 0, 0
local past = {} -- schedulers are kept for a while
for i = 1, lives do
    local scheduler = live()
    sent, holds, steps = sent + scheduler.sent, holds + scheduler.holds, steps + scheduler.steps
    past[i % 20] = scheduler
end
local form = "richards %d: %d packets sent, %d devices held, %d steps, %d kept"
print(form:format(lives, sent, holds, steps, #past))
