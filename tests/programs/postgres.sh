#!/usr/bin/env bash
# PostgreSQL: initdb, and a server with parallel queries, sorts, hashes and compiled expressions (LLVM). With one client
# and a fixed seed pgbench leaves the same tables; with eight clients its sums agree, also after a crash and recovery.
# usage: postgres.sh HAKMEM_RUN [fast|full]      as root: it runs as nobody; full: more of all
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $programs/initdb ]] || {
    echo "$name: no /usr/lib/postgresql/*/bin/initdb: install the package postgresql" >&2
    exit 1
}
export PATH=$programs:$PATH PGHOST=$here PGDATABASE=postgres PGUSER=postgres

# PostgreSQL refuses to be root, and another user may not be allowed to see the folder that hakmem was built in.
unprivileged=()
if ((EUID == 0)); then
    unprivileged=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chmod 755 "$scratch"
    mkdir -p "$scratch/hakmem_build/bin" "$scratch/hakmem_build/lib"
    cp "$hakmem_run" "$scratch/hakmem_build/bin/"
    cp "$(dirname "$hakmem_run")/../lib/"libhakmem*.so* "$scratch/hakmem_build/lib/"
    hakmem_run=$scratch/hakmem_build/bin/hakmem-run
fi

scale=2 transactions=300 clients=8
[[ $extent == fast ]] || { scale=10 transactions=3000; }

query() {
    psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"
}

serve() {
    start_server "${unprivileged[@]}" "${on[@]}" postgres -D data -k "$here" -c listen_addresses= -c fsync=off \
        -c jit_above_cost=1000 -c max_parallel_workers_per_gather=2 -c parallel_setup_cost=10 \
        -c min_parallel_table_scan_size=8kB
    ready query -c 'SELECT 1'
    server_has_hakmem
}

ask_all() {
    cat <<'SQL'
SELECT md5(string_agg(aid || ' ' || bid || ' ' || abalance, ',' ORDER BY aid)) FROM pgbench_accounts;
SELECT md5(string_agg(t::text, ',' ORDER BY tid)) FROM pgbench_tellers t;
SELECT md5(string_agg(b::text, ',' ORDER BY bid)) FROM pgbench_branches b;
SELECT count(*), sum(delta), min(aid), max(tid) FROM pgbench_history;
SET work_mem = '256kB';
SELECT md5(string_agg(x, ',')) FROM (SELECT md5(aid::text) x FROM pgbench_accounts ORDER BY 1) s;
SELECT count(*), sum(a.abalance + b.bid) FROM pgbench_accounts a JOIN pgbench_accounts b ON a.aid = b.aid + 1;
SET work_mem = '64MB'; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0;
SELECT aid % 97 AS k, count(*), sum(abalance * 2 + bid - 1), max(filler) IS NULL FROM pgbench_accounts
    GROUP BY 1 ORDER BY 1;
SELECT jsonb_object_agg(k, v) FROM (SELECT aid::text k, jsonb_build_object('b', bid, 'l', array_agg(abalance)) v
    FROM pgbench_accounts WHERE aid < 2000 GROUP BY aid, bid ORDER BY aid) s;
SELECT regexp_replace(repeat('abc def ', 3000), '(\w+) (\w+)', '\2 \1', 'g') ~ 'def abc', length(repeat('x', 50000000));
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 50000)
    SELECT sum(n), md5(string_agg(n::text, '')) FROM t;
DO $$ BEGIN
    FOR i IN 1..2000 LOOP
        BEGIN PERFORM 1 / (i % 2); EXCEPTION WHEN division_by_zero THEN NULL; END;
    END LOOP;
END $$;
SELECT name, setting FROM pg_settings WHERE name IN ('jit', 'server_encoding');
SQL
}

# What each transaction adds to an account it adds to a teller, a branch and the history as well.
sums_agree() {
    query -c "SELECT CASE WHEN a = t AND t = b AND b = h THEN 'sums agree' ELSE concat_ws(' ', a, t, b, h) END FROM
        (SELECT sum(abalance) a FROM pgbench_accounts) a, (SELECT sum(tbalance) t FROM pgbench_tellers) t,
        (SELECT sum(bbalance) b FROM pgbench_branches) b, (SELECT sum(delta) h FROM pgbench_history) h"
}

is_loaded() {
    [[ $(query -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'") == 4 ]]
}

work() {
    [[ ${#unprivileged[@]} == 0 ]] || chown nobody "$here"
    "${unprivileged[@]}" "${on[@]}" initdb --no-sync --locale=C --encoding=UTF8 --username=postgres -D data \
        >initdb.log 2>&1
    serve
    "${on[@]}" pgbench --initialize --quiet --scale="$scale" 2>pgbench.log
    "${on[@]}" pgbench --no-vacuum --random-seed=7 --transactions="$transactions" >>pgbench.log 2>&1
    ask_all | query | tee answers | sha256sum
    "${on[@]}" pgbench --no-vacuum --random-seed=8 --client="$clients" --jobs=2 --transactions="$transactions" \
        --protocol=prepared >pgbench.log 2>&1
    grep -E '^number of (transactions actually processed|failed transactions)' pgbench.log
    sums_agree
    pg_dump | "${on[@]}" sed -n '/^COPY public.pgbench_branches/,/^\\\.$/p' | head -n 1
    # A process of it dies in the middle: the server starts all others anew.
    "${on[@]}" pgbench --no-vacuum --client=4 --jobs=2 --time=600 >pgbench.log 2>&1 &
    local load=$!
    ready is_loaded
    kill -KILL "$(query -c "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' LIMIT 1")"
    wait "$load" || true
    ready query -c 'SELECT 1'
    sums_agree
    server_ends INT
    serve
    sums_agree
    query -c 'VACUUM FULL ANALYZE'
    server_ends INT
    rm -rf data initdb.log pgbench.log server.log .s.PGSQL*
}

compare "pgbench, scale $scale" work
finish
