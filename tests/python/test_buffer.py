"""Buffers: their bytes, their views, their ends."""

from __future__ import annotations

import array
import ctypes
import gc
import hashlib
import io
import mmap
import socket
import struct
from typing import Any

import hakmem
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.integers(0, 200_000), st.sampled_from([1, 8, 16, 64, 512, 4096, 65536]), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_size_alignment_and_zeros(size: int, align: int, hardened: bool, readonly: bool) -> None:
    with hakmem.Arena(hardened=hardened) as arena:
        dirty = arena.alloc(size, align=align)
        dirty[:] = b"\xff" * size
        dirty.close()
        buffer = arena.alloc(size, align=align, readonly=readonly)
        assert len(buffer) == buffer.nbytes == size
        assert buffer.address % align == 0
        assert buffer.readonly is memoryview(buffer).readonly is readonly
        assert bytes(buffer) == bytes(size)
        arena.check()


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize("own", [8, 16])
def test_an_alignment_of_16_in_every_arena_and_size(own: int, hardened: bool) -> None:
    with hakmem.Arena(align=own, hardened=hardened) as arena:
        buffers = [
            arena.alloc(size, align=16, zeroed=zeroed)
            for size in (0, 3, 8, 24, 24, 40, 72, 72, 104)
            for zeroed in (False, True, False, True)
        ]
        assert [buffer.address % 16 for buffer in buffers] == [0] * len(buffers)
        assert [arena.alloc(3).address % own for _ in range(4)] == [0] * 4


def test_the_arena_s_alignment_counts() -> None:
    with hakmem.Arena(align=64) as arena:
        buffers = [arena.alloc(size) for size in range(0, 3000, 7)]
        assert all(buffer.address % 64 == 0 for buffer in buffers)


def for_numpy(buffer: hakmem.Buffer) -> Any:  # noqa: ANN401
    """What stubs of NumPy's say that it takes differs by its version."""
    return buffer


def test_views_share_the_bytes() -> None:
    with hakmem.Arena() as arena, arena.alloc(64) as buffer:
        array_view = np.frombuffer(for_numpy(buffer), dtype="<u4")
        c_view = (ctypes.c_uint32 * 16).from_buffer(buffer)
        struct.pack_into("<I", buffer, 8, 0x01020304)
        assert array_view[2] == c_view[2] == 0x01020304
        assert bytes(memoryview(buffer)[8:12]) == bytes(buffer[8:12]) == b"\4\3\2\1"
        assert array_view.ctypes.data == ctypes.addressof(c_view) == buffer.address
        assert hashlib.sha256(buffer).digest() == hashlib.sha256(bytes(buffer)).digest()
        del c_view, array_view
        gc.collect()  # ctypes arrays made from buffers are parts of cycles


def test_input_goes_straight_into_it() -> None:
    left, right = socket.socketpair()
    with left, right, hakmem.Arena() as arena, arena.alloc(16) as buffer:
        left.sendall(b"through a socket")
        assert right.recv_into(buffer) == 16
        assert bytes(buffer) == b"through a socket"
        with io.BytesIO(b"read") as file:
            assert file.readinto(buffer) == 4
        assert bytes(buffer[:8]) == b"readugh "


def test_items_and_slices() -> None:
    with hakmem.Arena() as arena, arena.alloc(10) as buffer:
        buffer[0] = 7
        buffer[-1] = 255
        buffer[2:5] = b"abc"
        assert (buffer[0], buffer[9], bytes(buffer[1:6])) == (7, 255, b"\0abc\0")
        assert isinstance(buffer[1:3], memoryview)
        assert list(buffer) == list(bytes(buffer))
        with pytest.raises(IndexError):
            _ = buffer[10]
        with pytest.raises(ValueError, match=r"."):
            buffer[0] = 256
        with pytest.raises(ValueError, match=r"."):
            buffer[0:2] = b"abc"
        with pytest.raises(TypeError):
            del buffer[0]  # type: ignore[attr-defined]


def test_readonly() -> None:
    with hakmem.Arena() as arena, arena.alloc(4) as buffer:
        buffer[:] = b"text"
        buffer.readonly = True
        with pytest.raises(TypeError):
            buffer[0] = 1
        with pytest.raises(TypeError, match="not writable"):
            (ctypes.c_char * 4).from_buffer(buffer)
        assert not np.frombuffer(for_numpy(buffer), dtype=np.uint8).flags.writeable
        with memoryview(buffer), pytest.raises(BufferError, match="readonly cannot change"):
            buffer.readonly = False
        with pytest.raises(TypeError, match="True or False"):
            buffer.readonly = 1  # type: ignore[assignment]
        buffer.readonly = False
        buffer[0] = 84
        assert bytes(buffer) == b"Text"


def test_a_view_keeps_buffer_and_arena() -> None:
    def view() -> memoryview:
        buffer = hakmem.Arena().alloc(1000)
        buffer[:4] = b"kept"
        return memoryview(buffer)[:4]

    kept = view()
    gc.collect()
    assert bytes(kept) == b"kept"
    buffer = kept.obj
    assert isinstance(buffer, hakmem.Buffer)
    assert buffer.arena.statistics().live_blocks == 1


