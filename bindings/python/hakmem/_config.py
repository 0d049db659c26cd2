"""Where the package has what extension modules, and C programs, are built with."""

from __future__ import annotations

import shlex
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from hakmem import _native

# Beside the native part: in an editable installation, that is elsewhere than the Python code.
_PREFIX = Path(str(_native.__file__)).resolve().parent


def get_include() -> str:
    """The folder of `hakmem_python.h`, for extension modules, and `hakmem.h`."""
    return str(_PREFIX / "include")


def get_library() -> str:
    """The static library, for C programs and libraries that want an allocator of their own.

    What is linked with it shares nothing with this package: neither frees what the other has allocated. Extension
    modules that are to share the package's allocator need no library, but `hakmem_import()` of `hakmem_python.h`.
    """
    return str(_PREFIX / "lib" / "libhakmem.a")


def get_cmake_dir() -> str:
    """The folder of the CMake package: `cmake -Dhakmem_DIR=...`, then `find_package(hakmem CONFIG)`.

    `hakmem::python` is for extension modules, `hakmem::static` for those who want an allocator of their own.
    """
    return str(_PREFIX / "lib" / "cmake" / "hakmem")


def as_arguments(kinds: Sequence[str]) -> str:
    """What `python -m hakmem config` prints: a line for each of "includes", "cmakedir" and "libs"."""
    lines = {
        "includes": shlex.join(f"-I{folder}" for folder in (sysconfig.get_path("include"), get_include())),
        "cmakedir": get_cmake_dir(),
        "libs": shlex.join([get_library(), "-pthread", "-Wl,-z,nodelete"]),
    }
    return "\n".join(lines[kind] for kind in kinds)
