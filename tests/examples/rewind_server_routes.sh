#!/usr/bin/env bash
# What the bookshop of rewind_server answers.
# usage: rewind_server_routes.sh SERVER      in the project's root
set -uo pipefail
server=$1
. "$(dirname "${BASH_SOURCE[0]}")/server.bash"

json='Content-Type: application/json'
start

# pages
expect 200 'Content-Type: text/html; charset=utf-8' /
expect 200 '<p>48 books, by subject:</p>' /
expect 200 '<li><a href="/books?subject=sea">sea</a> (7)</li>' /
expect 200 'page 1 of 4' /books
expect 200 '<a rel="next" href="/books?page=2">more</a>' /books
expect 200 'Wuthering Heights' '/books?page=4'
expect 200 '<p>9 found</p>' '/books?subject=gothic'
expect 200 '<h1>Books: gothic</h1>' '/books?subject=gothic'
expect 200 '<p>4 found</p>' '/books?q=Jane'
expect 200 'page 2 of 4' '/books?sort=price&page=2'
expect 200 '<p>0 found</p>' '/books?q=jane+whale'
expect 200 '<p>0 found</p>' '/books?subject=none'
expect 200 '<h1>Walden</h1>' /books/walden
expect 200 'Brontë' '/books?q=bront%C3%AB'
expect 200 '$28.12½' /books/walden

# escaping
expect 200 'ladies &lt;of a certain age&gt;' /books/cranford
expect 200 'value="&quot;&gt;&lt;script&gt;&amp;&#39;"' "/books?q=%22%3E%3Cscript%3E%26'"
expect 404 'no book named &#39;&lt;b&gt;&#39;' '/books/%3Cb%3E'
expect 200 '<h1>Alice&#39;s Adventures in Wonderland</h1>' /books/alice-in-wonderland

# errors
expect 404 'There is no page at /nowhere.' /nowhere
expect 404 'There is no page at /books/.' /books/
expect 404 'There is no page at /books/a/b.' /books/a/b
expect 404 'There is no such page.' '/books?page=5'
expect 404 'There is no such page.' '/books?page=0'
expect 404 'There is no such page.' '/books?page=1.5'
expect 404 'There is no such page.' '/books?page=x'
expect 400 'cannot be sorted by &#39;weight&#39;' '/books?sort=weight'
for query in %zz %4 % %C3 a=%FF; do
    expect 400 'The query is not well-formed' "/books?$query"
done
expect 405 'Allow: GET, HEAD' /books --request DELETE
expect 405 'Allow: GET, HEAD, POST' /order --request PUT --data x
expect 413 "body is too large" /order --data-binary "@$server"

# forms
expect 200 '<option value="kim" selected>Kim</option>' '/order?book=kim'
expect 200 '<p>Thank you, &lt;b&gt;Jo&amp;.</p>' /order --data 'book=emma&quantity=12&name=+%3Cb%3EJo%26+'
expect 200 '<td>Rebate</td><td>-7.14</td>' /order --data 'book=emma&quantity=12&name=Jo'
expect 200 '<th>150.56</th>' /order --data 'book=emma&quantity=12&name=Jo'
expect 422 '<li>a book is missing</li>' /order --data 'quantity=x'
expect 422 '<li>a name is missing</li>' /order --data 'book=emma&quantity=1'
expect 422 'whole number from 1 to 99' /order --data 'book=emma&quantity=100&name=Jo'
expect 422 'whole number from 1 to 99' /order --data 'book=emma&quantity=nan&name=Jo'
expect 422 'value="Jo &amp; Co"' /order --data 'book=none&quantity=1&name=Jo+%26+Co'
expect 400 'The form is not well-formed' /order --data '%'

# JSON
expect 200 "$json" /api/books
expect 200 '"count":48' /api/books
expect 200 '{"books":[],"count":0}' '/api/books?q=zebra'
expect 200 '{"author":"Jane Austen","price":"11.90","slug":"emma","subjects":["novel","comedy"],"title":"Emma","year":1815}' \
    /api/books/emma
