#!/usr/bin/env bash
# clang, with LLVM in its own process, compiles hakmem's core: the objects must be equal to the byte.
# usage: clang.sh HAKMEM_RUN [fast|full]      in the project's root; full: every file, also -O3 -g, -flto and C++
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"
. "$(dirname "${BASH_SOURCE[0]}")/compilers.bash"
compiler=clang
compiler_xx=clang++
compare_compiler 1
