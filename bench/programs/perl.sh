#!/bin/sh
# Perl: strings, hashes, arrays, sorting, patterns.
# usage: perl.sh prepare|run [LINES]
if [ "$1" = prepare ]; then
    command -v perl >/dev/null || { echo 'perl is not here: apt install perl' >&2; exit 3; }
    exit 0
fi
export PERL_HASH_SEED=0 LD_PRELOAD="$HKBENCH_PRELOAD"
exec perl "$HKBENCH_PROGRAMS/perl.pl" "${2:-60000}"
