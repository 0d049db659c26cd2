-- Queries of URLs and forms: name=value&name=value, percent-encoded UTF-8.
local form = {}

-- The text, or nil if it is not properly encoded.
function form.decode(text)
    if text:find("%%%X") or text:find("%%.?$") or text:find("%%%x%X") then
        return nil
    end
    local decoded = text:gsub("+", " "):gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
    end)
    return utf8.len(decoded) and decoded or nil
end

function form.encode(text)
    return (text:gsub("[^%w%-._~]", function(character)
        return string.format("%%%02X", character:byte())
    end))
end

-- A table of values by name, of which the last one counts; or nil and what is wrong.
function form.parse(text)
    local fields = {}
    for pair in text:gmatch("[^&]+") do
        local name, value = pair:match("^([^=]*)=?(.*)$")
        local decoded_name, decoded_value = form.decode(name), form.decode(value)
        if decoded_name == nil or decoded_value == nil then
            return nil, "a field is not percent-encoded UTF-8"
        end
        fields[decoded_name] = decoded_value
    end
    return fields
end

-- The opposite: names in order, false and nil left out.
function form.format(fields)
    local names, pairs_of_text = {}, {}
    for name, value in pairs(fields) do
        if value then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    for i, name in ipairs(names) do
        pairs_of_text[i] = form.encode(name) .. "=" .. form.encode(tostring(fields[name]))
    end
    return table.concat(pairs_of_text, "&")
end

return form
