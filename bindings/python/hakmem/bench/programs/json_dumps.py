"""Records become JSON."""

from __future__ import annotations

import json
import zlib

from . import Program, check
from .records import make_records


class JsonDumps(Program):
    """A document is put together, again and again."""

    def __init__(self, seed: int) -> None:
        self._records = make_records(seed, 1000)
        self._text = ""

    def work(self, iterations: int) -> None:
        """One document for each iteration."""
        for _ in range(iterations):
            self._text = json.dumps(self._records)

    def checksum(self) -> int:
        """Of the text."""
        check(json.loads(self._text) == self._records, "the document is not that of the records")
        return zlib.crc32(self._text.encode())
