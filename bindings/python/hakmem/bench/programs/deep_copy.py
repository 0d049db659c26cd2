"""Nested objects are copied."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from typing import Any

from . import Program, check
from .records import make_records


@dataclass
class _Order:
    number: int
    lines: list[dict[str, Any]]
    first: dict[str, Any]


class DeepCopy(Program):
    """Orders whose records are shared, so that the copies must share theirs."""

    def __init__(self, seed: int) -> None:
        records = make_records(seed, 100)
        self._orders = [_Order(i, records[i : i + 5], records[i]) for i in range(0, 100, 2)]
        self._copies: list[_Order] = []

    def work(self, iterations: int) -> None:
        """One copy of all for each iteration."""
        for _ in range(iterations):
            self._copies = copy.deepcopy(self._orders)

    def checksum(self) -> int:
        """Of the copies."""
        check(self._copies == self._orders, "a copy is not like the original")
        check(all(order.first is order.lines[0] for order in self._copies), "what was shared has become two")
        check(self._copies[0].first is not self._orders[0].first, "a copy is the original")
        return zlib.crc32(repr(self._copies).encode())