expect 404 '{"error":"There is no such book."}' /api/books/none
expect 404 "$json" /api/nowhere
order='{"lines":[{"book":"emma","quantity":2},{"book":"walden","quantity":1}]}'
expect 200 '{"goods":"34.30","postage":"7.90","quantity":3,"rebate":"0.00","total":"42.20"}' /api/quote \
    --header "$json" --data "$order"
expect 200 '"total":"16.80"' /api/quote --header "$json; charset=utf-8" \
    --data ' { "note" : [ null , true , -1.5e2 , "\u00e9\ud83d\ude00\n" ] , "lines":[{"book":"\u0065mma","quantity":1e0}] } '
expect 415 'must be application/json' /api/quote --data "$order"

# not_json TEXT COMPLAINT
not_json() {
    expect 400 "{\"error\":\"$2" /api/quote --header "$json" --data-binary "$1"
}
not_json '' 'this is no value at byte 1'
not_json '{"lines":[}' 'this is no value at byte 11'
not_json '{"lines":[1 2]}' "',' or ']' is missing at byte 13"
not_json '{"lines" 1}' "':' is missing at byte 10"
not_json '{lines:1}' 'a key is missing at byte 2'
not_json '{"a":1,}' 'a key is missing at byte 8'
not_json '[1,2,]' 'this is no value at byte 6'
not_json '[01]' 'this is no value at byte 2'
not_json '"open' 'a string does not end at byte 6'
not_json '"\x"' 'an unknown escape at byte 2'
not_json '"\ud800"' 'half a surrogate pair at byte 8'
not_json $'"\t"' 'a control character in a string at byte 2'
not_json '{} {}' 'something follows the value at byte 4'
not_json $'"\xff"' 'this is not UTF-8 at byte 2'
not_json "$(printf '[%.0s' {1..1000})" 'a value is too deep at byte 65'
unprocessable() {
    expect 422 "$2" /api/quote --header "$json" --data "$1"
}
unprocessable 'null' "an order has 'lines'"
unprocessable '{"lines":[]}' "an order has 'lines'"
unprocessable '{"lines":{"a":1}}' "an order has 'lines'"
unprocessable '{"lines":[5]}' 'a line is an object'
unprocessable '{"lines":[{"book":5}]}' 'a book is missing'
unprocessable '{"lines":[{"book":"none"}]}' "no book named 'none'"
unprocessable '{"lines":[{"book":"emma","quantity":0.5}]}' 'whole number from 1 to 99'
expect 200 '"isolation":"rewind"' /status
expect 200 '"limit_bytes":67108864' /status

# HEAD, a client of HTTP/1.0
[[ $(ask --head "$url/books/kim") == *'Content-Length: '* ]] || complain 'HEAD has no length'
expect 200 'Connection: close' /books/kim --http1.0

# Random numbers are seeded anew after each rollback.
picks=$(ask --write-out '%{redirect_url}\n' "$url/random?[1-30]" | sort -u | wc -l)
((picks > 5)) || complain "30 random books are $picks different ones"

# One connection for many requests, and many connections.
connects=$(ask --output "$scratch/answer" --write-out '%{num_connects}\n' "$url/books?page=[1-4]" "$url/" "$url/nowhere" |
    awk '{ sum += $1 } END { print sum }')
((connects == 1)) || complain "$connects connections, although they may stay open"
mkdir "$scratch/parallel"
ask --parallel --parallel-max 100 --output "$scratch/parallel/#1" "$url/books/emma?[1-500]" 2>/dev/null ||
    complain 'not all of 500 parallel requests are answered'
ask --output "$scratch/emma" "$url/books/emma"
equal=0
for answer in "$scratch/parallel/"*; do
    cmp --silent "$answer" "$scratch/emma" && equal=$((equal + 1))
done
((equal == 500)) || complain "$equal of 500 parallel answers are right"

[[ ! -s $scratch/log ]] || complain "the log is not empty: $(cat "$scratch/log")"
stop
((failures == 0))
