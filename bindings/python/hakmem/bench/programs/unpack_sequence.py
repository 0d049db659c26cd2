"""A control: tuples are taken apart, which allocates nothing."""

from __future__ import annotations

from . import Program, check


class UnpackSequence(Program):
    """Local variables change places."""

    def __init__(self, seed: int) -> None:
        self._first = tuple((seed + i) % 251 for i in range(8))
        self._last = self._first
        self._steps = 0

    def work(self, iterations: int) -> None:
        """1000 rotations for each iteration."""
        a, b, c, d, e, f, g, h = self._first
        self._steps = 1000 * iterations
        for _ in range(self._steps):
            a, b, c, d, e, f, g, h = b, c, d, e, f, g, h, a
        self._last = (a, b, c, d, e, f, g, h)

    def checksum(self) -> int:
        """Of the order."""
        turn = self._steps % 8
        check(self._last == self._first[turn:] + self._first[:turn], "the numbers are not where they should be")
        return sum(number * 251**i for i, number in enumerate(self._last))
