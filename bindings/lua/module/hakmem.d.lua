---@meta hakmem

-- What the module "hakmem" offers, for LuaLS and other tools; docs/lua.md tells more. Nothing here is ever run.

---Bytes as an integer, or a string of a number and K, M or G: "512K", "4M", "1G".
---@alias hakmem.size integer|string

---@class hakmem.arena_options
---@field limit? hakmem.size at most so many bytes are held; 0 or none: no limit; at least 1K
---@field name? string at most 31 bytes; "arena" if there is none
---@field hardened? boolean canaries, zeroed and late reused blocks; not together with rewindable
---@field rewindable? boolean for checkpoint and rollback
---@field alignment? 8|16 of its blocks; 16 if not said
---@field reserve? hakmem.size of a rewindable arena: its address space, which it never outgrows; 256M if not said

---@class hakmem.class_statistics
---@field block_size integer
---@field live_blocks integer
---@field held_bytes integer

---@class hakmem.statistics
---@field held_bytes integer what counts against the limit
---@field peak_held_bytes integer
---@field limit_bytes integer 0: none
---@field live_blocks integer
---@field live_bytes integer
---@field large_blocks integer those of them above the size classes
---@field large_bytes integer
---@field units integer units of 64 KiB of address space
---@field limit_failures integer requests that the limit refused
---@field system_failures integer requests that the system refused
---@field classes hakmem.class_statistics[] the size classes in use, by size

---@class hakmem.pointer_info
---@field kind "foreign"|"small"|"large"|"huge"|"unused"
---@field state "none"|"live"|"free"|"freed_remotely"
---@field arena? string the name of the arena
---@field block_start? integer
---@field block_size? integer usable bytes

---A block of an arena, as bytes from 1 to its length. Its use after its end is an error.
---@class hakmem.buffer
---@field [integer] integer a byte, from 0 to 255
---@operator len: integer
local buffer = {}

---The bytes from `first` (1) to `last` (#buffer) as a string.
---@param first? integer
---@param last? integer
---@return string
function buffer:read(first, last) end

---Puts the bytes of `text` at `first` (1). All of them have to fit.
---@param text string
---@param first? integer
---@return integer next the position behind them
function buffer:write(text, first) end

---Where its bytes lie.
---@return integer
function buffer:address() end

---Frees the block. May be called again; `local buffer <close>` does it at the end of the scope.
function buffer:close() end

---@class hakmem.arena
local arena = {}

---A new buffer of zeros. Raises HK_ERR_LIMIT beyond the limit, even after garbage was collected.
---@param size hakmem.size
---@return hakmem.buffer
function arena:buffer(size) end

---@return hakmem.statistics
function arena:statistics() end

---The limit in bytes; 0: none.
---@return integer
function arena:limit() end

---@param limit hakmem.size 0: none; at least 1K
function arena:set_limit(limit) end

---@return string
function arena:name() end

---Ends all buffers at once and keeps the arena.
function arena:reset() end

---Gives memory without live blocks back to the system.
function arena:trim() end

---Recounts the allocator's books. Raises HK_ERR_CORRUPT if they do not agree.
---@return true
function arena:check() end

---Calls the function for each block that is live now, by ascending address, until it returns false.
---@param visitor fun(address: integer, size: integer): boolean?
function arena:walk(visitor) end

---Makes what the arena holds the base of later rollbacks.
function arena:checkpoint() end

---Goes back to the newest checkpoint: every byte, every block.
function arena:rollback() end

---Draws the arena into a file, as SVG.
---@param path string
function arena:map(path) end

---Ends the arena and all of its buffers. May be called again; `local arena <close>` does it at the end of the scope.
function arena:close() end

---@class hakmem
local hakmem = {}

---@param options? hakmem.arena_options
---@return hakmem.arena
function hakmem.arena(options) end

---The arena that the running state lives in; nil and the reason where it lives in none.
---@return hakmem.arena?
---@return string? reason
function hakmem.this_state() end

---Tells what lies at an address: any address whatever.
---@param what integer|hakmem.buffer
---@return hakmem.pointer_info
function hakmem.classify(what) end

---The size that a block of `size` bytes really gets; 0 if none can be that large.
---@param size hakmem.size
---@return integer
function hakmem.good_size(size) end

---Gives free memory of the whole process back to the system.
function hakmem.purge() end

---@return string version as "major.minor.patch"
function hakmem.version() end

return hakmem
