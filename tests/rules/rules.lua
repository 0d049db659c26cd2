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

return rules
