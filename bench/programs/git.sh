#!/bin/sh
# git packs a repository anew, with two threads: it reads every object, compares it with others, compresses it.
# usage: git.sh prepare|run [COMMITS]
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_DIR="$PWD/repository"
if [ "$1" = prepare ]; then
    command -v git >/dev/null || { echo 'git is not here: apt install git' >&2; exit 3; }
    git init --quiet --bare repository
    awk -v commits="${2:-400}" '
        function random(below) {
            seed = (seed * 16807) % 2147483647
            return seed % below
        }
        BEGIN {
            seed = 7
            for (i = 1; i <= commits; i++) {
                printf "commit refs/heads/main\nmark :%d\ncommitter A Name <name@example.org> %d +0000\n", i, 1e9 + i
                printf "data 7\nchange\n\n"
                if (i > 1)
                    printf "from :%d\n", i - 1
                for (k = 0; k < 4; k++) {
                    file = random(40)
                    for (j = 0; j < 20; j++)
                        line[file, random(400)] = "line " random(1000000) " of file " file ", " random(1000000)
                    text = ""
                    for (j = 0; j < 400; j++)
                        text = text line[file, j] "\n"
                    printf "M 100644 inline file%d\ndata %d\n%s\n", file, length(text), text
                }
            }
        }' | git fast-import --quiet
    exit $?
fi
export LD_PRELOAD="$HKBENCH_PRELOAD"
exec git -c pack.threads=2 repack -a -d -f -q --depth=50 --window=100
