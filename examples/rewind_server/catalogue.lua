-- The bookshop's catalogue: built once, when the application is loaded, and only read by requests.
local books = require("books")

local catalogue = {by_slug = {}, by_subject = {}, subjects = {}, books = books}

-- word -> set of books, for each beginning of a word as well, so that a search needs no scan
local index = {}

local SHORTEST_BEGINNING = 3

local function each_word(text)
    return text:lower():gmatch("[%w\128-\255]+")
end

local function add_word(word, book)
    for length = math.min(SHORTEST_BEGINNING, #word), #word do
        local beginning = word:sub(1, length)
        index[beginning] = index[beginning] or {}
        index[beginning][book] = true
    end
end

for _, book in ipairs(books) do
    catalogue.by_slug[book.slug] = book
    for _, subject in ipairs(book.subjects) do
        if catalogue.by_subject[subject] == nil then
            catalogue.by_subject[subject] = {}
            table.insert(catalogue.subjects, subject)
        end
        table.insert(catalogue.by_subject[subject], book)
    end
    for word in each_word(table.concat({book.title, book.author, book.blurb}, " ")) do
        add_word(word, book)
    end
end
table.sort(catalogue.subjects)

local orders = {
    title = function(a, b) return a.title < b.title end,
    author = function(a, b) return a.author == b.author and a.year < b.year or a.author < b.author end,
    year = function(a, b) return a.year == b.year and a.title < b.title or a.year < b.year end,
    price = function(a, b) return a.cents == b.cents and a.title < b.title or a.cents < b.cents end,
}

function catalogue.has_order(name)
    return orders[name] ~= nil
end

local function matches_all(book, words)
    for _, word in ipairs(words) do
        if not (index[word] and index[word][book]) then
            return false
        end
    end
    return true
end

-- A new list of the books that have each word of `query` (text or nil) and are of `subject` (or nil), in an order.
function catalogue.search(query, subject, order)
    local words, found = {}, {}
    for word in each_word(query or "") do
        words[#words + 1] = word
    end
    for _, book in ipairs(subject and (catalogue.by_subject[subject] or {}) or books) do
        if matches_all(book, words) then
            found[#found + 1] = book
        end
    end
    table.sort(found, orders[order or "title"])
    return found
end

return catalogue
