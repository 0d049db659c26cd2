"""Arenas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from hakmem._errors import check_status
from hakmem._native import ArenaBase, ffi, lib
from hakmem._sizes import parse_size
from hakmem._statistics import Statistics, read_statistics

if TYPE_CHECKING:
    from typing_extensions import Self

_SMALLEST_LIMIT = 1024
_LARGEST_ALIGNMENT = 256 << 20
_LARGEST_RESERVE = 1 << 40


class Block(NamedTuple):
    """A live block of an arena."""

    address: int
    size: int
    """Its usable size, which may be larger than what was asked for."""


class Arena(ArenaBase):
    """Memory with a limit and figures, for buffers and NumPy arrays, that can all end at once.

    `limit`: what it may hold at most; None: no limit. `align`: the alignment of its buffers, a power of two from 8 on.
    `hardened`: bytes behind buffers are guarded, freed memory is zeroed and reused late. `rewindable`: it has
    checkpoint() and rollback(), in `reserve` (if not said, 256 MiB) of address space that it never outgrows.

    It may be used by any thread. As a context manager it closes at the end.
    """

    __slots__ = ()

    def __init__(
        self,
        limit: int | str | None = None,
        *,
        align: int = 16,
        name: str = "arena",
        hardened: bool = False,
        rewindable: bool = False,
        reserve: int | str | None = None,
    ) -> None:
        flags = (lib.HK_ARENA_HARDENED if hardened else 0) | (lib.HK_ARENA_REWINDABLE if rewindable else 0)
        if hardened and rewindable:
            raise ValueError("an arena can be hardened or rewindable, not both")
        if reserve is not None and not rewindable:
            raise ValueError("only a rewindable arena has a reserve")
        super().__init__(checked_name(name), checked_limit(limit), _alignment(align), flags, _reserve(reserve))

    @property
    def name(self) -> str:
        """The arena's name, which figures, messages and maps show."""
        with self._entered() as handle:
            return _text(lib.hk_arena_name(handle))

    @property
    def hardened(self) -> bool:
        """Whether the arena was made with hardened=True."""
        return bool(self._flags & lib.HK_ARENA_HARDENED)

    @property
    def rewindable(self) -> bool:
        """Whether the arena was made with rewindable=True."""
        return bool(self._flags & lib.HK_ARENA_REWINDABLE)

    @property
    def limit(self) -> int | None:
        """What the arena may hold at most, in whole KiB; None: no limit. It may be set at any time.

        A limit below what is held stops growth and takes nothing away.
        """
        with self._entered() as handle:
            return int(lib.hk_arena_limit(handle)) or None

    @limit.setter
    def limit(self, limit: int | str | None) -> None:
        limit_bytes = checked_limit(limit)
        with self._entered() as handle:
            check_status(lib.hk_arena_set_limit(handle, limit_bytes))

    def statistics(self) -> Statistics:
        """The figures of this moment."""
        with self._entered() as handle:
            return read_statistics(handle)

    def walk(self) -> list[Block]:
        """The live blocks of this moment, of buffers and arrays, by ascending address."""
        return [Block(*pair) for pair in self._walk()]

    def trim(self) -> None:
        """Gives memory without live blocks back to the operating system, now."""
        with self._entered() as handle:
            check_status(lib.hk_arena_trim(handle))

    def check(self) -> None:
        """Recounts the allocator's books of this arena; RuntimeError if they do not agree."""
        with self._entered() as handle:
            check_status(lib.hk_arena_check(handle))

    def map_svg(self, path: str | os.PathLike[str]) -> None:
        """Draws the arena into a file: its figures, its size classes, and its memory by address."""
        with self._entered() as handle, Path(path).open("wb") as file:
            if lib.hk_arena_dump_map(handle, file.fileno()) != lib.HK_OK:
                raise OSError(f"the map of the arena could not be written to {os.fspath(path)!r}")

    def __enter__(self) -> Self:
        with self._entered():
            return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the arena.

        While an exception is on its way, views of buffers may live in its traceback; they do not hide it. Then the
        arena ends with the last of them.
        """
        try:
            self.close()
        except BufferError:
            if error is None:
                raise

    def __repr__(self) -> str:
        if self.closed:
            return "<hakmem.Arena, closed>"
        return f"<hakmem.Arena {self.name!r}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("an arena is memory of this process and cannot be pickled")

    @contextmanager
    def _entered(self) -> Iterator[object]:
        """The arena's handle, for the library's functions that nobody else may be inside of meanwhile."""
        address = self._enter()
        try:
            yield ffi.cast("hk_arena *", address)
        finally:
            self._leave()


def checked_name(name: str) -> str:
    """The name, which is short enough; ValueError if not."""
    encoded_bytes = len(name.encode())
    if encoded_bytes > lib.HK_ARENA_NAME_MAX:
        raise ValueError(f"the name has {encoded_bytes} bytes; it can have {lib.HK_ARENA_NAME_MAX}")
    return name


def checked_limit(limit: int | str | None) -> int:
    """Bytes of a limit; 0 for None; ValueError if it is too low."""
    if limit is None:
        return 0
    limit_bytes = parse_size(limit)
    if limit_bytes < _SMALLEST_LIMIT:
        raise ValueError(f"the limit is {limit!r}; it can be None, or {_SMALLEST_LIMIT} bytes at least")
    return limit_bytes


def _alignment(align: int) -> int:
    if not isinstance(align, int):
        raise TypeError(f"align is {align!r}; it can be a power of two from 8 to {_LARGEST_ALIGNMENT}")
    if not 8 <= align <= _LARGEST_ALIGNMENT or align & (align - 1):
        raise ValueError(f"align is {align!r}; it can be a power of two from 8 to {_LARGEST_ALIGNMENT}")
    return align


def _reserve(reserve: int | str | None) -> int:
    reserve_bytes = 0 if reserve is None else parse_size(reserve)
    if reserve_bytes > _LARGEST_RESERVE:
        raise ValueError(f"the reserve is {reserve!r}; it can be {_LARGEST_RESERVE} bytes at most")
    return reserve_bytes


def _text(pointer: object) -> str:
    return str(ffi.string(pointer).decode())
