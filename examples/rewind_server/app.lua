-- A small bookshop: pages, an interface in JSON, a form. Loaded once by rewind_server; returns the function that turns
-- a request into a response (see exchange.h).
--   books.lua      the data            catalogue.lua  indexes and search     orders.lua    prices
--   views.lua      the pages           template.lua   HTML from templates    router.lua    paths to functions
--   form.lua       queries and forms   json.lua       JSON                   mischief.lua  requests to survive
local catalogue = require("catalogue")
local form = require("form")
local host = require("host")
local json = require("json")
local mischief = require("mischief")
local orders = require("orders")
local router = require("router")
local views = require("views")

local PAGE_SIZE = 12

local routes = router.new()

-- Responses -----------------------------------------------------------------------------------------------------

local function html(body, status)
    return {status = status, body = body, headers = {["Content-Type"] = "text/html; charset=utf-8"}}
end

local function data(value, status)
    return {status = status, body = json.encode(value) .. "\n", headers = {["Content-Type"] = "application/json"}}
end

local function redirect(location)
    return {status = 303, headers = {Location = location}}
end

local TITLES = {[400] = "Bad request", [404] = "Not found", [405] = "Method not allowed", [415] = "Unsupported type"}

-- In the form that the rest of the path's answers have.
local function failure(request, status, message)
    if request.path:find("^/api/") then
        return data({error = message}, status)
    end
    return html(views.failure({title = TITLES[status], message = message}), status)
end

-- Pages ---------------------------------------------------------------------------------------------------------

routes:add("GET", "/", function()
    local subjects = {}
    for i, name in ipairs(catalogue.subjects) do
        subjects[i] = {name = name, count = #catalogue.by_subject[name]}
    end
    return html(views.home({title = "Welcome", count = #catalogue.books, subjects = subjects}))
end)

local function page_of(list, number)
    return table.move(list, (number - 1) * PAGE_SIZE + 1, math.min(number * PAGE_SIZE, #list), 1, {})
end

routes:add("GET", "/books", function(request)
    local query = request.query
    local number = math.tointeger(tonumber(query.page or 1))
    if query.sort ~= nil and not catalogue.has_order(query.sort) then
        return failure(request, 400, "Books cannot be sorted by '" .. query.sort .. "'.")
    end
    local found = catalogue.search(query.q, query.subject, query.sort)
    local pages = math.max(1, (#found + PAGE_SIZE - 1) // PAGE_SIZE)
    if number == nil or number < 1 or number > pages then
        return failure(request, 404, "There is no such page.")
    end
    local following = {q = query.q, subject = query.subject, sort = query.sort, page = number + 1}
    return html(views.list({
        title = query.subject and "Books: " .. query.subject or "Books",
        q = query.q or "", count = #found, number = number, pages = pages, books = page_of(found, number),
        next_query = number < pages and form.format(following),
    }))
end)

routes:add("GET", "/books/:slug", function(request)
    local book = catalogue.by_slug[request.params.slug]
    if book == nil then
        return failure(request, 404, "There is no book named '" .. request.params.slug .. "'.")
    end
    return html(views.book({title = book.title, book = book}))
end)

routes:add("GET", "/random", function()
    return redirect("/books/" .. catalogue.books[math.random(#catalogue.books)].slug)
end)

-- Orders --------------------------------------------------------------------------------------------------------

local function order_page(fields, problems, status)
    return html(views.order({
        title = "Order", problems = problems, books = catalogue.search(), chosen = fields.book or "",
        quantity = fields.quantity or "1", name = fields.name or "",
    }), status)
end

routes:add("GET", "/order", function(request)
    return order_page(request.query, {})
end)

routes:add("POST", "/order", function(request)
    local fields, wrong = form.parse(request.body)
    if fields == nil then
        return failure(request, 400, "The form is not well-formed: " .. wrong .. ".")
    end
    local problems = {}
    local line, problem = orders.line(fields.book, fields.quantity)
    problems[#problems + 1] = problem
    local name = (fields.name or ""):match("^%s*(.-)%s*$")
    if name == "" then
        problems[#problems + 1] = "a name is missing"
    end
    if #problems > 0 then
        return order_page(fields, problems, 422)
    end
    return html(views.receipt({title = "Your order", name = name, quote = orders.quote({line})}))
end)

-- JSON ----------------------------------------------------------------------------------------------------------

local function summary(book)
    return {
        slug = book.slug, title = book.title, author = book.author, year = book.year,
        price = orders.money(book.cents), subjects = json.array(table.move(book.subjects, 1, #book.subjects, 1, {})),
    }
end

routes:add("GET", "/api/books", function(request)
    local found = catalogue.search(request.query.q, request.query.subject, request.query.sort)
    local books = json.array({})
    for i, book in ipairs(found) do
        books[i] = summary(book)
    end
    return data({count = #books, books = books})
end)

routes:add("GET", "/api/books/:slug", function(request)
    local book = catalogue.by_slug[request.params.slug]
    return book and data(summary(book)) or failure(request, 404, "There is no such book.")
end)

-- The lines of an order in JSON, or nil and what is wrong.
local function lines_of(order)
    if type(order) ~= "table" or type(order.lines) ~= "table" or #order.lines == 0 then
        return nil, "an order has 'lines', an array that is not empty"
    elseif #order.lines > orders.MAX_LINES then
        return nil, "an order has at most " .. orders.MAX_LINES .. " lines"
    end
    local lines = {}
    for i, entry in ipairs(order.lines) do
        if type(entry) ~= "table" then
            return nil, "a line is an object"
        end
        local line, problem = orders.line(entry.book, entry.quantity)
        if line == nil then
            return nil, problem
        end
        lines[i] = line
    end
    return lines
end

routes:add("POST", "/api/quote", function(request)
    if not (request.headers["content-type"] or ""):find("^application/json") then
        return failure(request, 415, "the body must be application/json")
    end
    local order, wrong = json.decode(request.body)
    if wrong ~= nil then
        return failure(request, 400, wrong)
    end
    local lines, problem = lines_of(order)
    if lines == nil then
        return data({error = problem}, 422)
    end
    local quote = orders.quote(lines)
    return data({
        quantity = quote.quantity, goods = orders.money(quote.goods), rebate = orders.money(quote.rebate),
        postage = orders.money(quote.postage), total = orders.money(quote.total),
    })
end)

-- The host ------------------------------------------------------------------------------------------------------

routes:add("GET", "/status", function()
    local status = host.statistics()
    status.isolation = host.isolation
    return data(status)
end)

routes:add("GET", "/mischief/:name", function(request)
    local act = mischief[request.params.name]
    if act == nil then
        return failure(request, 404, "There is no such mischief.")
    end
    act(request)
    return {body = "done\n", headers = {["Content-Type"] = "text/plain"}}
end)

-- All of it -----------------------------------------------------------------------------------------------------

return function(request)
    local path, query = request.target:match("^([^?]*)%??(.*)$")
    request.path = path
    local fields, wrong = form.parse(query)
    if fields == nil then
        return failure(request, 400, "The query is not well-formed: " .. wrong .. ".")
    end
    request.query = fields
    local handler, params = routes:route(request.method, path)
    if handler ~= nil then
        request.params = params
        return handler(request)
    elseif params == nil then
        return failure(request, 404, "There is no page at " .. path .. ".")
    end
    local response = failure(request, 405, "This page takes " .. params .. ".")
    response.headers.Allow = params
    return response
end
