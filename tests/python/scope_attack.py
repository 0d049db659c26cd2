"""Runs diverse code under limits that it hits at many places; a program, since CPython itself may be what breaks.

usage: scope_attack.py FIRST_KIB LAST_KIB STEP_KIB [WORKLOAD]...
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import sys
import warnings

import hakmem
import scope_workloads


def check(scope: hakmem.Scope) -> None:
    handle = hakmem.ffi.cast("hk_arena *", scope._core.handle)
    assert hakmem.lib.hk_arena_check(handle) == hakmem.lib.HK_OK
    assert hakmem.lib.hk_arena_check(hakmem.lib.hk_arena_default()) == hakmem.lib.HK_OK


def main() -> None:
    first, last, step = (int(word) for word in sys.argv[1:4])
    workloads = [work for work in scope_workloads.ALL if not sys.argv[4:] or work.__name__ in sys.argv[4:]]
    chance = random.Random(first)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    for work in workloads:
        work()
    refused = passed = 0
    kept_errors: dict[tuple[str, str], int] = {}
    for kib in range(first, last + 1, step):
        for work in workloads:
            ballast = [chance.randrange(1, 600) for _ in range(chance.randrange(30))]
            scope = hakmem.limit(kib << 10)
            os.write(2, f"{kib} {work.__name__}\n".encode())
            try:
                with scope:
                    kept = [bytes(size) for size in ballast]
                    work()
                passed += 1
            except MemoryError:
                refused += 1
            except SystemError as error:
                kept_errors[work.__name__, str(error)[:100]] = kept_errors.get((work.__name__, str(error)[:100]), 0) + 1
            except BaseException as error:
                key = work.__name__, type(error).__name__ + str(error)[:100]
                kept_errors[key] = kept_errors.get(key, 0) + 1
            kept = []
            assert hakmem._native.Scope.current() is None
            check(scope)
            assert not kept
    for work in workloads:
        work()
    gc.collect()
    print(refused, passed, kept_errors)


main()
