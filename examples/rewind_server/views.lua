-- The pages. Each is a function from a table of values to HTML.
-- luacheck: no max line length
local form = require("form")
local orders = require("orders")
local template = require("template")

template.helpers.money = orders.money
template.helpers.query = form.format

local layout = template.compile("layout", [[
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{{ title }} - Rewound Books</title></head>
<body>
<nav><a href="/">Rewound Books</a> <a href="/books">All books</a> <a href="/order">Order</a></nav>
<h1>{{ title }}</h1>
{{{ content }}}</body>
</html>
]])

local function page(name, text)
    local render = template.compile(name, text)
    return function(values)
        return layout({title = values.title, content = render(values)})
    end
end

return {
    home = page("home", [[
<p>{{ count }} books, by subject:</p>
<ul>
{% for _, subject in ipairs(subjects) do %}<li><a href="/books?{{ query({subject = subject.name}) }}">{{ subject.name }}</a> ({{ subject.count }})</li>
{% end %}</ul>
<form action="/books"><input name="q" placeholder="title, author, word"><button>Search</button></form>
]]),

    list = page("list", [[
<form action="/books"><input name="q" value="{{ q }}"><button>Search</button></form>
<p>{{ count }} found{% if pages > 1 then %}, page {{ number }} of {{ pages }}{% end %}</p>
<table>
{% for _, book in ipairs(books) do %}<tr><td><a href="/books/{{ book.slug }}">{{ book.title }}</a></td><td>{{ book.author }}</td><td>{{ book.year }}</td><td>{{ money(book.cents) }}</td></tr>
{% end %}</table>
{% if next_query then %}<a rel="next" href="/books?{{ next_query }}">more</a>
{% end %}]]),

    book = page("book", [[
<p>by <a href="/books?{{ query({q = book.author}) }}">{{ book.author }}</a>, {{ book.year }}, {{ book.pages }} pages</p>
<p>{{ book.blurb }}</p>
<p>Subjects:{% for _, subject in ipairs(book.subjects) do %} <a href="/books?{{ query({subject = subject}) }}">{{ subject }}</a>{% end %}</p>
<p>{{ money(book.cents) }} <a href="/order?{{ query({book = book.slug}) }}">order</a></p>
]]),

    order = page("order", [[
{% if #problems > 0 then %}<ul class="problems">
{% for _, problem in ipairs(problems) do %}<li>{{ problem }}</li>
{% end %}</ul>
{% end %}<form action="/order" method="post">
<label>Book <select name="book">
{% for _, book in ipairs(books) do %}<option value="{{ book.slug }}"{% if book.slug == chosen then %} selected{% end %}>{{ book.title }}</option>
{% end %}</select></label>
<label>Quantity <input name="quantity" value="{{ quantity }}"></label>
<label>Name <input name="name" value="{{ name }}"></label>
<button>Order</button>
</form>
]]),

    receipt = page("receipt", [[
<p>Thank you, {{ name }}.</p>
<table>
{% for _, line in ipairs(quote.lines) do %}<tr><td>{{ line.quantity }}</td><td>{{ line.book.title }}</td><td>{{ money(line.cents) }}</td></tr>
{% end %}{% if quote.rebate > 0 then %}<tr><td></td><td>Rebate</td><td>-{{ money(quote.rebate) }}</td></tr>
{% end %}<tr><td></td><td>Postage</td><td>{{ money(quote.postage) }}</td></tr>
<tr><td></td><th>Total</th><th>{{ money(quote.total) }}</th></tr>
</table>
]]),

    failure = page("failure", [[
<p>{{ message }}</p>
]]),
}
