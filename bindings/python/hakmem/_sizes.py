"""Sizes as integers of bytes, or as text such as "64MB"."""

from __future__ import annotations

import operator
import re
from typing import SupportsIndex

_SIZE = re.compile(r"\s*(\d+)\s*([KMGT]?)(i?B)?\s*", re.IGNORECASE | re.ASCII)
_LARGEST = 2**63 - 1


def parse_size(size: int | str) -> int:
    """Bytes of a size.

    "K", "M", "G", "T" and "KiB", "MiB", "GiB", "TiB" count in steps of 1024; "KB", "MB", "GB", "TB" in steps of 1000.
    Case does not matter.
    """
    number = _parse_text(size) if isinstance(size, str) else _as_integer(size)
    if number < 0:
        raise ValueError(f"the size is {size!r}; it cannot be negative")
    if number > _LARGEST:
        raise OverflowError(f"the size is {size!r}; no memory is larger than {_LARGEST} bytes")
    return number


def _as_integer(size: object) -> int:
    if isinstance(size, SupportsIndex) and not isinstance(size, bool):
        return operator.index(size)
    raise TypeError(f'the size is {size!r}; it can be a whole number of bytes, or text such as "64MB"')


def _parse_text(size: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None or (not match[2] and (match[3] or "").lower() == "ib"):
        raise ValueError(f'the size is {size!r}; it can be a number and a unit, such as "512K", "64MB" or "1GiB"')
    step = 1000 if (match[3] or "").lower() == "b" else 1024
    unit_bytes: int = step ** " KMGT".index(match[2].upper() or " ")
    return int(match[1]) * unit_bytes
