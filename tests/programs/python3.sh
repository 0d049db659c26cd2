#!/usr/bin/env bash
# A slice of Python's own test suite, with Python's small-block allocator on top of malloc and without it
# (PYTHONMALLOC=malloc): each test case must end as it does in the plain run.
# usage: python3.sh HAKMEM_RUN [fast|full]      full: many more modules without the small-block allocator
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# Modules with many allocations of many kinds, threads, processes, or C libraries below them.
fast=(list dict json gc thread threading_local)
full=(
    "${fast[@]}" threading
    array ast base64 binascii bisect buffer builtin bytes bz2 call cmath codecs collections compile copy csv ctypes
    dataclasses decimal deque descr dictviews difflib email enum enumerate exceptions fork1 format fractions fstring
    functools generators genexps grammar hash hashlib heapq html htmlparser iter itertools keyword locale long lzma
    marshal math memoryio memoryview mmap named_expressions opcodes operator ordered_dict pickle picklebuffer
    pickletools plistlib pprint queue random range re reprlib richcmp scope set shelve slice sort sqlite3 statistics str
    string struct structseq subprocess super symtable syntax sys tarfile tempfile textwrap tokenize trace traceback tuple
    typing unicodedata unparse userdict userlist uuid weakref weakset xml_etree xml_etree_c zipfile zipimport zlib
)

# run_tests MODULE...: leaves a line for each case, and its outcome, without the seconds. Two run at a time. Cases may
# fail, as some of str and sqlite3 do with any malloc when PYTHONMALLOC=malloc; then the same ones do on hakmem.
run_tests() {
    "${on[@]}" python3 -m test -j2 --randseed 1 --junit-xml report.xml "${@/#/test_}" >log 2>&1 || true
    awk 'BEGIN { RS = "<testcase " } NR > 1 {
        name = $0; sub(/.*name="/, "", name); sub(/".*/, "", name)
        print name, /<skipped/ ? "skipped" : /<(failure|error)/ ? "FAILED" : "passed"
    }' report.xml | sort >cases
    grep -E '^Result: |^Tests result: ' log
    [[ $(grep -c passed cases) -gt 100 ]]
    rm -f log report.xml
}

run_with_malloc() {
    export PYTHONMALLOC=malloc
    run_tests "$@"
}

has_hakmem 1 python3 -c 'print(len([str(i) for i in range(10000)]))'
declare -n modules=$extent
compare 'pymalloc' run_tests "${fast[@]}"
compare 'PYTHONMALLOC=malloc' run_with_malloc "${modules[@]}"
finish
