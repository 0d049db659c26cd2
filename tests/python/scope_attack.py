"""Runs diverse code under limits that it hits at many places. A program, as CPython itself may be what breaks.

usage: scope_attack.py [process] FIRST_KIB LAST_KIB STEP_KIB [WORKLOAD]...
                                      process: what is left of the limit of `python -m hakmem run --limit` instead

What it tolerates beside MemoryError is what CPython raises where it has forgotten to, and what libraries make of it:
`_testcapi.set_nomemory` shows the same, without hakmem. The last line on standard error says where it was.
"""

from __future__ import annotations

import collections
import contextlib
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


def within_scope(scope: hakmem.Scope, work: Callable[[], None], _kib: int, ballast: list[int]) -> None:
    with scope:
        kept = [bytes(size) for size in ballast]
        work()
        del kept


def within_process(_scope: hakmem.Scope, work: Callable[[], None], kib: int, ballast: list[int]) -> None:
    filling: list[bytes] = []
    for size in (1 << 20, 1 << 13):  # what is larger than the blocks that a limit has a reserve for
        with contextlib.suppress(MemoryError):
            while True:
                filling.append(bytes(size - 64))
    room = kib << 10
    while room > 0:
        room -= len(filling.pop()) + 64
    try:
        filling += [bytes(size) for size in ballast]
        work()
    finally:
        filling.clear()


def outcome_of(attack: Callable[..., None], work: Callable[[], None], kib: int, ballast: list[int]) -> str:
    """What came of it: a limit, and some blocks before, so that it is hit elsewhere each time."""
    outcome = "passed"
    scope = hakmem.limit(kib << 10)
    try:
        attack(scope, work, kib, ballast)
    except MemoryError:
        outcome = "refused"
    except SystemError as error:
        assert "without" in str(error), error
        outcome = "forgotten"
    except (RuntimeError, ImportError, AssertionError) as error:
        outcome = f"{work.__name__}: {type(error).__name__}: {str(error)[:60]}"
    assert _native.Scope.current() is None
    check(scope)
    return outcome


def main() -> None:
    words = sys.argv[1:]
    attack = within_process if words[0] == "process" else within_scope
    words = words[1:] if attack is within_process else words
    first, last, step = (int(word) for word in words[:3])
    workloads = [work for work in scope_workloads.ALL if not words[3:] or work.__name__ in words[3:]]
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
            outcomes[outcome_of(attack, work, kib, ballast)] += 1
    for work in workloads:
        work()
    gc.collect()
    print(dict(outcomes))


if __name__ == "__main__":
    main()
