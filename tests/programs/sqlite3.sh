#!/usr/bin/env bash
# sqlite3 runs generated statements, of the kinds that its own speed test has: what it prints and the database that it
# writes must be equal to the byte, and the database sound.
# usage: sqlite3.sh HAKMEM_RUN [fast|full]      in the project's root; full: 6 times as many rows
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# write_statements ROWS
write_statements() {
    awk -v rows="$1" '
        function random(below) { seed = (seed * 1103515245 + 12345) % 2147483648; return int(seed / 65536) % below }
        function words(count,   i, all) {
            all = ""
            for (i = 0; i < count; i++) all = all (i ? " " : "") word[random(12)]
            return all
        }
        BEGIN {
            seed = 11
            split("zero one two three four five six seven eight nine ten eleven", list, " ")
            for (i = 1; i <= 12; i++) word[i - 1] = list[i]
            print "PRAGMA page_size=4096; PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF;"
            print "CREATE TABLE a(id INTEGER PRIMARY KEY, number INTEGER, text TEXT, blob BLOB);"
            print "CREATE TABLE b(id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a, price REAL);"
            print "CREATE VIRTUAL TABLE searched USING fts5(body);"
            print "BEGIN;"
            for (i = 1; i <= rows; i++) {
                size = random(20) == 0 ? 20000 : 50
                printf "INSERT INTO a VALUES(%d, %d, \047%s\047, zeroblob(%d));\n", i, random(100000), \
                    words(1 + random(30)), size
                printf "INSERT INTO b VALUES(%d, %d, %d.25);\n", i, 1 + random(rows), random(1000)
            }
            print "COMMIT; BEGIN;"
            for (i = 1; i <= rows / 4; i++) {
                printf "UPDATE a SET text = text || \047%s\047, number = number + %d WHERE id = %d;\n", words(8), \
                    random(9), 1 + random(rows)
                if (i % 3 == 0) printf "DELETE FROM b WHERE id = %d;\n", 1 + random(rows)
                if (i % 50 == 0) print "SAVEPOINT s; DELETE FROM a WHERE id % 3 = 0; ROLLBACK TO s; RELEASE s;"
            }
            print "COMMIT;"
            print "CREATE INDEX a_number ON a(number); CREATE INDEX a_text ON a(text); ANALYZE;"
            print "INSERT INTO searched SELECT text FROM a;"
            print "SELECT count(*) FROM searched WHERE searched MATCH \047seven NEAR eleven\047;"
            for (i = 0; i < rows / 20; i++) {
                printf "SELECT count(*), avg(number), min(text) FROM a WHERE text LIKE \047%%%s%%\047;\n", words(2)
                printf "SELECT sum(price), count(*) FROM a JOIN b ON b.a_id = a.id" \
                    " WHERE a.number BETWEEN %d AND %d;\n", i * 100, i * 100 + 3000
            }
            print "SELECT id, text, row_number() OVER (PARTITION BY number % 7 ORDER BY text, id) FROM a"
            print "    ORDER BY 3, 1 LIMIT 500;"
            print "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)"
            print "    SELECT sum(x), group_concat(x) FROM n;"
            print "SELECT json_group_array(json_object(\047id\047, id, \047text\047, text))"
            print "    FROM (SELECT * FROM a ORDER BY id LIMIT 300);"
            print "VACUUM; PRAGMA integrity_check; PRAGMA foreign_key_check;"
        }'
}

work() {
    write_statements "$1" >statements.sql
    "${on[@]}" sqlite3 -bail data.db <statements.sql >answers
    "${on[@]}" sqlite3 data.db .dump >dump.sql
    "${on[@]}" sqlite3 restored.db <dump.sql
    "${on[@]}" sqlite3 restored.db 'PRAGMA integrity_check'
    [[ $(tail -n 1 answers) == ok ]]
}

has_hakmem 1 sqlite3 :memory: 'SELECT 1'
if [[ $extent == fast ]]; then
    compare '2000 rows' work 2000
else
    compare '12000 rows' work 12000
fi
finish
