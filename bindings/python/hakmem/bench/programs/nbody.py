"""A control: planets go around a sun. Only floats, which Python keeps for reuse by itself."""

from __future__ import annotations

import random

from . import Program, check

_STEP_YEARS = 0.001
_GRAVITY = 39.478  # astronomical units cubed, per solar mass and year squared


class _Body:
    __slots__ = ("mass", "vx", "vy", "vz", "x", "y", "z")

    def __init__(self, mass: float, place: tuple[float, float, float], speed: tuple[float, float, float]) -> None:
        self.mass = mass
        self.x, self.y, self.z = place
        self.vx, self.vy, self.vz = speed


class NBody(Program):
    """A sun and four planets on circles that disturb each other a little."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bodies: list[_Body] = []

    def work(self, iterations: int) -> None:
        """100 steps for each iteration."""
        self._bodies = self._start()
        pairs = [(a, b) for i, a in enumerate(self._bodies) for b in self._bodies[i + 1 :]]
        for _ in range(100 * iterations):
            _step(self._bodies, pairs)

    def checksum(self) -> int:
        """Of the positions."""
        begun, ended = _energy(self._start()), _energy(self._bodies)
        check(abs(ended / begun - 1) < 0.001, f"the energy went from {begun} to {ended}")
        return hash(tuple((body.x, body.y, body.z) for body in self._bodies))

    def _start(self) -> list[_Body]:
        random_numbers = random.Random(self._seed)
        bodies = [_Body(1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))]
        for distance in (1.0, 2.1, 4.3, 8.9):
            speed = (_GRAVITY / distance) ** 0.5
            tilt = random_numbers.uniform(-0.05, 0.05)
            bodies.append(_Body(random_numbers.uniform(1e-6, 1e-4), (distance, 0.0, tilt), (0.0, speed, 0.0)))
        return bodies


def _step(bodies: list[_Body], pairs: list[tuple[_Body, _Body]]) -> None:
    for a, b in pairs:
        dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
        pull = _GRAVITY * _STEP_YEARS / (dx * dx + dy * dy + dz * dz) ** 1.5
        a.vx -= dx * b.mass * pull
        a.vy -= dy * b.mass * pull
        a.vz -= dz * b.mass * pull
        b.vx += dx * a.mass * pull
        b.vy += dy * a.mass * pull
        b.vz += dz * a.mass * pull
    for body in bodies:
        body.x += _STEP_YEARS * body.vx
        body.y += _STEP_YEARS * body.vy
        body.z += _STEP_YEARS * body.vz


def _energy(bodies: list[_Body]) -> float:
    energy = 0.0
    for i, a in enumerate(bodies):
        energy += a.mass * (a.vx**2 + a.vy**2 + a.vz**2) / 2
        for b in bodies[i + 1 :]:
            energy -= _GRAVITY * a.mass * b.mass / ((a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2) ** 0.5
    return energy
