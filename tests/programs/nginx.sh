#!/usr/bin/env bash
# nginx with two workers: pages, compressed and not, ranges, includes, substitutions, a large upload, requests passed on
# to itself must be answered alike; then wrk asks for some seconds, without one error, before and after new workers have
# taken over from the first ones.
# usage: nginx.sh HAKMEM_RUN [fast|full]      full: wrk runs longer
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

seconds=2
[[ $extent == fast ]] || seconds=15

# nginx does not say which port it was given, so it inherits a socket that has one already: no port is free for others.
write_starter() {
    cat >start.py <<'PYTHON'
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(512)
listener.setblocking(False)  # as nginx takes for granted
os.set_inheritable(listener.fileno(), True)
port = listener.getsockname()[1]
with open("nginx.conf.in") as template, open("nginx.conf", "w") as configuration:
    configuration.write(template.read().replace("@port@", str(port)))
with open("port", "w") as file:
    file.write(str(port))
os.environ["NGINX"] = f"{listener.fileno()};"
os.execvp(sys.argv[1], sys.argv[1:])
PYTHON
}

write_configuration() {
    cat >nginx.conf.in <<CONFIGURATION
daemon off; worker_processes 2; error_log $PWD/error.log; pid $PWD/pid; user root;
events { worker_connections 512; }
http {
    access_log $PWD/access.log; default_type text/plain; root $PWD/pages; etag off; server_tokens off;
    client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4;
    scgi_temp_path $PWD/t5; client_max_body_size 50m; gzip_types text/plain; gzip_comp_level 6; gzip_min_length 100;
    proxy_cache_path $PWD/cache keys_zone=cache:1m; map_hash_bucket_size 128;
    map \$uri \$mapped { default none; ~^/mapped/(?<rest>.*)\$ \$rest; }
    server {
        listen 127.0.0.1:@port@;
        location / { gzip on; }
        location /includes/ { ssi on; ssi_types text/plain; }
        location /replaced/ {
            alias $PWD/pages/; sub_filter_types text/plain; sub_filter 'line' 'LINE'; sub_filter_once off;
        }
        location /passed/ {
            proxy_pass http://127.0.0.1:@port@/; proxy_cache cache; proxy_cache_valid 200 1m; gzip on;
        }
        location /upload/ { proxy_pass http://127.0.0.1:@port@/dav/; proxy_request_buffering on; }
        location /mapped/ { return 200 "\$mapped \$arg_x\n"; }
        location /moved/ { rewrite ^/moved/(.*)\$ /mapped/\$1?x=\$1 last; }
        location /dav/ { alias $PWD/dav/; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
    }
}
CONFIGURATION
}

write_pages() {
    mkdir -p pages/includes dav
    seq -f 'line %g of a page that can be compressed' 1 3000 >pages/large
    seq -f 'line %g' 1 100 >pages/small
    echo '<!--#set var="x" value="7" --><!--#include virtual="/small" --><!--#echo var="x" -->' >pages/includes/page
    : >pages/empty
    touch -d @1700000000 pages/* pages/includes/*
}

# ask PATH [CURL-ARGUMENT...]: the answer with its headers, the first of it and a digest of all; without times and the
# server's name and port, and without what separates the parts of an answer, which comes from a random number.
ask() {
    echo "$*"
    curl --silent --show-error --max-time 60 --include "${@:2}" "$url$1" | sed -E \
        -e '/^(Date|Server|Last-Modified): /d' -e "s#$url##" -e 's/boundary=[0-9]+/boundary=/' \
        -e 's/^--[0-9]{20}/--/' >answer
    head -c 1000 answer | tr -dc '[:print:]\n'
    sha256sum <answer
}

ask_all() {
    local path paths
    paths=(large small empty nowhere includes/page replaced/large passed/large passed/large mapped/abc moved/abc)
    for path in "${paths[@]}"; do
        ask "/$path"
        ask "/$path" --header 'Accept-Encoding: gzip'
        ask "/$path" --header 'Range: bytes=100-200,300-5000'
        ask "/$path" --http1.0 --head
    done
    seq 1 1000000 >body
    ask /upload/other/file --upload-file body
    ask /dav/some/where/file --upload-file body
    ask /dav/some/where/file
    ask /dav/some/where/file --request DELETE
    ask /large --header "Long: $(printf '%07000d' 0)"
    ask /large --header "Longer: $(printf '%09000d' 0)"
}

# load PATH [WRK-ARGUMENT...]
load() {
    wrk --timeout 30s --threads 2 --connections 32 --duration "${seconds}s" "${@:2}" "$url$1"
}

workers() {
    tr ' ' '\n' <"/proc/$server_pid/task/$server_pid/children" | sort
}

workers_have_hakmem() {
    local pid
    for pid in $(workers); do
        server_has_hakmem "$pid"
    done
}

# workers_are_new OLD: none of those is left, and there are others.
workers_are_new() {
    local now
    now=$(workers)
    [[ -n $now && -z $(comm -12 <(echo "$1") <(echo "$now")) ]]
}

work() {
    write_starter
    write_configuration
    write_pages
    start_server "${on[@]}" python3 start.py nginx -p "$PWD" -c "$PWD/nginx.conf"
    ready test -s port
    url=http://127.0.0.1:$(<port)
    ready curl --silent --fail "$url/small"
    server_has_hakmem
    workers_have_hakmem
    ask_all
    load /large --header 'Accept-Encoding: gzip' >wrk1 &
    local first=$!
    load /passed/small >wrk2
    wait "$first"
    local old
    old=$(workers)
    kill -HUP "$server_pid"
    ready workers_are_new "$old"
    load /includes/page >wrk3
    # There has been work, and nothing but answers of 200.
    ! grep -hE 'Socket errors|Non-2xx' wrk?
    grep -cE ' [1-9][0-9]* requests in ' wrk1 wrk2 wrk3
    ask_all
    server_ends QUIT
    grep -E 'signal (6|11)|\[(alert|emerg|crit)\]' error.log || echo 'no alert in the log'
    rm -rf answer port nginx.conf wrk? access.log error.log server.log body cache dav pages t?
}

compare "pages and wrk for 3 times $seconds s" work
finish
