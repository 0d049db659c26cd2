#!/usr/bin/env bash
# redis-server, with a fixed set of keys of every type, threads that free, a script, a fork that saves: the digest of
# its data, which also survives saving and loading, must be equal. Then redis-benchmark on it, with no error.
# usage: redis.sh HAKMEM_RUN [fast|full]      full: more keys, more requests, two threads for connections
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# write_commands KEYS: of all types, in sizes that change, with deletions and copies, from a fixed seed.
write_commands() {
    awk -v keys="$1" '
        function random(below) { seed = (seed * 1103515245 + 12345) % 2147483648; return int(seed / 65536) % below }
        function text(size,   all) { all = "value" random(1000); while (length(all) < size) all = all all; return all }
        BEGIN {
            seed = 3
            for (i = 0; i < keys; i++) {
                print "SET string:" i, text(random(8) ? 20 : 3000)
                print "APPEND string:" random(keys), text(200)
                print "HSET hash:" random(keys / 10), "field" random(300), text(10), "field" random(300), text(90)
                print "RPUSH list:" random(keys / 10), text(30), text(100), i
                print "SADD set:" random(keys / 10), random(100000), "member" i
                print "ZADD sorted:" random(keys / 10), random(1000), "member" random(2000)
                print "XADD stream:" random(keys / 50), (i + 1) "-1", "field", text(40)
                print "SETBIT bits:" random(10), random(100000), 1
                print "PFADD counter:" random(10), i
                if (i % 3 == 0) print "DEL string:" random(keys)
                if (i % 7 == 0) print "UNLINK hash:" random(keys / 10), "list:" random(keys / 10)
                if (i % 11 == 0) print "COPY set:" random(keys / 10), "set:" random(keys / 10), "REPLACE"
                if (i % 13 == 0) print "SINTERSTORE set:both set:" random(keys / 10), "set:" random(keys / 10)
                if (i % 17 == 0) print "LTRIM list:" random(keys / 10), 1, -2
            }
            print "EVAL \"local t = {} for i = 1, 20000 do t[i % 100] = string.rep(i, i % 50) end" \
                " redis.call(\047SET\047, KEYS[1], table.concat(t, \047,\047, 1, 99)) return 7\" 1 script"
        }'
}

ask() {
    redis-cli -s "$PWD/socket" "$@"
}

# Answered PONG only when it has loaded its data.
answers() {
    [[ $(ask PING) == PONG ]]
}

serve() {
    start_server "${on[@]}" redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' \
        --enable-debug-command local --lazyfree-lazy-server-del yes --set-max-intset-entries 64 "$@"
    ready answers
    server_has_hakmem
}

benchmark() {
    local tests=set,get,incr,lpush,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset
    "${on[@]}" redis-benchmark -s "$PWD/socket" -n "$1" -c 20 -P 8 -r 5000 -d 200 -t "$tests" --csv >rates
    [[ $(cut -d, -f1 rates | tail -n +2 | wc -l) -ge 12 ]]
    ! grep -i error rates
    rm rates
}

work() {
    local keys=$1 requests=$2
    serve "${@:3}"
    write_commands "$keys" | ask >answers
    grep -ci '^ERR' answers || true
    ask DBSIZE
    ask DEBUG DIGEST
    ask DEBUG RELOAD
    ask DEBUG DIGEST
    ask BGREWRITEAOF >>answers
    benchmark "$requests"
    ask FLUSHALL ASYNC
    ask MEMORY PURGE
    write_commands 200 | ask >answers
    ask SAVE
    ask DEBUG DIGEST
    server_ends TERM
    # A new process loads what the last one has saved.
    serve
    ask DEBUG DIGEST
    server_ends TERM
    # Times and process ids are in the logs, random seeds in the rest.
    rm -rf server.log dump.rdb answers appendonlydir socket
}

has_hakmem 1 redis-cli --version
if [[ $extent == fast ]]; then
    compare '2000 keys' work 2000 10000
else
    compare '50000 keys' work 50000 100000
    compare 'two threads for connections' work 50000 100000 --io-threads 2 --io-threads-do-reads yes
fi
finish
