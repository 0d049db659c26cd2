"""hakmem._C_API, and where the package keeps what extension modules are built with.

The table is called through ctypes, as an extension would call it that was built for version 1.0.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from ctypes import PYFUNCTYPE, c_int, c_size_t, c_ssize_t, c_uint, c_void_p, py_object
from pathlib import Path
from typing import Any

import hakmem
import pytest
from hypothesis import given
from hypothesis import strategies as st

NAME = b"hakmem._C_API"
POINTER, SIZE = c_void_p, c_size_t

# Functions that need the GIL; exceptions come through.
OF_OBJECTS: dict[str, tuple[Any, ...]] = {
    "arena_alloc": (POINTER, py_object, SIZE, SIZE),
    "arena_calloc": (POINTER, py_object, SIZE, SIZE, SIZE),
    "arena_realloc": (POINTER, py_object, POINTER, SIZE, SIZE),
    "arena_free": (c_int, py_object, POINTER),
    "arena_free_unraisable": (None, py_object, POINTER),
    "arena_from_object": (POINTER, py_object),
    "arena_enter": (POINTER, py_object),
    "arena_leave": (c_int, py_object, c_ssize_t),
    "buffer_new": (py_object, py_object, SIZE),
    "buffer_bytes": (POINTER, py_object, ctypes.POINTER(SIZE)),
}
OF_THE_LIBRARY: dict[str, tuple[Any, ...]] = {
    "hk_version": (ctypes.c_char_p,),
    "hk_status_name": (ctypes.c_char_p, c_int),
    "hk_status_message": (ctypes.c_char_p, c_int),
    "hk_last_status": (c_int,),
    "hk_good_size": (SIZE, SIZE),
    "hk_malloc": (POINTER, SIZE),
    "hk_calloc": (POINTER, SIZE, SIZE),
    "hk_realloc": (POINTER, POINTER, SIZE),
    "hk_aligned_alloc": (POINTER, SIZE, SIZE),
    "hk_free": (None, POINTER),
    "hk_free_sized": (None, POINTER, SIZE),
    "hk_usable_size": (SIZE, POINTER),
    "hk_arena_create": (c_int, POINTER, ctypes.POINTER(POINTER)),
    "hk_arena_destroy": (c_int, POINTER),
    "hk_arena_reset": (c_int, POINTER),
    "hk_arena_retire": (c_int, POINTER),
    "hk_arena_trim": (c_int, POINTER),
    "hk_purge": (None,),
    "hk_arena_alloc": (POINTER, POINTER, SIZE),
    "hk_arena_calloc": (POINTER, POINTER, SIZE, SIZE),
    "hk_arena_realloc": (POINTER, POINTER, POINTER, SIZE),
    "hk_arena_aligned_alloc": (POINTER, POINTER, SIZE, SIZE),
    "hk_arena_free": (c_int, POINTER, POINTER),
    "hk_arena_free_sized": (c_int, POINTER, POINTER, SIZE),
    "hk_arena_realloc_sized": (POINTER, POINTER, POINTER, SIZE, SIZE),
    "hk_arena_default": (POINTER,),
    "hk_arena_of": (POINTER, POINTER),
    "hk_arena_owns": (ctypes.c_bool, POINTER, POINTER),
    "hk_arena_set_limit": (c_int, POINTER, SIZE),
    "hk_arena_limit": (SIZE, POINTER),
    "hk_arena_name": (ctypes.c_char_p, POINTER),
    "hk_arena_statistics": (c_int, POINTER, POINTER),
    "hk_classify": (c_int, POINTER, POINTER),
}


class Table(ctypes.Structure):
    """struct hakmem_python_api, version 1.0."""

    _fields_ = [
        ("struct_size", SIZE),
        ("abi_major", c_uint),
        ("abi_minor", c_uint),
        *((name, PYFUNCTYPE(*types)) for name, types in OF_OBJECTS.items()),
        *((name, ctypes.CFUNCTYPE(*types)) for name, types in OF_THE_LIBRARY.items()),
    ]


def table() -> Any:  # noqa: ANN401  ctypes gives its fields no types
    """The table of the installed package."""
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = POINTER, [py_object, ctypes.c_char_p]
    return Table.from_address(pointer_of(hakmem._C_API, NAME))


HEADER = Path(hakmem.get_include()) / "hakmem_python.h"
api = table()
Call = Callable[[], Any]


def error_of(call: Callable[..., Any], *arguments: object) -> str:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*arguments)
    return f"{caught.type.__name__}: {caught.value}"


def test_the_table_grows_at_its_end_only() -> None:
    assert api.abi_major == 1
    assert api.struct_size >= ctypes.sizeof(Table)
    assert api.hk_version().decode() == hakmem.__version__
    text = HEADER.read_text(encoding="utf-8")
    positions = [text.index(f"(*{name})(") for name, _ in Table._fields_[3:]]  # type: ignore[misc]
    assert positions == sorted(positions)


def test_blocks_lie_in_the_arena_and_hold_it_open() -> None:
    with hakmem.Arena(name="held") as arena:
        block = api.arena_alloc(arena, 1000, 0)
        assert [row.address for row in arena.walk()] == [block]
        assert arena.exports == 1
        for end in (arena.close, arena.reset):
            with pytest.raises(BufferError, match=r"1 block\(s\) of extension modules"):
                end()
        assert api.arena_free(arena, block) == 0
        assert api.arena_free(arena, None) == 0
        assert (arena.exports, arena.statistics().live_blocks) == (0, 0)
        arena.reset()


@given(
    st.sampled_from([8, 16, 64]),
    st.sampled_from([0, 1, 8, 16, 64, 1024, 4096]),
    st.booleans(),
    st.lists(st.integers(0, 300_000), min_size=1, max_size=5),
)
def test_alignment_and_bytes_through_reallocations(own: int, align: int, hardened: bool, sizes: list[int]) -> None:
    with hakmem.Arena(align=own, hardened=hardened) as arena:
        neighbours = [api.arena_alloc(arena, 24, 8) for _ in range(3)]
        block, old_size = None, 0
        for size in sizes:
            block = api.arena_realloc(arena, block, size, align)
            assert block % (align or own) == 0
            common = min(size, old_size)
            assert ctypes.string_at(block, common) == b"\x5a" * common
            ctypes.memset(block, 0x5A, size)
            old_size = size
        assert arena.statistics().live_blocks == 4
        for each in (block, *neighbours):
            api.arena_free(arena, each)
        zeros = api.arena_calloc(arena, 3, sizes[0], align)
        assert zeros % (align or own) == 0
        assert not any(ctypes.string_at(zeros, 3 * sizes[0]))
        api.arena_free(arena, zeros)
        arena.check()


def test_limits_are_memory_errors() -> None:
    with hakmem.Arena(limit="64K", name="small") as arena:
        block = api.arena_alloc(arena, 1000, 0)
        too_large: list[Call] = [
            lambda: api.arena_alloc(arena, 1 << 20, 0),
            lambda: api.arena_calloc(arena, 1 << 10, 1 << 10, 64),
            lambda: api.arena_realloc(arena, block, 1 << 20, 0),
            lambda: api.arena_realloc(arena, block, 1 << 20, 4096),
            lambda: api.buffer_new(arena, 1 << 20),
        ]
        for grow in too_large:
            with pytest.raises(MemoryError, match="arena 'small': 1048576 bytes requested, limit 65536 bytes"):
                grow()
        with pytest.raises(MemoryError):
            api.arena_calloc(arena, 1 << 40, 1 << 40, 0)
        with pytest.raises(MemoryError):
            api.arena_alloc(arena, -1, 0)
        assert arena.exports == 1
        api.arena_free(arena, block)


def test_misuse_is_an_exception() -> None:
    with hakmem.Arena() as arena, hakmem.Arena(name="other") as other:
        block, kept = api.arena_alloc(arena, 100, 0), api.arena_alloc(arena, 100, 0)
        wrong: list[tuple[Call, str]] = [
            (lambda: api.arena_free(arena, block + 8), "HK_ERR_INTERIOR_POINTER"),
            (lambda: api.arena_free(other, block), "HK_ERR_WRONG_ARENA"),
            (lambda: api.arena_free(arena, id(arena)), "HK_ERR_FOREIGN_POINTER"),
            (lambda: api.arena_realloc(other, block, 1000, 0), "HK_ERR_WRONG_ARENA"),
            (lambda: api.arena_realloc(other, block, 1000, 8192), "HK_ERR_WRONG_ARENA"),
        ]
        for call, status in wrong:
            with pytest.raises(hakmem.MisuseError, match=status):
                call()
        assert api.arena_free(arena, block) == 0
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_DOUBLE_FREE"):
            api.arena_free(arena, block)
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_DOUBLE_FREE"):
            api.arena_realloc(arena, block, 10, 0)
        assert arena.exports == 1
        api.arena_free(arena, kept)
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_DOUBLE_FREE"):
            api.arena_free(arena, kept)
        assert arena.exports == 0


def test_misuse_that_the_policy_lets_pass() -> None:
    hakmem.set_error_policy("report")
    try:
        with hakmem.Arena() as arena:
            block = api.arena_alloc(arena, 100, 0)
            with pytest.warns(hakmem.MisuseWarning, match="HK_ERR_INTERIOR_POINTER"):
                assert api.arena_free(arena, block + 8) == 0
            with (
                pytest.warns(hakmem.MisuseWarning, match="HK_ERR_INTERIOR_POINTER"),
                pytest.raises(RuntimeError, match="HK_ERR_INTERIOR_POINTER"),
            ):
                api.arena_realloc(arena, block + 8, 10, 0)
            assert arena.exports == 1
            api.arena_free(arena, block)
    finally:
        hakmem.set_error_policy("raise")


def test_an_overwritten_block_goes_with_its_arena() -> None:
    with hakmem.Arena(hardened=True) as arena:
        block = api.arena_alloc(arena, 10, 0)
        ctypes.memset(block, 1, 12)
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_OVERFLOW"):
            api.arena_free(arena, block)
        assert arena.exports == 0


def test_a_write_after_free_is_raised_and_leaves_no_block() -> None:
    with hakmem.Arena(hardened=True) as arena:
        freed = [api.arena_alloc(arena, 1000, 0) for _ in range(64)]
        for block in freed:
            api.arena_free(arena, block)
            ctypes.memset(block, 1, 8)
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_WRITE_AFTER_FREE"):
            for _ in range(64):
                api.arena_free(arena, api.arena_alloc(arena, 1000, 0))
        assert (arena.exports, arena.statistics().live_blocks) == (0, 0)


def test_blocks_of_buffers_are_not_an_extension_s() -> None:
    with hakmem.Arena() as arena:
        buffer = arena.alloc(100)
        with pytest.raises(ValueError, match="is that of a Buffer or a NumPy array"):
            api.arena_free(arena, buffer.address)
        with pytest.raises(ValueError, match="is that of a Buffer or a NumPy array"):
            api.arena_realloc(arena, buffer.address, 200, 0)
        assert bytes(buffer) == bytes(100)


def test_a_destructor_s_free(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    with hakmem.Arena() as arena:
        block = api.arena_alloc(arena, 100, 0)
        api.arena_free_unraisable(arena, block)
        assert not seen
        api.arena_free_unraisable(arena, block)
        assert [type(report.exc_value) for report in seen] == [hakmem.MisuseError]
        seen.clear()


def test_what_is_no_arena() -> None:
    closed = hakmem.Arena()
    closed.close()
    for call, arguments in (
        (api.arena_alloc, (1, 0)),
        (api.arena_calloc, (1, 1, 0)),
        (api.arena_realloc, (None, 1, 0)),
        (api.arena_free, (1,)),
        (api.arena_from_object, ()),
        (api.arena_enter, ()),
        (api.buffer_new, (1,)),
    ):
        assert error_of(call, "text", *arguments) == "TypeError: an Arena is needed, not 'text'"
        assert error_of(call, closed, *arguments) == "ValueError: the arena is closed"
    assert error_of(api.arena_leave, "text", 0) == "TypeError: an Arena is needed, not 'text'"
    with hakmem.Arena() as arena:
        for align in (3, 1 << 29, (1 << 64) - 8):
            assert "it can be 0, or a power of two up to 268435456" in error_of(api.arena_alloc, arena, 1, align)


def test_buffers() -> None:
    size = ctypes.c_size_t()
    with hakmem.Arena(align=64) as arena:
        buffer = api.buffer_new(arena, 100)
        assert isinstance(buffer, hakmem.Buffer)
        assert (buffer.arena, bytes(buffer)) == (arena, bytes(100))
        assert api.buffer_bytes(buffer, ctypes.byref(size)) == buffer.address
        assert (size.value, buffer.address % 64) == (100, 0)
        assert api.buffer_bytes(buffer, None) == buffer.address
        buffer.close()
        assert "no memory any more" in error_of(api.buffer_bytes, buffer, None)
        assert error_of(api.buffer_bytes, b"", None) == "TypeError: a Buffer is needed, not b''"


def test_handles() -> None:
    with hakmem.Arena(name="asked") as arena:
        handle = api.arena_from_object(arena)
        assert api.hk_arena_name(handle) == b"asked"
        block = api.arena_alloc(arena, 10, 0)
        assert api.hk_arena_of(block) == handle
        assert api.hk_arena_owns(handle, block)
        api.arena_free(arena, block)


def test_who_is_inside_has_the_arena_for_itself() -> None:
    with hakmem.Arena() as arena:
        handle = api.arena_enter(arena)
        with pytest.raises(BufferError):
            arena.close()  # by this thread, which could
        waits = threading.Event()

        def work() -> None:
            waits.set()
            arena.alloc(10).close()
            done.set()

        done = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        waits.wait()
        blocks = [api.hk_arena_alloc(handle, 100) for _ in range(10_000)]
        for block in blocks[5:]:
            assert api.hk_arena_free(handle, block) == 0
        assert not done.is_set()
        assert api.arena_leave(arena, 5) == 0
        thread.join()
        assert arena.exports == 5
        for block in blocks[:3]:
            api.arena_free(arena, block)
        handle = api.arena_enter(arena)
        assert api.arena_enter(arena) == handle
        for block in blocks[3:5]:
            assert api.hk_arena_free(handle, block) == 0
        assert api.arena_leave(arena, -1) == 0
        assert api.arena_leave(arena, -1) == 0
        assert arena.exports == 0


def test_wrong_leaves() -> None:
    with hakmem.Arena() as arena:
        with pytest.raises(RuntimeError, match="this thread has not entered the arena"):
            api.arena_leave(arena, 0)
        api.arena_enter(arena)
        with pytest.raises(ValueError, match=r"cannot have 2 block\(s\) of extensions less, as there are 0"):
            api.arena_leave(arena, -2)
        assert arena.exports == 0
        api.arena_enter(arena)
        failures: list[BaseException] = []

        def leave() -> None:
            try:
                api.arena_leave(arena, 0)
            except RuntimeError as error:
                failures.append(error)

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        assert len(failures) == 1
        api.arena_leave(arena, 0)


def test_threads() -> None:
    def work() -> None:
        blocks: list[int] = []
        for size in range(0, 3000, 10):
            blocks.append(api.arena_alloc(arena, size, 0))
            if size % 3 == 0:
                blocks[0] = api.arena_realloc(arena, blocks[0], size * 2, 0)
            if size % 7 == 0:
                api.arena_free(arena, blocks.pop())
        for block in blocks[1:]:
            api.arena_free(arena, block)

    with hakmem.Arena() as arena:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert arena.exports == arena.statistics().live_blocks == 4
        arena.check()
        for row in arena.walk():
            api.arena_free(arena, row.address)


def test_rollback_waits_for_blocks() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        arena.checkpoint()
        block = api.arena_alloc(arena, 100, 0)
        with pytest.raises(BufferError, match=r"1 block\(s\) of extension modules"):
            arena.rollback()
        api.arena_free(arena, block)
        arena.rollback()


def test_the_process_heap_and_arenas_of_its_own() -> None:
    block = api.hk_realloc(api.hk_calloc(10, 10), 1000)
    assert ctypes.string_at(block, 100) == bytes(100)
    assert api.hk_usable_size(block) == api.hk_good_size(1000)
    assert api.hk_arena_of(block) == api.hk_arena_default()
    api.hk_free_sized(block, 1000)
    handle = ctypes.c_void_p()
    assert api.hk_arena_create(None, ctypes.byref(handle)) == 0
    assert api.hk_arena_set_limit(handle, 65536) == 0
    assert api.hk_arena_limit(handle) == 65536
    assert api.hk_arena_alloc(handle, 1 << 20) is None
    assert api.hk_status_name(api.hk_last_status()) == b"HK_ERR_LIMIT"
    assert api.hk_arena_destroy(handle) == 0


def test_the_folders_are_there() -> None:
    include, library, cmake = map(Path, (hakmem.get_include(), hakmem.get_library(), hakmem.get_cmake_dir()))
    assert (include / "hakmem.h").is_file()
    assert HEADER.is_file()
    assert library.read_bytes().startswith(b"!<arch>\n")
    assert (cmake / "hakmemConfig.cmake").is_file()
