"""Pickles become objects."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

from . import Program, check
from .records import make_records


class Unpickle(Program):
    """Records are unpickled, again and again."""

    def __init__(self, seed: int) -> None:
        self._expected = make_records(seed, 1000)
        self._pickle = pickle.dumps(self._expected, protocol=5)
        self._records: list[dict[str, Any]] = []

    def work(self, iterations: int) -> None:
        """Reads the pickle once for each iteration."""
        for _ in range(iterations):
            self._records = pickle.loads(self._pickle)

    def checksum(self) -> int:
        """Of the records."""
        check(self._records == self._expected, "the records are not those that were pickled")
        return zlib.crc32(repr(self._records).encode())
