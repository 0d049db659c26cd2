"""NumPy arrays in arenas."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hakmem import _native

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

    from hakmem._arena import Arena


class numpy_arena:  # noqa: N801  it is called as a function, in a with statement
    """Within `with numpy_arena(arena):`, the data of new NumPy arrays lies in the arena, at multiples of 64 bytes.

    It holds for the context (`contextvars`) of the code in the block: other threads are not concerned, tasks that are
    created in the block are. Each array keeps the arena alive; as long as there is one, the arena cannot be closed.
    """

    def __init__(self, arena: Arena) -> None:
        try:
            import numpy  # noqa: F401  it need not be there for this module
        except ImportError as error:
            raise ImportError("numpy_arena needs NumPy: pip install hakmem[numpy]") from error
        self._handler = _native.numpy_handler(arena, _numpy_wants_huge_pages() and _system_has_huge_pages_on_advice())
        self._arena = arena
        self._previous: list[CapsuleType] = []

    def __enter__(self) -> Arena:
        import numpy

        if self._arena.closed:
            raise ValueError("the arena is closed")
        self._previous.append(_native.numpy_set_handler(self._handler))
        # Sets what is set. NumPy looks for this in the context at each operation, and what is there is found faster.
        numpy.seterr()
        return self._arena

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _native.numpy_set_handler(self._previous.pop())


def _numpy_wants_huge_pages() -> bool:
    """NumPy's own switch, which NUMPY_MADVISE_HUGEPAGE sets. Older NumPy tells it only to those who set it."""
    try:
        multiarray = import_module("numpy._core.multiarray")
    except ImportError:
        multiarray = import_module("numpy.core.multiarray")
    wants = bool(multiarray._set_madvise_hugepage(True))
    multiarray._set_madvise_hugepage(wants)
    return wants


def _system_has_huge_pages_on_advice() -> bool:
    """Where all memory has them, or none, there is nothing to ask for."""
    try:
        return "[madvise]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return False
