"""Prints how many more instructions work takes within a limit, by callgrind: what two numbers of rounds differ by, so
that starts and ends do not count. CPython's memory comes from hakmem in both cases.

usage: scope_cost.py [WORK]...
"""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable

import hakmem

FEW, MANY, WARM_UP = 5, 25, 10

_TABLE = {"rows": [{"id": i, "name": f"name {i}", "tags": [f"a{i}", "b", "c"], "x": i / 7} for i in range(60)]}
_TEXT = json.dumps(_TABLE)
_PICKLED = pickle.dumps(_TABLE)


class Node:
    def __init__(self, number: int, below: Node | None) -> None:
        self.number = number
        self.below = below


def loads() -> None:
    json.loads(_TEXT)


def unpickle() -> None:
    pickle.loads(_PICKLED)


def comprehension() -> None:
    assert [[i + 1000, str(i)] for i in range(600)]


def floats() -> None:
    x, recent = 0.5, [0.0] * 50
    for i in range(1500):
        recent[i % 50] = x * 1.5 + i


def objects() -> None:
    head: Node | None = None
    for i in range(400):
        head = Node(i, head)
    while head is not None:
        head = head.below


WORKS: dict[str, Callable[[], None]] = {
    work.__name__: work for work in (loads, unpickle, comprehension, floats, objects)
}


def run(work: Callable[[], None], rounds: int, *, limited: bool) -> None:
    scope = hakmem.limit("64MB") if limited else None
    if scope is not None:
        scope.__enter__()
    for _ in range(WARM_UP + rounds):
        work()
    if scope is not None:
        scope.__exit__(None, None, None)


def instructions(name: str, where: str, rounds: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes", sys.executable]
    command += ["-m", "hakmem", "run", __file__, "--run", name, where, str(rounds)]
    # What depends on the clock or on chance is not to differ.
    environment = os.environ | {"HAKMEM_PURGE_DELAY_MS": "60000", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(re.findall(r"Collected : (\d+)", done.stderr)[-1])


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        run(WORKS[sys.argv[2]], int(sys.argv[4]), limited=sys.argv[3] == "inside")
        return
    print(f"{'instructions a round':20} {'outside':>10} {'inside':>10}")
    for name in sys.argv[1:] or WORKS:
        outside, inside = (
            (instructions(name, where, MANY) - instructions(name, where, FEW)) // (MANY - FEW)
            for where in ("outside", "inside")
        )
        print(f"{name:20} {outside:10} {inside:10} {inside / outside - 1:+8.1%}")


if __name__ == "__main__":
    main()
