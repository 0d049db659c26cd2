"""Prints what a limit costs the benchmark's programs. CPython's memory comes from hakmem in all cases.

usage: python -m hakmem run scope_cost.py time [WORKLOAD]...    of `python -m hakmem.bench`; without any: those that
                                                                allocate most. Rounds without and within a limit, which
                                                                is a new one each time, take turns in one process
       python scope_cost.py instructions [WORKLOAD]...          by callgrind: what two numbers of iterations differ by,
                                                                so that starts and ends do not count
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hakmem
from hakmem.bench import _child
from hakmem.bench._workloads import WORKLOADS

# Iterations that differ by about a hundred million instructions.
ITERATIONS = {
    "json-dumps": (1, 5),
    "json-loads": (1, 5),
    "unpickle": (2, 12),
    "deepcopy": (2, 12),
    "comprehensions": (1, 6),
    "float": (1, 3),
    "deltablue": (1, 2),
    "async-tree": (1, 3),
    "strings": (1, 2),
}

PROGRAMS = {workload.name: workload.program for workload in WORKLOADS}
ROUNDS, WARM_UP_ROUNDS, ROUND_ITERATIONS = 63, 3, 2


def instructions(program: str, iterations: int, *, limit: bool) -> int:
    request = {"program": program, "iterations": iterations, "seed": 1, "arguments": [], "limit": limit}
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes", sys.executable]
    command += ["-m", "hakmem", "run", str(Path(_child.__file__)), json.dumps(request)]
    # What depends on the clock or on chance is not to differ.
    environment = os.environ | {"HAKMEM_PURGE_DELAY_MS": "60000", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(re.findall(r"Collected : (\d+)", done.stderr)[-1])


def cost(program: str, few: int, many: int, *, limit: bool) -> int:
    """Of one iteration."""
    difference = instructions(program, many, limit=limit) - instructions(program, few, limit=limit)
    return difference // (many - few)


def print_instructions(names: list[str]) -> None:
    print(f"{'instructions':16} {'outside':>12} {'inside':>12}")
    for name in names:
        outside, inside = (cost(PROGRAMS[name], *ITERATIONS[name], limit=limit) for limit in (False, True))
        print(f"{name:16} {outside:12} {inside:12} {inside / outside - 1:+8.1%}", flush=True)


def seconds(program: Any, *, limit: bool) -> float:  # noqa: ANN401
    with hakmem.limit("4GB") if limit else contextlib.nullcontext():
        start = time.process_time()
        program.work(ROUND_ITERATIONS)
        return time.process_time() - start


def print_times(names: list[str]) -> None:
    assert "obj" in hakmem.installed_domains(), "run it by python -m hakmem run"
    all_ratios = []
    for name in names:
        program = _child.load(PROGRAMS[name])(1)
        program.warm_up()
        rounds = [[seconds(program, limit=limit) for limit in (False, True)] for _ in range(ROUNDS)][WARM_UP_ROUNDS:]
        outside, inside = zip(*rounds, strict=True)
        ratios = [middle(inside) / middle(outside) for middle in (min, statistics.median)]
        all_ratios.append(ratios)
        print(f"{name:16} best {ratios[0] - 1:+6.1%}   median {ratios[1] - 1:+6.1%}", flush=True)
    best, median = (statistics.geometric_mean(column) for column in zip(*all_ratios, strict=True))
    print(f"{'mean':16} best {best - 1:+6.1%}   median {median - 1:+6.1%}")


def main() -> None:
    way, *names = sys.argv[1:]
    {"time": print_times, "instructions": print_instructions}[way](names or list(ITERATIONS))


if __name__ == "__main__":
    main()
