"""What the tests of limits and accounts have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hakmem
from hakmem import _native
from hakmem._native import ffi, lib

MIB = 1 << 20
IS_EARLY = os.environ.get("HAKMEM_TEST_EARLY") == "1"


def run_early(test_file: str) -> None:
    """The tests of a file again, under `python -m hakmem run`."""
    command = [sys.executable, "-m", "hakmem", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", test_file]
    environment = os.environ | {"HAKMEM_TEST_EARLY": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def handle_of(scope: hakmem.Scope) -> object:
    return ffi.cast("hk_arena *", scope._core.handle)


def check(scope: hakmem.Scope) -> None:
    for handle in (handle_of(scope), lib.hk_arena_default()):
        assert lib.hk_arena_check(handle) == lib.HK_OK


def held(scope: hakmem.Scope) -> int:
    return scope.statistics().held_bytes


def current() -> str | None:
    core = _native.Scope.current()
    if core is None:
        return None
    name = lib.hk_arena_name(ffi.cast("hk_arena *", core.handle))
    return str(ffi.string(name).decode())


def texts(count: int, size: int = 1000) -> list[bytes]:
    return [bytes(size) for _ in range(count)]


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)
