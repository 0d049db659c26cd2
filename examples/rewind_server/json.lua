-- JSON (RFC 8259). Objects are encoded with their keys in order, so that equal values are equal text.
local json = {}

local DEPTH_MAX = 64

-- Lua's tables hold no nil. An empty table is an object, unless json.array has marked it.
json.null = setmetatable({}, {__name = "json.null"})
local array_mark = {__name = "json.array"}

function json.array(list)
    return setmetatable(list, array_mark)
end

-- Encoder -------------------------------------------------------------------------------------------------------

local SHORT_ESCAPES = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(character)
    return SHORT_ESCAPES[character] or string.format("\\u%04x", character:byte())
end

local encode_value

local function encode_list(list, out, depth)
    out[#out + 1] = "["
    for i, value in ipairs(list) do
        out[#out + 1] = i > 1 and "," or ""
        encode_value(value, out, depth)
    end
    out[#out + 1] = "]"
end

local function encode_object(object, out, depth)
    local keys = {}
    for key in pairs(object) do
        if type(key) ~= "string" then
            error("JSON has no object with a key of type " .. type(key))
        end
        keys[#keys + 1] = key
    end
    table.sort(keys)
    out[#out + 1] = "{"
    for i, key in ipairs(keys) do
        out[#out + 1] = i > 1 and "," or ""
        encode_value(key, out, depth)
        out[#out + 1] = ":"
        encode_value(object[key], out, depth)
    end
    out[#out + 1] = "}"
end

local encoders = {}

function encoders.string(text, out)
    out[#out + 1] = '"' .. text:gsub('[%c"\\\127]', escape) .. '"'
end

function encoders.number(number, out)
    if number ~= number or number == math.huge or number == -math.huge then
        error("JSON has no number for " .. tostring(number))
    end
    out[#out + 1] = math.type(number) == "integer" and tostring(number) or string.format("%.17g", number)
end

function encoders.boolean(value, out)
    out[#out + 1] = tostring(value)
end

function encoders.table(value, out, depth)
    if depth == DEPTH_MAX then
        error("a value is too deep for JSON, or contains itself")
    elseif value == json.null then
        out[#out + 1] = "null"
    elseif getmetatable(value) == array_mark or value[1] ~= nil then
        encode_list(value, out, depth + 1)
    else
        encode_object(value, out, depth + 1)
    end
end

function encode_value(value, out, depth)
    local encode = encoders[type(value)] or error("JSON has no " .. type(value))
    encode(value, out, depth)
end

function json.encode(value)
    local out = {}
    encode_value(value, out, 0)
    return table.concat(out)
end

-- Decoder -------------------------------------------------------------------------------------------------------
-- A decoding function gets the text, and the position of its value's first character; it returns the value, and the
-- position after it. What is wrong with a text is thrown as a table, so that it is told apart from other errors.

local function fail(at, message)
    error({json = string.format("%s at byte %d", message, at)})
end

local function skip_space(text, at)
    return text:find("[^ \t\r\n]", at) or #text + 1
end

local LONG_ESCAPES = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function decode_unicode(text, at)
    local code = tonumber(text:match("^%x%x%x%x", at) or fail(at, "four hexadecimal digits are missing"), 16)
    at = at + 4
    if code >= 0xDC00 and code <= 0xDFFF then
        fail(at, "half a surrogate pair")
    elseif code >= 0xD800 and code <= 0xDBFF then
        local low = tonumber(text:match("^\\u(%x%x%x%x)", at) or fail(at, "half a surrogate pair"), 16)
        if low < 0xDC00 or low > 0xDFFF then
            fail(at, "half a surrogate pair")
        end
        return utf8.char(0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)), at + 6
    end
    return utf8.char(code), at
end

local function decode_string(text, at)
    local parts = {}
    at = at + 1
    while true do
        local stop = text:find('[%c"\\]', at) or fail(#text + 1, "a string does not end")
        parts[#parts + 1] = text:sub(at, stop - 1)
        local character = text:sub(stop, stop)
        if character == '"' then
            return table.concat(parts), stop + 1
        elseif character ~= "\\" then
            fail(stop, "a control character in a string")
        end
        local letter = text:sub(stop + 1, stop + 1)
        if letter == "u" then
            parts[#parts + 1], at = decode_unicode(text, stop + 2)
        else
            parts[#parts + 1] = LONG_ESCAPES[letter] or fail(stop, "an unknown escape")
            at = stop + 2
        end
    end
end

local function decode_number(text, at)
    local sign, digits, next_at = text:match("^(%-?)(%d+)()", at)
    if digits == nil or (#digits > 1 and digits:sub(1, 1) == "0") then
        fail(at, "this is no value")
    end
    local fraction_end = text:match("^%.%d+()", next_at) or next_at
    local stop = text:match("^[eE][+-]?%d+()", fraction_end) or fraction_end
    return tonumber(stop == next_at and sign .. digits or text:sub(at, stop - 1)), stop
end

local decode_value

local function decode_list(text, at, depth)
    local list = json.array({})
    at = skip_space(text, at + 1)
    if text:sub(at, at) == "]" then
        return list, at + 1
    end
    while true do
        list[#list + 1], at = decode_value(text, at, depth)
        at = skip_space(text, at)
        local mark = text:sub(at, at)
        if mark == "]" then
            return list, at + 1
        elseif mark ~= "," then
            fail(at, "',' or ']' is missing")
        end
        at = at + 1
    end
end

local function decode_member(object, text, at, depth)
    at = skip_space(text, at)
    if text:sub(at, at) ~= '"' then
        fail(at, "a key is missing")
    end
    local key
    key, at = decode_string(text, at)
    at = skip_space(text, at)
    if text:sub(at, at) ~= ":" then
        fail(at, "':' is missing")
    end
    object[key], at = decode_value(text, at + 1, depth)
    return skip_space(text, at)
end

local function decode_object(text, at, depth)
    local object = {}
    at = skip_space(text, at + 1)
    if text:sub(at, at) == "}" then
        return object, at + 1
    end
    while true do
        at = decode_member(object, text, at, depth)
        local mark = text:sub(at, at)
        if mark == "}" then
            return object, at + 1
        elseif mark ~= "," then
            fail(at, "',' or '}' is missing")
        end
        at = at + 1
    end
end

local WORDS = {["true"] = true, ["false"] = false, ["null"] = json.null}

function decode_value(text, at, depth)
    at = skip_space(text, at)
    local first = text:sub(at, at)
    if depth == DEPTH_MAX then
        fail(at, "a value is too deep")
    elseif first == "{" then
        return decode_object(text, at, depth + 1)
    elseif first == "[" then
        return decode_list(text, at, depth + 1)
    elseif first == '"' then
        return decode_string(text, at)
    end
    local word = text:match("^%l+", at)
    if WORDS[word] ~= nil then
        return WORDS[word], at + #word
    end
    return decode_number(text, at)
end

local function decode_all(text)
    local length, bad = utf8.len(text)
    if length == nil then
        fail(bad, "this is not UTF-8")
    end
    local value, at = decode_value(text, 1, 0)
    at = skip_space(text, at)
    if at <= #text then
        fail(at, "something follows the value")
    end
    return value
end

-- The value, or nil and what is wrong with the text.
function json.decode(text)
    local ok, result = pcall(decode_all, text)
    if ok then
        return result
    elseif type(result) == "table" and result.json ~= nil then
        return nil, result.json
    end
    error(result, 0)
end

return json
