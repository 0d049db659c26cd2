"""The figures of an arena."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hakmem._errors import check_status
from hakmem._native import ffi, lib


@dataclass(frozen=True)
class ClassStatistics:
    """One size class of an arena, in which there is something."""

    block_size: int
    """Bytes of each block."""
    live_blocks: int
    held_bytes: int
    """Lines that the class has, whether blocks in them are live or not."""


@dataclass(frozen=True)
class Statistics:
    """Figures of an arena, at one moment."""

    held_bytes: int
    """What counts against the limit: lines in use, live or cached, and large blocks."""
    peak_held_bytes: int
    limit_bytes: int | None
    live_blocks: int
    live_bytes: int
    """The sum of the blocks' usable sizes, which may be larger than what was asked for."""
    large_blocks: int
    """Those of the live blocks that are in no size class."""
    large_bytes: int
    limit_failures: int
    """Requests that the limit refused."""
    system_failures: int
    """Requests that the operating system refused."""
    classes: tuple[ClassStatistics, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for example for JSON."""
        return asdict(self) | {"classes": [asdict(row) for row in self.classes]}


def read_statistics(handle: object) -> Statistics:
    """The figures of the arena with this handle, which the caller has entered."""
    figures = ffi.new("hk_statistics *")
    figures.struct_size = ffi.sizeof("hk_statistics")
    check_status(lib.hk_arena_statistics(handle, figures))
    rows = (figures.classes[i] for i in range(figures.size_classes))
    return Statistics(
        held_bytes=figures.held_bytes,
        peak_held_bytes=figures.peak_held_bytes,
        limit_bytes=figures.limit_bytes or None,
        live_blocks=figures.live_blocks,
        live_bytes=figures.live_bytes,
        large_blocks=figures.large_blocks,
        large_bytes=figures.large_bytes,
        limit_failures=figures.limit_failures,
        system_failures=figures.system_failures,
        classes=tuple(
            ClassStatistics(row.block_size, row.live_blocks, row.held_bytes)
            for row in rows
            if row.live_blocks or row.held_bytes
        ),
    )
