"""Threads come and go; what one has made, the next one takes apart."""

from __future__ import annotations

import random
import threading
from typing import Any

from . import Program, check
from .records import make_record

_CHAINS = 4
_RECORDS = 150


class Threads(Program):
    """Four chains of threads at once. A thread inherits the records of the last one, and leaves its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sums: list[int] = []

    def work(self, iterations: int) -> None:
        """A generation of threads for each iteration."""
        legacies: list[list[dict[str, Any]]] = [[] for _ in range(_CHAINS)]
        self._sums = [0] * _CHAINS
        for generation in range(iterations):
            threads = [
                threading.Thread(target=self._live, args=(chain, generation, legacies)) for chain in range(_CHAINS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        check(all(len(legacy) == _RECORDS for legacy in legacies), "a thread has not done its work")

    def _live(self, chain: int, generation: int, legacies: list[list[dict[str, Any]]]) -> None:
        random_numbers = random.Random(self._seed * 1_000_003 + chain * 1009 + generation)
        inherited = legacies[chain]
        legacies[chain] = [make_record(random_numbers, number) for number in range(_RECORDS)]
        while inherited:
            record = inherited.pop(random_numbers.randrange(len(inherited)))
            self._sums[chain] += len(record["text"]) + len(record["tags"])

    def checksum(self) -> int:
        """Of what the threads inherited."""
        total = 0
        for found in self._sums:
            total = total * 100_003 + found
        return total
