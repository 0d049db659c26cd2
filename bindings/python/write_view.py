"""Writes the C source of CFFI's view of hakmem.h, which is taken from the header as the C compiler has read it.

usage: write_view.py PREPROCESSED-HEADER C-SOURCE      the former as `cc -E -dD` has it, with line markers
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cffi import FFI

MARKER = re.compile(r'# \d+ "([^"]*)"')
INTEGER_CONSTANT = re.compile(r"#define HK_[A-Z_]+ \d+$")
ATTRIBUTE = re.compile(r"__attribute__\(\([^()]*(?:\([^()]*\))?\)\)")


def declarations(preprocessed: str) -> Iterator[str]:
    """The lines that come from hakmem.h itself, without what CFFI does not read."""
    inside = False
    for line in preprocessed.splitlines():
        marker = MARKER.match(line)
        if marker:
            inside = marker[1].endswith("hakmem.h")
        elif inside and (not line.startswith("#") or INTEGER_CONSTANT.match(line)):
            yield ATTRIBUTE.sub("", line)


def main() -> None:
    """Reads the one file, writes the other."""
    preprocessed, source = map(Path, sys.argv[1:])
    ffi = FFI()
    ffi.cdef("\n".join(declarations(preprocessed.read_text(encoding="utf-8"))))
    ffi.set_source("hakmem._view", '#include "hakmem.h"')
    ffi.emit_c_code(str(source))


if __name__ == "__main__":
    main()
