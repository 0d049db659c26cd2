"""Sizes as numbers and text."""

from __future__ import annotations

import hakmem
import pytest
from hypothesis import given
from hypothesis import strategies as st

UNITS = {"": 1, "B": 1}
for power, letter in enumerate("KMGT", start=1):
    UNITS |= {letter: 1024**power, f"{letter}iB": 1024**power, f"{letter}B": 1000**power}


@given(st.integers(0, 2**20), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]), st.booleans())
def test_every_unit(number: int, unit: str, space: str, lower: bool) -> None:
    text = f"{number}{space}{unit}"
    assert hakmem.parse_size(text.lower() if lower else text) == number * UNITS[unit]


@given(st.integers(0, 2**63 - 1))
def test_numbers_are_bytes(number: int) -> None:
    assert hakmem.parse_size(number) == hakmem.parse_size(str(number)) == number


@given(st.text(max_size=8))
def test_other_text_says_what_would_be_right(text: str) -> None:
    try:
        assert hakmem.parse_size(text) >= 0
    except ValueError as error:
        assert '"64MB"' in str(error)


@pytest.mark.parametrize("text", ["", "MB", "-1", "1.5M", "1 M B", "1iB", "64X", "1e3", "٣"])
def test_text_that_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="the size is"):
        hakmem.parse_size(text)


@pytest.mark.parametrize("value", [1.0, None, True, b"1", [1]])
def test_values_that_are_no_size(value: object) -> None:
    with pytest.raises(TypeError, match="the size is"):
        hakmem.parse_size(value)  # type: ignore[arg-type]
    with hakmem.Arena() as arena, pytest.raises(TypeError, match="the size is"):
        arena.alloc(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, -(2**70)])
def test_negative_sizes(value: int) -> None:
    with hakmem.Arena() as arena, pytest.raises(ValueError, match="cannot be negative"):
        arena.alloc(value)


@pytest.mark.parametrize("value", [2**63, "9223372036854775808", "8388608T"])
def test_sizes_beyond_all_memory(value: int | str) -> None:
    with hakmem.Arena() as arena, pytest.raises(OverflowError, match="no memory is larger"):
        arena.alloc(value)


class Index:
    """An integer by another name, as NumPy's are."""

    def __index__(self) -> int:
        return 40


def test_integers_of_other_types() -> None:
    with hakmem.Arena() as arena:
        assert len(arena.alloc(Index())) == 40  # type: ignore[arg-type]
