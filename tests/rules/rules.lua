-- The conventions that can be counted. Each rule is given the project's root and returns a list of violations, as text.
local source = require("source")

local rules = {}

-- Files of core/ by layer, lowest first; a file may include files of its own layer and of lower ones.
local LAYERS = {
    {"base", "tables", "wide"},
    {"os", "os_linux", "os_rewind", "os_rewind_linux", "lock"},
    {"report", "options", "writer"},
    {"registry", "metadata", "quota"},
    {"size_class", "unit", "run", "large", "block", "canary"},
    {"heap", "hardened", "heap_lines", "heap_pages", "heap_remote"},
    {
        "arena", "rewind", "rewind_pages", "rewind_file", "rewind_tracker", "statistics", "check", "walk", "map",
        "map_units",
    },
    {"thread"},
    {"alloc", "alloc_hardened", "process"},
    {"api_process", "api_arena"},
}

local MAX_FUNCTION_LINES = 60
local MAX_FILE_LINES = 600
local MAX_CORE_CONDITIONALS = 30

local layer_of = {}
for layer, names in ipairs(LAYERS) do
    for _, name in ipairs(names) do
        layer_of[name] = layer
    end
end

local function is_core(file)
    return file:match("^core/.*%.[ch]$") ~= nil
end

local function is_c(file)
    return file:match("%.[ch]$") ~= nil
end

local function stem(file)
    return file:match("([^/]+)%.[ch]$")
end

-- Calls visit(file, text) for each file of the project that `wanted` accepts.
local function each_file(root, wanted, visit)
    for _, file in ipairs(source.files(root)) do
        if wanted(file) then
            local text = source.read(root, file)
            if text ~= nil then
                visit(file, text)
            end
        end
    end
end

