"""Runs diverse code under limits that it hits at many places. A program, as CPython itself may be what breaks.

usage: scope_attack.py FIRST_KIB LAST_KIB STEP_KIB [WORKLOAD]...

What it tolerates beside MemoryError is what CPython raises where it has forgotten to, and what libraries make of it:
`_testcapi.set_nomemory` shows the same, without hakmem. The last line on standard error says where it was.
"""

from __future__ import annotations

import collections
import faulthandler
import gc
import os
import random
import sys
import warnings
from collections.abc import Callable

import hakmem
import scope_workloads
from hakmem import _native
from scope_support import check


def attack(work: Callable[[], None], kib: int, ballast: list[int]) -> str:
    """What came of it: a limit, and some blocks before, so that it is hit elsewhere each time."""
    outcome = "passed"
    scope = hakmem.limit(kib << 10)
    try:
        with scope:
            kept = [bytes(size) for size in ballast]
            work()
    except MemoryError:
        outcome = "refused"
    except SystemError as error:
        assert "without" in str(error), error
        outcome = "forgotten"
    except (RuntimeError, ImportError, AssertionError) as error:
        outcome = f"{work.__name__}: {type(error).__name__}: {str(error)[:60]}"
    kept = []
    assert not kept and _native.Scope.current() is None
    check(scope)
    return outcome


def main() -> None:
    first, last, step = (int(word) for word in sys.argv[1:4])
    workloads = [work for work in scope_workloads.ALL if not sys.argv[4:] or work.__name__ in sys.argv[4:]]
    chance = random.Random(first)
    outcomes: collections.Counter[str] = collections.Counter()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    for work in workloads:
        work()
    for kib in range(first, last + 1, step):
        for work in workloads:
            ballast = [chance.randrange(1, 600) for _ in range(chance.randrange(30))]
            os.write(2, f"{kib} {work.__name__}\n".encode())
            outcomes[attack(work, kib, ballast)] += 1
    for work in workloads:
        work()
    gc.collect()
    print(dict(outcomes))


if __name__ == "__main__":
    main()
