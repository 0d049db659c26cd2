"""Lists, sets and dictionaries by comprehensions."""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import Program, check


@dataclass(frozen=True)
class _Widget:
    number: int
    owner: int
    size: int
    related: tuple[int, ...]


class Comprehensions(Program):
    """Widgets are selected, grouped and joined."""

    def __init__(self, seed: int) -> None:
        random_numbers = random.Random(seed)
        self._widgets = [
            _Widget(i, random_numbers.randrange(20), random_numbers.randrange(100), (i // 2, i // 3, i // 5))
            for i in range(300)
        ]
        self._names: dict[int, list[str]] = {}

    def work(self, iterations: int) -> None:
        """All questions, once for each iteration."""
        widgets = self._widgets
        for _ in range(iterations):
            by_number = {widget.number: widget for widget in widgets}
            large = [widget for widget in widgets if widget.size > 20]
            owners = {widget.owner for widget in large}
            sizes = {owner: [widget.size for widget in large if widget.owner == owner] for owner in owners}
            related = [(widget.number, by_number[other].size) for widget in large for other in widget.related]
            self._names = {
                owner: [f"{owner}-{number}-{size}" for number, size in related if size in sizes[owner]]
                for owner in sorted(owners)
            }

    def checksum(self) -> int:
        """Of the names."""
        check(all(name.startswith(f"{owner}-") for owner, names in self._names.items() for name in names), "a name")
        return sum(len(names) * 1009**i for i, names in enumerate(self._names.values()))
