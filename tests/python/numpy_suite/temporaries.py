"""How long `c = a * b + a - b` takes with NumPy's own handler of memory, and in an arena.

usage: python temporaries.py [LENGTH]...      numbers of doubles; in an environment with hakmem and numpy

Each figure is the least of several processes, in microseconds of processor time; these take turns.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from itertools import product
from resource import RUSAGE_SELF, getrusage
from statistics import geometric_mean
from time import thread_time

import hakmem
import numpy as np

LENGTHS = [1, 16, 100, 1000, 10_000, 100_000, 1_000_000]
HANDLERS = ["numpy", "arena"]
PROCESSES = 7
ROUNDS = 50
ROUND_SECONDS = 0.004


def measure(handler: str, length: int) -> tuple[float, float]:
    """Microseconds and page faults of one evaluation."""
    repeats = max(1, int(ROUND_SECONDS / (1e-6 + length * 1e-9)))
    with hakmem.numpy_arena(hakmem.Arena()) if handler == "arena" else nullcontext():
        a, b = np.ones(length), np.ones(length)

        def evaluate() -> float:
            started = thread_time()
            for _ in range(repeats):
                c = a * b + a - b  # noqa: F841  until the next one takes its place
            return thread_time() - started

        evaluate()
        faults = getrusage(RUSAGE_SELF).ru_minflt
        seconds = min(evaluate() for _ in range(ROUNDS))
        faults = getrusage(RUSAGE_SELF).ru_minflt - faults
    return seconds / repeats * 1e6, faults / repeats / ROUNDS


def measure_in_child(handler: str, length: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--child", handler, str(length)]
    microseconds, faults = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(microseconds), float(faults)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(*measure(sys.argv[2], int(sys.argv[3])))
        return
    ratios = []
    print(
        f"numpy {np.__version__}\n{'doubles':>9} {'numpy us':>10} {'arena us':>10} {'ratio':>6}   page faults of each"
    )
    for length in [int(float(argument)) for argument in sys.argv[1:]] or LENGTHS:
        best = dict.fromkeys(HANDLERS, (float("inf"), 0.0))
        for _, handler in product(range(PROCESSES), HANDLERS):
            best[handler] = min(best[handler], measure_in_child(handler, length))
        (plain, plain_faults), (ours, our_faults) = best.values()
        ratios.append(ours / plain)
        print(
            f"{length:9} {plain:10.3f} {ours:10.3f} {ratios[-1]:6.3f}   {plain_faults:.1f} {our_faults:.1f}", flush=True
        )
    print(f"geometric mean of the ratios: {geometric_mean(ratios):.3f}")


if __name__ == "__main__":
    main()
