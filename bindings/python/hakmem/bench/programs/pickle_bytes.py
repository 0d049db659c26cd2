"""A control: large bytes are pickled and read back, which is copying."""

from __future__ import annotations

import pickle
import random
import zlib

from . import Program, check


class PickleBytes(Program):
    """A few large blocks; hardly any calls of the allocator."""

    def __init__(self, seed: int) -> None:
        self._data = random.Random(seed).randbytes(4 << 20)
        self._copy = b""

    def work(self, iterations: int) -> None:
        """To a pickle and back, once for each iteration."""
        for _ in range(iterations):
            self._copy = pickle.loads(pickle.dumps(self._data, protocol=5))

    def checksum(self) -> int:
        """Of the bytes."""
        check(self._copy == self._data, "the bytes are not those that were pickled")
        return zlib.crc32(self._copy)
