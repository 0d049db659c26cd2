"""The loops in C, on the functions of hakmem or on the process's own malloc."""

from __future__ import annotations

from typing import Literal

from hakmem import _native

from . import Program, check


class CLoops(Program):
    """One of the loops of bindings/python/native/bench.c."""

    def __init__(
        self,
        seed: int,
        loop: Literal["small", "mixed", "realloc", "threads"],
        functions: Literal["hakmem", "malloc"],
    ) -> None:
        self._seed = seed
        self._loop = loop
        self._functions = functions
        self._sum = 0

    def work(self, iterations: int) -> None:
        """1000 steps of the loop for each iteration."""
        self._sum = _native.bench(self._loop, self._functions, 1000 * iterations, self._seed)

    def checksum(self) -> int:
        """Of what was found in the blocks; a block that was not as it was left is an error at once."""
        check(self._sum != 0, "the loop has done nothing")
        return self._sum
