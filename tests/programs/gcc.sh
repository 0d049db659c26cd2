#!/usr/bin/env bash
# gcc, its assembler and its linker compile hakmem's core: the objects must be equal to the byte.
# usage: gcc.sh HAKMEM_RUN [fast|full]      in the project's root; full: every file, also -O3 -g, -flto and C++
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"
. "$(dirname "${BASH_SOURCE[0]}")/compilers.bash"
compiler=gcc
compiler_xx=g++
compare_compiler 3
