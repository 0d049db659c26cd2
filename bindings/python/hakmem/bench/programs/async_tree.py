"""A tree of asyncio's tasks."""

from __future__ import annotations

import asyncio

from . import Program, check

_CHILDREN = 6
_DEPTH = 4


class AsyncTree(Program):
    """Every task starts six more and waits for them, four times down; leaves give way to others once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sum = 0
        self._leaves = 0

    def work(self, iterations: int) -> None:
        """A tree for each iteration, in one loop."""
        asyncio.run(self._grow(iterations))

    async def _grow(self, iterations: int) -> None:
        for _ in range(iterations):
            self._leaves = 0
            self._sum = await self._node(_DEPTH, self._seed)

    async def _node(self, depth: int, number: int) -> int:
        if depth == 0:
            await asyncio.sleep(0)
            self._leaves += 1
            return number % 1009
        children = [self._node(depth - 1, number * _CHILDREN + i) for i in range(_CHILDREN)]
        return sum(await asyncio.gather(*children))

    def checksum(self) -> int:
        """Of the leaves."""
        check(self._leaves == _CHILDREN**_DEPTH, f"there were {self._leaves} leaves")
        first = self._seed * _CHILDREN**_DEPTH
        expected = sum((first + i) % 1009 for i in range(_CHILDREN**_DEPTH))
        check(self._sum == expected, "the leaves are not those of the tree")
        return self._sum
