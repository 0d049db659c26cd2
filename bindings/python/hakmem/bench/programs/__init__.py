"""The programs that the allocators are compared with; each is run by hakmem.bench._child in a process of its own.

They import nothing of hakmem, but for c_loops: what a process measures is Python, the program, and the allocator.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence


class Program(abc.ABC):
    """One program. Making it prepares what it needs, the same for the same seed; that is not measured."""

    def warm_up(self) -> None:
        """What comes before the measurement."""
        self.work(1)

    @abc.abstractmethod
    def work(self, iterations: int) -> None:
        """What is measured."""

    @abc.abstractmethod
    def checksum(self) -> int:
        """Looks whether the last work was right, and tells a number that depends on what came out."""

    def times(self) -> tuple[float, float] | None:
        """Seconds by the clock and by the processor of the part that counts; None: all of the work does."""
        return None

    def figures(self) -> Mapping[str, float]:
        """What else there is to tell of the last work."""
        return {}

    def samples(self) -> Sequence[tuple[str, float, int]]:
        """Resident memory meanwhile: the phase, seconds since the start, bytes."""
        return ()


def check(right: bool, what: str) -> None:
    """RuntimeError if something is not right; as assert, but under -O too."""
    if not right:
        raise RuntimeError(f"the program computed something wrong: {what}")
