"""One-way constraints with strengths, solved incrementally, after the DeltaBlue algorithm of Sannella, Freeman-Benson,
Maloney and Borning: chains of equalities and of scales are built, edited and taken apart again.
"""

from __future__ import annotations

import enum
import itertools
from collections import deque
from collections.abc import Callable

from . import Program, check

_LENGTH = 400


class _Strength(enum.IntEnum):
    """The lower, the stronger."""

    REQUIRED = 1
    STRONG = 2
    NORMAL = 3
    WEAK = 4
    WEAKEST = 5


class _Variable:
    def __init__(self, value: int) -> None:
        self.value = value
        self.constraints: list[_Constraint] = []
        self.determined_by: _Constraint | None = None
        self.strength = _Strength.WEAKEST


class _Constraint:
    """Computes its output from its inputs. One without inputs holds a variable as it is, or edits it."""

    def __init__(
        self, strength: _Strength, output: _Variable, inputs: tuple[_Variable, ...], compute: Callable[..., int]
    ) -> None:
        self.strength = strength
        self.output = output
        self.inputs = inputs
        self.compute = compute
        for variable in (output, *inputs):
            variable.constraints.append(self)
        self.satisfy()

    @property
    def is_on(self) -> bool:
        return self.output.determined_by is self

    def execute(self) -> None:
        self.output.value = self.compute(self.output.value, *[variable.value for variable in self.inputs])

    def satisfy(self) -> None:
        """Determines the output, unless something at least as strong does; what it drives out looks again."""
        driven_out = self.output.determined_by
        if driven_out is not None and self.output.strength <= self.strength:
            check(self.strength != _Strength.REQUIRED, "a required constraint cannot be satisfied")
            return
        self.output.determined_by = self
        for constraint in downstream(self):
            # As weak as the weakest thing that it is computed from.
            strengths = [variable.strength for variable in constraint.inputs]
            constraint.output.strength = max([constraint.strength, *strengths])
            constraint.execute()
        if driven_out is not None:
            driven_out.satisfy()

    def remove(self) -> None:
        for variable in (self.output, *self.inputs):
            variable.constraints.remove(self)
        if not self.is_on:
            return
        self.output.determined_by = None
        self.output.strength = _Strength.WEAKEST
        for constraint in list(self.output.constraints):
            if constraint.output is self.output:
                constraint.satisfy()


def downstream(first: _Constraint) -> list[_Constraint]:
    """A constraint and all that depend on it, in the order in which they must run."""
    plan = []
    to_do = deque([first])
    while to_do:
        constraint = to_do.popleft()
        plan.append(constraint)
        output = constraint.output
        to_do.extend(other for other in output.constraints if other.output is not output and other.is_on)
    return plan


def _change(variable: _Variable, value: int) -> None:
    """An edit that is made, goes on for three steps, and ends."""
    current = value

    def edited(_: int) -> int:
        return current

    edit = _Constraint(_Strength.STRONG, variable, (), edited)
    plan = downstream(edit)
    for step in range(1, 4):
        current += step
        for constraint in plan:
            constraint.execute()
    edit.remove()


def _hold(value: int) -> int:
    return value


def _equal(_: int, other: int) -> int:
    return other


def _scaled(_: int, source: int, scale: int, offset: int) -> int:
    return source * scale + offset


def _chain(length: int, first_value: int) -> int:
    """A row of variables, each equal to the one before it."""
    variables = [_Variable(0) for _ in range(length)]
    constraints = [
        _Constraint(_Strength.REQUIRED, after, (before,), _equal) for before, after in itertools.pairwise(variables)
    ]
    _Constraint(_Strength.WEAK, variables[0], (), _hold)
    for value in range(first_value, first_value + 10):
        _change(variables[0], value)
        check(variables[-1].value == value + 6, "the end of the chain does not follow its start")
    for constraint in reversed(constraints):
        constraint.remove()
    return variables[-1].value


def _projection(length: int, first_value: int) -> int:
    """Pairs of variables, the second of which is the first one's scaled and moved."""
    scale, offset = _Variable(10), _Variable(1000)
    results = []
    for i in range(length):
        source, result = _Variable(first_value + i), _Variable(0)
        _Constraint(_Strength.NORMAL, source, (), _hold)
        _Constraint(_Strength.REQUIRED, result, (source, scale, offset), _scaled)
        results.append(result)
    _change(scale, 5)
    _change(offset, 2000)
    check(scale.value == 11 and offset.value == 2006, "an edit has gone wrong")
    check(all(r.value == (first_value + i) * 11 + 2006 for i, r in enumerate(results)), "a pair does not agree")
    return sum(result.value for result in results)


class DeltaBlue(Program):
    """A chain and pairs, for each iteration."""

    def __init__(self, seed: int) -> None:
        self._seed = seed % 10_000
        self._sum = 0

    def work(self, iterations: int) -> None:
        """Builds, edits and takes apart."""
        self._sum = 0
        for i in range(iterations):
            self._sum += _chain(_LENGTH, self._seed + i) + _projection(_LENGTH, self._seed + i)

    def checksum(self) -> int:
        """Of the values at the end."""
        return self._sum
