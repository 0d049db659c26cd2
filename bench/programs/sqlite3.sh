#!/bin/sh
# sqlite3 with a database in memory: one statement for each row, indices, joins, groups, updates, deletions.
# usage: sqlite3.sh prepare|run [ROWS]
rows=${2:-120000}
if [ "$1" = prepare ]; then
    command -v sqlite3 >/dev/null || { echo 'sqlite3 is not here: apt install sqlite3' >&2; exit 3; }
    awk -v rows="$rows" '
        function random(below) {
            seed = (seed * 16807) % 2147483647
            return seed % below
        }
        BEGIN {
            seed = 42
            print "CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, price REAL);"
            print "CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT UNIQUE);"
            print "BEGIN;"
            for (i = 1; i <= rows / 20; i++)
                printf "INSERT INTO owner VALUES(%d, \047owner %d of %d\047);\n", i, i, random(1000)
            for (i = 1; i <= rows; i++)
                printf "INSERT INTO item VALUES(%d, %d, \047item %d, kind %d\047, %d.%02d);\n",
                    i, 1 + random(rows / 20), random(1000000), random(300), random(500), random(100)
            print "COMMIT;"
            print "CREATE INDEX item_owner ON item(owner);"
            print "CREATE INDEX item_name ON item(name, price);"
            for (i = 1; i <= rows / 8; i++)
                printf "SELECT count(*), max(price) FROM item WHERE owner = %d AND price > %d;\n",
                    1 + random(rows / 20), random(400)
            print "SELECT owner.name, sum(price), group_concat(item.name) FROM owner JOIN item ON item.owner = owner.id"
            print "  GROUP BY owner.id ORDER BY 2 DESC, 1 LIMIT 100;"
            print "UPDATE item SET name = name || \047, \047 || upper(name) WHERE id % 3 = 0;"
            print "DELETE FROM item WHERE id % 7 = 0;"
            print "SELECT substr(name, -6), count(*) FROM item GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50;"
        }' >statements.sql
    exit 0
fi
export LD_PRELOAD="$HKBENCH_PRELOAD"
exec sqlite3 -batch :memory: ".output results.txt" ".read statements.sql" ".output stdout" \
    "SELECT count(*), sum(length(name)), round(sum(price), 2) FROM item;"
