"""Objects with floats: points are made, moved and compared."""

from __future__ import annotations

import math
import random

from . import Program, check


class _Point:
    def __init__(self, x: float, y: float, z: float) -> None:
        self.x = x
        self.y = y
        self.z = z

    def unit(self) -> _Point:
        length = math.sqrt(self.x * self.x + self.y * self.y + self.z * self.z)
        return _Point(self.x / length, self.y / length, self.z / length)

    def turned(self, angle: float) -> _Point:
        sine, cosine = math.sin(angle), math.cos(angle)
        return _Point(self.x * cosine - self.y * sine, self.x * sine + self.y * cosine, self.z)

    def highest(self, other: _Point) -> _Point:
        return _Point(max(self.x, other.x), max(self.y, other.y), max(self.z, other.z))


class FloatObjects(Program):
    """Thousands of points, of which new ones are computed."""

    def __init__(self, seed: int) -> None:
        self._random_numbers = random.Random(seed)
        self._angles = [self._random_numbers.uniform(0, 3) for _ in range(5000)]
        self._corner = _Point(0.0, 0.0, 0.0)

    def work(self, iterations: int) -> None:
        """5000 points for each iteration."""
        for _ in range(iterations):
            points = [_Point(math.sin(a), 2 * math.cos(a), 0.5 + a * a) for a in self._angles]
            points = [point.unit() for point in points]
            points = [point.turned(angle) for point, angle in zip(points, self._angles, strict=True)]
            corner = points[0]
            for point in points:
                corner = corner.highest(point)
            self._corner = corner

    def checksum(self) -> int:
        """Of the corner of a box around all points."""
        corner = self._corner
        check(0 < corner.x <= 1 and 0 < corner.y <= 1 and 0 < corner.z <= 1, "a point is outside of the unit sphere")
        return hash((corner.x, corner.y, corner.z))