def test_del_frees() -> None:
    with hakmem.Arena() as arena:
        buffer = arena.alloc(1000)
        view = memoryview(buffer)
        del buffer
        assert arena.statistics().live_blocks == 1
        del view
        assert arena.statistics().live_blocks == 0


@pytest.mark.parametrize("end", ["close", "reset"])
def test_ends_wait_for_views(end: str) -> None:
    with hakmem.Arena() as arena:
        buffer, other = arena.alloc(10), arena.alloc(10)
        view = memoryview(buffer)
        with pytest.raises(BufferError, match=r"1 view\(s\)"):
            getattr(arena, end)()
        with pytest.raises(BufferError, match=r"1 view\(s\)"):
            buffer.close()
        assert arena.exports == 1
        view[0] = 5
        other.close()
        view.release()
        getattr(arena, end)()
        assert buffer.closed
        assert arena.closed is (end == "close")


def test_a_buffer_without_memory_says_why() -> None:
    arena = hakmem.Arena()
    closed, reset = arena.alloc(10), arena.alloc(10)
    closed.close()
    closed.close()
    arena.reset()
    late = arena.alloc(10)
    arena.close()
    for buffer, reason in ((closed, "closed"), (reset, "its arena was reset"), (late, "its arena was closed")):
        assert reason in repr(buffer)
        for use in (
            lambda b: memoryview(b),
            len,
            lambda b: b[0],
            lambda b: b.address,
            lambda b: b.nbytes,
            lambda b: b.__enter__(),
            lambda b: b.__dlpack__(),
        ):
            with pytest.raises(ValueError, match=f"no memory any more: {reason}"):
                use(buffer)
        buffer.close()


def test_blocks_of_a_reset_arena_are_not_freed_again() -> None:
    with hakmem.Arena() as arena:
        stale = [arena.alloc(100) for _ in range(50)]
        arena.reset()
        fresh = [arena.alloc(100) for _ in range(50)]
        stale.clear()
        assert arena.statistics().live_blocks == len(fresh)
        arena.check()


def test_arguments_of_alloc() -> None:
    with hakmem.Arena() as arena:
        assert len(arena.alloc(size="1K")) == 1024
        assert len(arena.alloc("1 KB", zeroed=False)) == 1000
        with pytest.raises(TypeError, match="needs a size"):
            arena.alloc()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="2 arguments were given without a name"):
            arena.alloc(1, 2)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="no argument 'alignment'; there are size, align, readonly and zeroed"):
            arena.alloc(1, alignment=2)  # type: ignore[call-arg]
        for align in (0, 3, -8, 1 << 29, 1 << 80):
            with pytest.raises(ValueError, match=f"align is {align}; it can be a power of two"):
                arena.alloc(1, align=align)
        with pytest.raises(TypeError):
            arena.alloc(1, align="16")  # type: ignore[arg-type]


def test_buffers_are_made_by_arenas_only() -> None:
    with pytest.raises(TypeError, match="cannot create"):
        hakmem.Buffer()


def test_other_consumers() -> None:
    with hakmem.Arena() as arena, arena.alloc(mmap.PAGESIZE, align=mmap.PAGESIZE) as buffer:
        assert array.array("B", buffer).tobytes() == bytes(buffer)
        assert memoryview(buffer).cast("d").nbytes == mmap.PAGESIZE


def test_dlpack() -> None:
    with hakmem.Arena() as arena, arena.alloc(100) as buffer:
        assert buffer.__dlpack_device__() == (1, 0)
        array_view = np.from_dlpack(buffer)
        buffer[3] = 9
        assert array_view.dtype == np.uint8
        assert (array_view.shape, array_view[3]) == ((100,), 9)
        assert array_view.ctypes.data == buffer.address
        with pytest.raises(BufferError):
            buffer.close()
        del array_view
        assert arena.exports == 0


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (2, 7)])
def test_dlpack_capsules_that_nobody_takes(version: tuple[int, int] | None) -> None:
    with hakmem.Arena() as arena, arena.alloc(100) as buffer:
        capsule = buffer.__dlpack__(stream=None, max_version=version, dl_device=(1, 0), copy=False)
        assert ("dltensor_versioned" in repr(capsule)) is (version is not None and version[0] > 0)
        assert arena.exports == 1
        del capsule
        assert arena.exports == 0


def test_dlpack_says_what_it_cannot() -> None:
    with hakmem.Arena() as arena, arena.alloc(100, readonly=True) as buffer:
        with pytest.raises(BufferError, match="read-only"):
            buffer.__dlpack__()
        with pytest.raises(BufferError, match=r"\(2, 0\) was asked for"):
            buffer.__dlpack__(dl_device=(2, 0))
        with pytest.raises(BufferError, match="copy what was made of it"):
            buffer.__dlpack__(copy=True)
        for name in ("dl_device", "max_version"):
            with pytest.raises(TypeError, match=f"{name} is 1; it can be None or a tuple"):
                buffer.__dlpack__(**{name: 1})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="no argument 'colour'"):
            buffer.__dlpack__(colour=1)  # type: ignore[call-arg]
        assert arena.exports == 0
        buffer.__dlpack__(max_version=(1, 0))
