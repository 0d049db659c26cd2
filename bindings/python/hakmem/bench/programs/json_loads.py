"""JSON becomes records."""

from __future__ import annotations

import json
import zlib
from typing import Any

from . import Program, check
from .records import make_records


class JsonLoads(Program):
    """A document is read, again and again."""

    def __init__(self, seed: int) -> None:
        self._text = json.dumps(make_records(seed, 1000))
        self._records: list[dict[str, Any]] = []

    def work(self, iterations: int) -> None:
        """Reads the document once for each iteration."""
        for _ in range(iterations):
            self._records = json.loads(self._text)

    def checksum(self) -> int:
        """Of the records."""
        text = json.dumps(self._records)
        check(text == self._text, "the records are not those of the document")
        return zlib.crc32(text.encode())
