#!/usr/bin/env bash
# git on a generated repository with thousands of objects: import, clone, gc, repack, log, blame, diff, merge, fsck.
# What it prints and the packs that it writes must be equal to the byte.
# usage: git.sh HAKMEM_RUN [fast|full]      in the project's root; full: more commits, and packing by two threads
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org GIT_AUTHOR_DATE='1700000000 +0000'
export GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org GIT_COMMITTER_DATE='1700000000 +0000'

# write_history COMMITS: for fast-import; each commit changes three of 200 files in 20 folders, on two branches.
write_history() {
    awk -v commits="$1" '
        function random(below) { seed = (seed * 1103515245 + 12345) % 2147483648; return int(seed / 65536) % below }
        function text(lines,   line, all) {
            all = ""
            for (line = 0; line < lines; line++) all = all "line " line " of " random(1000) " words " random(10) "\n"
            return all
        }
        BEGIN {
            seed = 7
            for (i = 1; i <= commits; i++) {
                branch = i % 10 < 7 ? "main" : "side"
                printf "commit refs/heads/%s\ncommitter Ann <ann@example.org> %d +0000\n", branch, 1600000000 + i * 60
                message = "Change number " i
                printf "data %d\n%s\n", length(message), message
                if (branch == "side" && !branched++) print "from refs/heads/main"
                for (j = 0; j < 3; j++) {
                    file = random(200)
                    content[file] = content[file] text(5 + random(20))
                    if (random(5) == 0) content[file] = text(40)
                    printf "M 100644 inline folder%d/file%d\n", file % 20, file
                    printf "data %d\n%s\n", length(content[file]), content[file]
                }
            }
        }'
}

# The output of all of it; the repositories are taken away, as indices hold times and inodes.
work() {
    local commits=$1 threads=$2
    write_history "$commits" >history
    "${on[@]}" git init --quiet --bare --initial-branch=main first.git
    "${on[@]}" git --git-dir=first.git fast-import --quiet --done < <(cat history && echo 'done')
    "${on[@]}" git clone --quiet --no-local first.git second
    cd second
    "${on[@]}" git log --all --stat --pretty='%H %s'
    "${on[@]}" git log --patch --find-copies-harder -C -n 30 | sha256sum
    "${on[@]}" git blame folder7/file107 | tail -n 3
    "${on[@]}" git grep --count 'words 7' | sort
    "${on[@]}" git merge --quiet --strategy-option=theirs --message=Merge origin/side
    "${on[@]}" git status
    "${on[@]}" git -c pack.threads="$threads" gc --quiet --aggressive --prune=now
    "${on[@]}" git -c pack.threads="$threads" repack -a -d -f --quiet --window=20 --write-bitmap-index
    "${on[@]}" git rev-list --all --objects | sha256sum
    "${on[@]}" git cat-file --batch-all-objects --batch-check | sha256sum
    "${on[@]}" git fsck --full --strict 2>&1
    "${on[@]}" git count-objects -v | grep -E '^(count|in-pack|packs|garbage):'
    # Which deltas two threads choose depends on which of them is faster.
    ((threads > 1)) || sha256sum .git/objects/pack/*.pack
    cd ..
    rm -rf first.git second history
}

has_hakmem 1 git --version
if [[ $extent == fast ]]; then
    compare '500 commits' work 500 1
else
    compare '4000 commits' work 4000 1
    compare '4000 commits, two threads' work 4000 2
fi
finish
