-- Runs a Lua program, and then writes the peak of the process' resident memory to standard error, in KiB.
-- Usage: with_peak.lua PROGRAM [ARGUMENT...]

local program = ...
assert(loadfile(program))(select(2, ...))
local status = assert(io.open("/proc/self/status"))
io.stderr:write(status:read("a"):match("VmHWM:%s*(%d+)"), "\n")
status:close()
