"""Arenas for Python: memory with limits, figures and checked frees, as buffers and NumPy arrays.

`Arena(limit="256MB", align=64).alloc("1MB")` is a buffer for memoryview, NumPy, struct, ctypes and sockets.
The manual is docs/python.md.
"""

from hakmem._arena import Arena, Block
from hakmem._config import get_cmake_dir, get_include, get_library
from hakmem._errors import ErrorPolicy, MisuseError, MisuseWarning, error_policy, set_error_policy
from hakmem._memory import install, installed_domains
from hakmem._native import _C_API as _C_API
from hakmem._native import Buffer, ffi, lib
from hakmem._numpy import numpy_arena
from hakmem._scopes import Scope, account, accounts, close_account, limit
from hakmem._sizes import parse_size
from hakmem._statistics import ClassStatistics, Statistics

__version__: str = ffi.string(lib.hk_version()).decode()

__all__ = [
    "Arena",
    "Block",
    "Buffer",
    "ClassStatistics",
    "ErrorPolicy",
    "MisuseError",
    "MisuseWarning",
    "Scope",
    "Statistics",
    "__version__",
    "account",
    "accounts",
    "close_account",
    "error_policy",
    "get_cmake_dir",
    "get_include",
    "get_library",
    "install",
    "installed_domains",
    "limit",
    "numpy_arena",
    "parse_size",
    "set_error_policy",
]
