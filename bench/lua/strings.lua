-- Writes a text of a few MB on the spot and reads it as programs do: words counted, found, replaced, cut, joined.
-- Usage: strings.lua [WORDS]     words in the text; 500000 make about 4 MB

local DEFAULT_WORDS = 500000
local VOCABULARY_SIZE = 4000
local WORDS_PER_LINE = 12

-- Knuth's MMIX generator: the same text on every machine.
local function new_random(seed)
    local state = seed
    return function(limit)
        state = state * 6364136223846793005 + 1442695040888963407
        return (state >> 33) % limit + 1
    end
end

local ONSETS = { "b", "br", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "" }
local NUCLEI = { "a", "e", "i", "o", "u", "ai", "ea", "io", "ou" }
local CODAS = { "", "", "", "n", "r", "s", "l", "st", "nd" }

local function new_word(random)
    local parts = {}
    for _ = 1, random(3) do
        parts[#parts + 1] = ONSETS[random(#ONSETS)] .. NUCLEI[random(#NUCLEI)] .. CODAS[random(#CODAS)]
    end
    return table.concat(parts)
end

local function new_vocabulary(random)
    local words = {}
    for i = 1, VOCABULARY_SIZE do
        words[i] = new_word(random)
    end
    return words
end

-- The smaller of two picks: early words are common, late ones rare, as in a real text.
local function pick_word(vocabulary, random)
    return vocabulary[math.min(random(VOCABULARY_SIZE), random(VOCABULARY_SIZE))]
end

local function new_line(vocabulary, random, words)
    local line = {}
    for i = 1, words do
        line[i] = pick_word(vocabulary, random)
    end
    line[1] = line[1]:sub(1, 1):upper() .. line[1]:sub(2)
    line[#line] = line[#line] .. (random(5) == 1 and "!" or ".")
    return table.concat(line, random(8) == 1 and ", " or " ")
end

local function new_text(words)
    local random = new_random(20240229)
    local vocabulary = new_vocabulary(random)
    local lines = {}
    for first = 1, words, WORDS_PER_LINE do
        lines[#lines + 1] = new_line(vocabulary, random, math.min(WORDS_PER_LINE, words - first + 1))
    end
    return table.concat(lines, "\n"), vocabulary
end

local function count_words(text)
    local counts = {}
    for word in text:gmatch("%a+") do
        word = word:lower()
        counts[word] = (counts[word] or 0) + 1
    end
    return counts
end

-- The words in order of frequency, as a table of text lines.
local function frequency_report(counts)
    local words = {}
    for word in pairs(counts) do
        words[#words + 1] = word
    end
    table.sort(words, function(a, b)
        if counts[a] ~= counts[b] then
            return counts[a] > counts[b]
        end
        return a < b
    end)
    for rank, word in ipairs(words) do
        words[rank] = string.format("%5d  %-20s %8d", rank, word, counts[word])
    end
    return table.concat(words, "\n"), #words
end

local function count_occurrences(text, word)
    local found, position = 0, 1
    while true do
        local first, last = text:find(word, position, true)
        if not first then
            return found
        end
        found, position = found + 1, last + 1
    end
end

-- Vowels at word ends go, words of six letters and more are turned round, and each sentence becomes a numbered line.
local function rewrite(text)
    local shorter = text:gsub("[aeiou]+(%A)", "%1")
    local turned, changes = shorter:gsub("%a+", function(word)
        return #word >= 6 and word:reverse() or nil
    end)
    local number = 0
    local numbered = turned:gsub("([^.!]*)([.!])\n?", function(sentence, mark)
        number = number + 1
        return number .. ": " .. sentence .. (mark == "!" and " (!)" or "") .. "\n"
    end)
    return numbered, changes
end

-- Joins line by line with `..`, as careless programs do, in paragraphs short enough not to be quadratic.
local function paragraphs(text)
    local result, paragraph = {}, ""
    for line in text:gmatch("[^\n]+") do
        paragraph = paragraph .. line .. " "
        if #paragraph > 4000 then
            result[#result + 1] = paragraph
            paragraph = ""
        end
    end
    result[#result + 1] = paragraph
    return result
end

-- Adler-32 over blocks of bytes.
local function checksum(text)
    local a, b = 1, 0
    for first = 1, #text, 64 do
        for _, byte in ipairs({ text:byte(first, first + 63) }) do
            a = a + byte
            b = b + a
        end
        a, b = a % 65521, b % 65521
    end
    return b << 16 | a
end

local argument = ...
local words = math.tointeger(tonumber(argument or DEFAULT_WORDS))
assert(words and words > 0, "WORDS must be a whole number above 0")

local text, vocabulary = new_text(words)
local report, distinct = frequency_report(count_words(text))
local found = 0
for i = 1, 10 do
    found = found + count_occurrences(text, vocabulary[i * 7])
end
local rewritten, changes = rewrite(text)
local parts = paragraphs(rewritten)
local sum = checksum(report) ~ checksum(table.concat(parts, "\n\n"))
print(string.format("strings %d: %d bytes, %d different words, %d found, %d turned, %d paragraphs, checksum %08x",
    words, #text, distinct, found, changes, #parts, sum))
