"""A text is split, counted, replaced and joined."""

from __future__ import annotations

import zlib
from collections import Counter

from . import Program, check
from .records import make_records


class Strings(Program):
    """Many small strings, and dictionaries of them."""

    def __init__(self, seed: int) -> None:
        self._lines = [f"{record['id']:06d} {record['text']}" for record in make_records(seed, 2000)]
        self._report = ""
        self._words = 0

    def work(self, iterations: int) -> None:
        """The whole text once for each iteration."""
        for _ in range(iterations):
            counts: Counter[str] = Counter()
            places: dict[str, list[str]] = {}
            for line in self._lines:
                number, *words = line.upper().split(" ")
                for word in words:
                    counts[word] += 1
                    places.setdefault(f"{word[:2].lower()}:{number[-2:]}", []).append(number)
            parts = [f"{word}={count}" for word, count in sorted(counts.items())]
            parts += [f"{place}:{'+'.join(numbers)}" for place, numbers in sorted(places.items())]
            self._report = ";".join(parts).replace("=", " is ")
            self._words = sum(counts.values())

    def checksum(self) -> int:
        """Of the report."""
        check(self._words == sum(line.count(" ") for line in self._lines), "words were lost")
        return zlib.crc32(self._report.encode())