local function collector()
    local violations = {}
    return violations, function(...)
        violations[#violations + 1] = string.format(...)
    end
end

function rules.layers(root)
    local violations, violation = collector()
    each_file(root, is_core, function(file, text)
        local own = layer_of[stem(file)]
        if own == nil then
            violation("%s is in no layer: name it in LAYERS (tests/rules/rules.lua) and in core/README.md", file)
            return
        end
        for included in text:gmatch('#%s*include%s*"([^"]+)"') do
            local layer = layer_of[stem(included)]
            if layer ~= nil and layer > own then
                violation("%s (layer %d) includes %s (layer %d)", file, own, included, layer)
            elseif layer == nil and included ~= "hakmem.h" then
                violation("%s includes %s, which is in no layer", file, included)
            end
        end
    end)
    return violations
end

function rules.lengths(root)
    local violations, violation = collector()
    each_file(root, is_c, function(file, text)
        local _, lines = text:gsub("\n", "")
        if lines > MAX_FILE_LINES then
            violation("%s has %d lines; %d are allowed", file, lines, MAX_FILE_LINES)
        end
        for _, found in ipairs(source.functions(text)) do
            if found.lines > MAX_FUNCTION_LINES then
                violation("%s:%d: %s has %d lines; %d are allowed", file, found.line, found.name, found.lines,
                    MAX_FUNCTION_LINES)
            end
        end
    end)
    return violations
end

function rules.conditionals(root)
    local violations, violation = collector()
    local total = 0
    each_file(root, is_core, function(file, text)
        local found = source.conditionals(text)
        total = total + #found
        local allowed = stem(file) == "base" or stem(file):find("^os") ~= nil
        for _, conditional in ipairs(allowed and {} or found) do
            violation("%s:%d: #if belongs in base and os_*", file, conditional.line)
        end
    end)
    if total > MAX_CORE_CONDITIONALS then
        violation("core has %d #if; %d are allowed", total, MAX_CORE_CONDITIONALS)
    end
    return violations
end

-- Folders of one machine, and names of hosts that serve packages. Written in parts, so that this file is no finding.
local MACHINE_PATHS = {"/" .. "work", "/" .. "home", "/" .. "root", "/" .. "tmp", "/" .. "Users"}
local HOSTS = {
    "deb%." .. "debian", "pypi%." .. "org", "registry%." .. "npmjs", "static%." .. "crates", "proxy%." .. "golang",
}

function rules.paths(root)
    local violations, violation = collector()
    local function check(file, number, line)
        for _, path in ipairs(MACHINE_PATHS) do
            if (" " .. line):find("[^%w_.})%-/]" .. path .. "/") then
                violation("%s:%d: absolute path of a machine: %s", file, number, path)
            end
        end
        for _, host in ipairs(HOSTS) do
            if line:find(host) then
                violation("%s:%d: name of a host", file, number)
            end
        end
    end
    each_file(root, function() return true end, function(file, text)
        local number = 0
        for line in source.each_line(text) do
            number = number + 1
            check(file, number, line)
        end
    end)
    return violations
end

local GENERATED = {log = true, o = true, so = true, a = true, deb = true, pyc = true, gcda = true, gcno = true}

function rules.generated(root)
    local violations, violation = collector()
    for _, file in ipairs(source.files(root)) do
        if GENERATED[file:match("%.(%w+)$")] then
            violation("%s is a generated file or a log", file)
        end
    end
    return violations
end

-- Names that a shared library defines for others, without the name of a symbol version itself.
local function exported_names(library)
    local names = {}
    local lines, ok = source.lines_of_command("nm --dynamic --defined-only --format=posix '" .. library .. "'")
    assert(ok, "nm failed on " .. library)
    for _, line in ipairs(lines) do
        local name, kind = line:match("^(%S+) (%a)")
        if kind ~= "A" then
            names[name:match("^[^@]+")] = true
        end
    end
    return names
end

local function declared_names(root, header)
    local names = {}
    local text = assert(source.read(root, header), header .. " cannot be read")
    text = source.without_comments(text):gsub("#[^\n]*", "")
    for name in text:gmatch("(hk_[%w_]+)%s*%b()%s*;") do
        names[name] = true
    end
    return names
end

-- What a shared library exports is what its header declares, and begins with the prefix.
function rules.exports(root, library, header, prefix)
    local violations, violation = collector()
    local exported, declared = exported_names(library), declared_names(root, header)
    for name in pairs(exported) do
        if name:sub(1, #prefix) ~= prefix then
            violation("%s is exported and does not begin with %s", name, prefix)
        elseif not declared[name] then
            violation("%s is exported and not declared in %s", name, header)
        end
    end
    for name in pairs(declared) do
        if not exported[name] then
            violation("%s is declared in %s and not exported", name, header)
        end
    end
    if next(declared) == nil then
        violation("%s declares nothing", header)
    end
    table.sort(violations)
    return violations
end

-- What has to be there besides hk_* when hakmem is the malloc of a process: C23, POSIX, glibc, and glibc's inner names.
local MALLOC_NAMES = {}
for name in ([[
    malloc calloc realloc reallocarray free free_sized free_aligned_sized aligned_alloc memalign posix_memalign valloc
    pvalloc malloc_usable_size malloc_trim mallinfo mallinfo2 malloc_stats mallopt
    __libc_malloc __libc_calloc __libc_realloc __libc_free __libc_memalign __libc_valloc __libc_pvalloc
    __posix_memalign
]]):gmatch("%S+") do
    MALLOC_NAMES[name] = true
end

-- And every operator new and delete: plain and array, with and without alignment, nothrow; deletes sized as well.
for _, kind in ipairs({"nw", "na"}) do
    for _, rest in ipairs({"", "St11align_val_t"}) do
        MALLOC_NAMES["_Z" .. kind .. "m" .. rest] = true
        MALLOC_NAMES["_Z" .. kind .. "m" .. rest .. "RKSt9nothrow_t"] = true
    end
end
for _, kind in ipairs({"dl", "da"}) do
    for _, rest in ipairs({"", "m", "St11align_val_t", "mSt11align_val_t", "RKSt9nothrow_t",
        "St11align_val_tRKSt9nothrow_t"}) do
        MALLOC_NAMES["_Z" .. kind .. "Pv" .. rest] = true
    end
end

function rules.exports_malloc(root, library, header)
    local violations, violation = collector()
    local exported, wanted = exported_names(library), declared_names(root, header)
    for name in pairs(MALLOC_NAMES) do
        wanted[name] = true
    end
    for name in pairs(exported) do
        if not wanted[name] then
            violation("%s is exported and is none of malloc's names", name)
        end
    end
    for name in pairs(wanted) do
        if not exported[name] then
            violation("%s is not exported", name)
        end
    end
    table.sort(violations)
    return violations
end

return rules
