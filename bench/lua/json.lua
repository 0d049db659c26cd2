-- A JSON encoder and decoder (RFC 8259) in Lua, and a large document that goes through both several times.
-- Usage: json.lua [ROUNDS]

local DEFAULT_ROUNDS = 4
local RECORDS = 2500
local DEPTH_MAX = 200

local json = {}

-- Lua's tables hold no nil, so null is a value of its own. Arrays that may be empty are marked by json.array.
json.null = {}
local array_mark = {}

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

local function encode_string(text)
    if not utf8.len(text) then
        error("a string is not UTF-8", 0)
    end
    return '"' .. text:gsub('[%c"\\\127]', escape) .. '"'
end

local function encode_number(number)
    if math.type(number) == "integer" then
        return tostring(number)
    end
    if number ~= number or number == math.huge or number == -math.huge then
        error("JSON has no number for " .. tostring(number), 0)
    end
    local text = string.format("%.15g", number)
    if tonumber(text) ~= number then
        text = string.format("%.17g", number)
    end
    return text:find("[.e]") and text or text .. ".0"
end

local encode_value

local function encode_array(list, out, depth)
    out[#out + 1] = "["
    for i = 1, #list do
        if i > 1 then
            out[#out + 1] = ","
        end
        encode_value(list[i], out, depth)
    end
    out[#out + 1] = "]"
end

-- Keys are sorted, so that equal tables give equal texts.
local function encode_object(object, out, depth)
    local keys = {}
    for key in pairs(object) do
        if type(key) ~= "string" then
            error("an object has a key that is a " .. type(key), 0)
        end
        keys[#keys + 1] = key
    end
    table.sort(keys)
    out[#out + 1] = "{"
    for i, key in ipairs(keys) do
        out[#out + 1] = (i > 1 and "," or "") .. encode_string(key) .. ":"
        encode_value(object[key], out, depth)
    end
    out[#out + 1] = "}"
end

local function is_array(value)
    return getmetatable(value) == array_mark or #value > 0
end

function encode_value(value, out, depth)
    if depth > DEPTH_MAX then
        error("nested too deeply", 0)
    end
    local kind = type(value)
    if value == json.null then
        out[#out + 1] = "null"
    elseif kind == "string" then
        out[#out + 1] = encode_string(value)
    elseif kind == "number" then
        out[#out + 1] = encode_number(value)
    elseif kind == "boolean" then
        out[#out + 1] = tostring(value)
    elseif kind == "table" then
        local encode = is_array(value) and encode_array or encode_object
        encode(value, out, depth + 1)
    else
        error("JSON has no " .. kind, 0)
    end
end

-- The value as JSON text; nil and a message if it cannot be.
function json.encode(value)
    local out = {}
    local ok, message = pcall(encode_value, value, out, 0)
    if not ok then
        return nil, message
    end
    return table.concat(out)
end

-- Decoder -------------------------------------------------------------------------------------------------------
-- Each decode_x takes the text and the position of its first character, and returns the value and the position after.

local function fail(text, position, message)
    local _, lines = text:sub(1, position - 1):gsub("\n", "")
    error(string.format("line %d, byte %d: %s", lines + 1, position, message), 0)
end

local function skip_space(text, position)
    return text:find("[^ \t\r\n]", position) or #text + 1
end

local UNESCAPED = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function decode_hex(text, position)
    local digits = text:match("^%x%x%x%x", position)
    return digits and tonumber(digits, 16) or fail(text, position, "four hexadecimal digits must follow \\u")
end

-- `position` is that of the first digit. Characters beyond 16 bits come as two escapes, a surrogate pair.
local function decode_unicode(text, position)
    local code = decode_hex(text, position)
    position = position + 4
    if code >= 0xDC00 and code <= 0xDFFF then
        fail(text, position - 4, "second half of a surrogate pair without the first")
    elseif code >= 0xD800 and code <= 0xDBFF then
        if text:sub(position, position + 1) ~= "\\u" then
            fail(text, position, "first half of a surrogate pair without the second")
        end
        local low = decode_hex(text, position + 2)
        if low < 0xDC00 or low > 0xDFFF then
            fail(text, position, "first half of a surrogate pair without the second")
        end
        code = 0x10000 + (code - 0xD800 << 10) + (low - 0xDC00)
        position = position + 6
    end
    return utf8.char(code), position
end

local function decode_escape(text, position)
    local letter = text:sub(position, position)
    if letter == "u" then
        return decode_unicode(text, position + 1)
    end
    return UNESCAPED[letter] or fail(text, position, "unknown escape"), position + 1
end

local function decode_string(text, position)
    local parts
    local start = position + 1
    while true do
        local stop = text:find('["\\%c]', start)
        local character = stop and text:sub(stop, stop)
        if character == '"' then
            local rest = text:sub(start, stop - 1)
            if not parts then
                return rest, stop + 1
            end
            parts[#parts + 1] = rest
            return table.concat(parts), stop + 1
        elseif character == "\127" then
            parts = parts or {}
            parts[#parts + 1] = text:sub(start, stop)
            start = stop + 1
        elseif character ~= "\\" then
            fail(text, stop or #text + 1, stop and "control character in a string" or "string without end")
        else
            parts = parts or {}
            parts[#parts + 1] = text:sub(start, stop - 1)
            parts[#parts + 1], start = decode_escape(text, stop + 1)
        end
    end
end

local function decode_number(text, position)
    local digits = text:match("^-?%d+", position) or fail(text, position, "a digit must follow -")
    if digits:find("^-?0%d") then
        fail(text, position, "a number must not begin with 0")
    end
    local stop = position + #digits
    local fraction = text:match("^%.%d+", stop) or ""
    local exponent = text:match("^[eE][+-]?%d+", stop + #fraction) or ""
    stop = stop + #fraction + #exponent
    if text:find("^[%w.]", stop) then
        fail(text, stop, "malformed number")
    end
    local whole = fraction == "" and exponent == ""
    return whole and math.tointeger(tonumber(digits)) or tonumber(text:sub(position, stop - 1)), stop
end

local LITERALS = {
    t = { "true", true },
    f = { "false", false },
    n = { "null", json.null },
}

local function decode_literal(text, position)
    local literal = LITERALS[text:sub(position, position)]
    local word = literal and literal[1]
    if not word or text:sub(position, position + #word - 1) ~= word then
        fail(text, position, position > #text and "the text ends where a value must be" or "no value begins like this")
    end
    return literal[2], position + #word
end

local decode_value

-- After an element: true if another one follows, and the position after the comma or the closing bracket.
local function decode_separator(text, position, closing)
    position = skip_space(text, position)
    local character = text:sub(position, position)
    if character ~= "," and character ~= closing then
        fail(text, position, "',' or '" .. closing .. "' must be here")
    end
    return character == ",", position + 1
end

local function decode_array(text, position, depth)
    local list = json.array({})
    position = skip_space(text, position + 1)
    if text:sub(position, position) == "]" then
        return list, position + 1
    end
    local more = true
    while more do
        list[#list + 1], position = decode_value(text, position, depth)
        more, position = decode_separator(text, position, "]")
    end
    return list, position
end

local function decode_object(text, position, depth)
    local object = {}
    position = skip_space(text, position + 1)
    if text:sub(position, position) == "}" then
        return object, position + 1
    end
    local more = true
    while more do
        local key
        position = skip_space(text, position)
        if text:sub(position, position) ~= '"' then
            fail(text, position, "a key must be here, in quotation marks")
        end
        key, position = decode_string(text, position)
        position = skip_space(text, position)
        if text:sub(position, position) ~= ":" then
            fail(text, position, "':' must be here")
        end
        object[key], position = decode_value(text, position + 1, depth)
        more, position = decode_separator(text, position, "}")
    end
    return object, position
end

function decode_value(text, position, depth)
    position = skip_space(text, position)
    local character = text:sub(position, position)
    if depth > DEPTH_MAX then
        fail(text, position, "nested too deeply")
    elseif character == '"' then
        return decode_string(text, position)
    elseif character == "{" then
        return decode_object(text, position, depth + 1)
    elseif character == "[" then
        return decode_array(text, position, depth + 1)
    elseif character == "-" or character:find("%d") then
        return decode_number(text, position)
    end
    return decode_literal(text, position)
end

local function decode_document(text)
    if not utf8.len(text) then
        error("the text is not UTF-8", 0)
    end
    local value, position = decode_value(text, 1, 0)
    position = skip_space(text, position)
    if position <= #text then
        fail(text, position, "something follows the value")
    end
    return value
end

-- The value of a JSON text; nil and a message if it is none.
function json.decode(text)
    local ok, value = pcall(decode_document, text)
    if not ok then
        return nil, value
    end
    return value
end

-- The program ---------------------------------------------------------------------------------------------------

local function check_examples()
    local examples = {
        { '"\\u00e9\\ud83d\\ude00\\n\\/"', "é😀\n/" },
        { "-0.5e+3", -500.0 },
        { " 9007199254740993 ", 9007199254740993 },
        { "true", true },
        { "null", json.null },
    }
    for _, example in ipairs(examples) do
        assert(json.decode(example[1]) == example[2], example[1])
    end
    local mistakes = {
        "", "[1,]", "{\"a\" 1}", "{1:2}", "01", "1.", "-", "+1", "[1 2]", "\"\\x\"", "\"\\ud800\"", "\"\n\"", "\"open",
        "nul", "[1] 2", "\"\\u12g4\"", "{\"a\":1,}", "\xff", ("["):rep(DEPTH_MAX + 2),
    }
    for _, mistake in ipairs(mistakes) do
        local value, message = json.decode(mistake)
        assert(value == nil and type(message) == "string", mistake)
    end
    assert(not json.encode({ 0 / 0 }) and not json.encode({ print }) and not json.encode("\xff"))
    return #examples + #mistakes
end

local function new_record(i)
    return {
        id = i,
        name = string.format("Person %d \"the %s\"", i, i % 3 == 0 and "größte" or "small\tone"),
        balance = (i * 7919 % 100003) / 64,
        ratio = i / 7,
        active = i % 2 == 0,
        parent = i % 5 == 0 and json.null or i // 2,
        tags = json.array(i % 4 == 0 and {} or { "a" .. i % 10, "\u{1F600}", "line\nbreak\\" }),
        address = {
            street = "Straße " .. i % 97,
            zip = string.format("%05d", i * 31 % 100000),
            geo = { i * 0.25, -i / 3 },
        },
    }
end

local function new_document()
    local records = {}
    for i = 1, RECORDS do
        records[i] = new_record(i)
    end
    return { title = "A directory", version = 3, records = records, nothing = json.array({}) }
end

local function equal(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b and math.type(a) == math.type(b)
    end
    for key, value in pairs(a) do
        if not equal(value, b[key]) then
            return false
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return false
        end
    end
    return true
end

local function checksum(text)
    local sum = 0
    for first = 1, #text, 8 do
        sum = (sum * 31 + (text:byte(first))) & 0xffffffff
    end
    return sum
end

local argument = ...
local rounds = math.tointeger(tonumber(argument or DEFAULT_ROUNDS))
assert(rounds and rounds > 0, "ROUNDS must be a whole number above 0")
local examples = check_examples()
local document = new_document()
local text = assert(json.encode(document))
for _ = 1, rounds do
    local copy = assert(json.decode(text))
    assert(equal(document, copy), "the document changed on its way")
    assert(json.encode(copy) == text, "the text changed on its way")
    document = copy
end
print(string.format("json %d: %d bytes, %d records, %d examples, checksum %08x",
    rounds, #text, #document.records, examples, checksum(text)))
