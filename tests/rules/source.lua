-- Reads files of the project, and C as far as the rules need it.
local source = {}

local function lines_of_command(command)
    local pipe = assert(io.popen(command))
    local lines = {}
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    return lines, pipe:close()
end
source.lines_of_command = lines_of_command

-- The project's own files, relative to root: what git tracks or would add; outside git, all but build folders.
function source.files(root)
    local git = "git -C '" .. root .. "' ls-files --cached --others --exclude-standard 2>/dev/null"
    local files = lines_of_command(git)
    if #files == 0 then
        files = lines_of_command(
            "cd '" .. root .. "' && find . -name .git -prune -o -path './build*' -prune -o -type f -print | cut -c3-"
        )
    end
    table.sort(files)
    return files
end

-- nil for a file that is listed and gone, as one that was removed and not committed yet.
function source.read(root, file)
    local handle = io.open(root .. "/" .. file, "rb")
    if handle == nil then
        return nil
    end
    local text = handle:read("a")
    handle:close()
    return text
end

function source.each_line(text)
    return (text:gsub("\n?$", "\n")):gmatch("([^\n]*)\n")
end

-- The text with comments, strings and character constants blanked, line by line as it was.
function source.without_comments(text)
    local function blank(part)
        return (part:gsub("[^\n]", " "))
    end
    local out, at = {}, 1
    while at <= #text do
        local first = text:find("[\"'/]", at)
        if first == nil then
            break
        end
        local two, last = text:sub(first, first + 1), nil
        if two == "/*" then
            last = select(2, text:find("*/", first + 2, true)) or #text
        elseif two == "//" then
            last = (text:find("\n", first, true) or #text + 1) - 1
        elseif two:sub(1, 1) ~= "/" then
            local quote = two:sub(1, 1)
            last = first + 1
            while last <= #text and text:sub(last, last) ~= quote do
                last = last + (text:sub(last, last) == "\\" and 2 or 1)
            end
        end
        out[#out + 1] = text:sub(at, first - 1)
        out[#out + 1] = last and blank(text:sub(first, last)) or "/"
        at = (last or first) + 1
    end
    out[#out + 1] = text:sub(at)
    return table.concat(out)
end

-- Function definitions: a list of {name, line, lines}, the lines counted from the opening brace to the closing one.
function source.functions(text)
    local found, depth, line = {}, 0, 0
    local head, open, in_macro = "", nil, false
    for content in source.each_line(source.without_comments(text)) do
        line = line + 1
        if in_macro or content:match("^%s*#") then
            in_macro = content:match("\\%s*$") ~= nil
            content = ""
        end
        for char in content:gmatch(".") do
            if char == "{" then
                if depth == 0 then
                    local name = head:match("([%w_]+)%s*%b()")
                    open = name and not head:find("=") and {name = name, line = line}
                end
                depth = depth + 1
            elseif char == "}" then
                depth = depth - 1
                if depth == 0 then
                    if open then
                        open.lines = line - open.line + 1
                        found[#found + 1] = open
                    end
                    head = ""
                end
            elseif char == ";" and depth == 0 then
                head = ""
            elseif depth == 0 then
                head = head .. char
            end
        end
        head = head .. " "
    end
    return found
end

-- Conditional directives, without the guard of a header: a list of {line, text}.
function source.conditionals(text)
    local found, line, guard_possible = {}, 0, true
    for content in source.each_line(source.without_comments(text)) do
        line = line + 1
        local directive = content:match("^%s*#%s*(%a+)")
        if directive == "if" or directive == "ifdef" or directive == "ifndef" then
            if not (guard_possible and directive == "ifndef" and content:match("_H%s*$")) then
                found[#found + 1] = {line = line, text = content}
            end
        end
        guard_possible = guard_possible and directive == nil
    end
    return found
end

return source
