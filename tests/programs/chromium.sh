#!/usr/bin/env bash
# chromium, without a window, draws a page with a canvas, fonts and a script: the picture must be equal to the byte.
#
# What this is no test of: chromium's executable has a malloc of its own (PartitionAlloc) and exports its names
# (nm --dynamic), so that the dynamic linker binds all libraries to those before any that are preloaded; the processes
# named chromium have hakmem mapped and hold nothing in it, which the last line of the output says again. It is a test
# that hakmem stays out of the way there, with the few names that chromium lacks (reallocarray) and the others have, and
# of the dozen programs that chromium's start script calls.
# usage: chromium.sh HAKMEM_RUN [fast|full]
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

write_page() {
    cat <<'HTML'
<!DOCTYPE html><html><body style="background: #eef"><h1>Squares</h1><canvas id="c" width="300" height="200"></canvas>
<p id="p"></p><script>
const drawn = document.getElementById('c').getContext('2d');
for (let i = 0; i < 100; i++) { drawn.fillStyle = `hsl(${i * 3}, 80%, 50%)`; drawn.fillRect(i * 3, i * 2, 20, 20); }
const words = [...Array(20000)].map((_, i) => 'w' + (i * 7919) % 1000);
const count = new Map(); for (const word of words) count.set(word, (count.get(word) ?? 0) + 1);
document.getElementById('p').append(JSON.stringify([...count].sort().slice(0, 200)));
</script></body></html>
HTML
}

screenshot() {
    write_page >page.html
    "${on[@]}" chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/data" --screenshot="$PWD/page.png" \
        --window-size=800,600 "file://$PWD/page.html" >log 2>&1
    [[ -s page.png ]]
    # A profile, and a log of times and of services that are not there.
    rm -rf data log
}

# Each run finds out how much of it is on hakmem.
tell_use() {
    "$hakmem_run" --stats chromium --headless --no-sandbox --disable-gpu --user-data-dir="$scratch/data" \
        --dump-dom about:blank 2>&1 >/dev/null | awk -v name="$name" '
        /^memory of / { is_chromium = $3 == "chromium,"; processes += is_chromium }
        is_chromium && $1 == "peak_held_bytes" { bytes += $2 }
        END { printf "%s: %d processes of chromium itself have held %d bytes in hakmem\n", name, processes, bytes
              exit processes == 0 }' || complain 'no process of chromium has the library'
}

compare 'picture of a page' screenshot
tell_use
finish
