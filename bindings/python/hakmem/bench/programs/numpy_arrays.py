"""NumPy's temporaries: arithmetic on arrays from 256 bytes to 4 MiB."""

from __future__ import annotations

import zlib

import numpy

from . import Program, check

_LENGTHS = tuple(32 * 2**i for i in range(0, 15, 2))
_BYTES_PER_LENGTH = 2 << 20


class NumpyArrays(Program):
    """Every operator makes a new array; about as many bytes of each length."""

    def __init__(self, seed: int) -> None:
        generator = numpy.random.default_rng(seed)
        self._arrays = [generator.uniform(1, 2, length) for length in _LENGTHS]
        self._sums: list[float] = []

    def work(self, iterations: int) -> None:
        """All lengths for each iteration."""
        for _ in range(iterations):
            self._sums = []
            for x in self._arrays:
                for _ in range(max(1, _BYTES_PER_LENGTH // x.nbytes)):
                    y = (x * 2.0 + 1.0) * (x - 0.5) / (x + 3.0)
                    z = numpy.where(y > 1.0, y, -y)
                self._sums.append(float(z[::7].sum()))

    def checksum(self) -> int:
        """Of the sums."""
        for x, found in zip(self._arrays, self._sums, strict=True):
            y = (x[::7] * 2.0 + 1.0) * (x[::7] - 0.5) / (x[::7] + 3.0)
            check(abs(float(numpy.where(y > 1.0, y, -y).sum()) - found) <= 1e-9 * x.size, "a sum of an array")
        return zlib.crc32(repr([round(found, 6) for found in self._sums]).encode())
