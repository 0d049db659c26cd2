-- What an order costs. Orders are worked out and answered, and not kept.
local catalogue = require("catalogue")

local orders = {MAX_QUANTITY = 99, MAX_LINES = 50}

local POSTAGE = {{grams = 500, cents = 290}, {grams = 1000, cents = 490}, {grams = 5000, cents = 790}}
local POSTAGE_ABOVE = 1490
local GRAMS_PER_PAGE, GRAMS_PER_COVER = 1.2, 60
local REBATE_FROM, REBATE_PERCENT = 10, 5

function orders.money(cents)
    return ("%d.%02d"):format(cents // 100, cents % 100)
end

local function postage_of(grams)
    for _, step in ipairs(POSTAGE) do
        if grams <= step.grams then
            return step.cents
        end
    end
    return POSTAGE_ABOVE
end

-- A line of an order, or nil and what is wrong with it.
function orders.line(slug, quantity)
    if type(slug) ~= "string" then
        return nil, "a book is missing"
    end
    local book = catalogue.by_slug[slug]
    if book == nil then
        return nil, "there is no book named '" .. slug .. "'"
    end
    quantity = math.tointeger(tonumber(quantity))
    if quantity == nil or quantity < 1 or quantity > orders.MAX_QUANTITY then
        return nil, "a quantity is a whole number from 1 to " .. orders.MAX_QUANTITY
    end
    return {book = book, quantity = quantity, cents = book.cents * quantity}
end

function orders.quote(lines)
    local quote = {lines = lines, quantity = 0, goods = 0}
    local grams = 0
    for _, line in ipairs(lines) do
        quote.quantity = quote.quantity + line.quantity
        quote.goods = quote.goods + line.cents
        grams = grams + line.quantity * (GRAMS_PER_COVER + line.book.pages * GRAMS_PER_PAGE)
    end
    quote.rebate = quote.quantity >= REBATE_FROM and quote.goods * REBATE_PERCENT // 100 or 0
    quote.postage = postage_of(grams)
    quote.total = quote.goods - quote.rebate + quote.postage
    return quote
end

return orders
