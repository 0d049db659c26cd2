"""NumPy arrays in arenas."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeAlias

import hakmem
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Array: TypeAlias = "np.ndarray[Any, Any]"


def lies_in(arena: hakmem.Arena, array: Array) -> bool:
    return array.ctypes.data in [block.address for block in arena.walk()]


@given(st.integers(0, 5000), st.sampled_from("bhdD"), st.booleans(), st.integers(0, 5000))
@settings(max_examples=100, deadline=None)
def test_alignment_zeros_and_resize(length: int, dtype: str, hardened: bool, new_length: int) -> None:
    with hakmem.Arena(hardened=hardened) as arena, hakmem.numpy_arena(arena):
        dirty = np.full(length, 1, dtype)
        del dirty
        array = np.zeros(length, dtype)
        assert array.ctypes.data % 64 == 0
        assert not array.any()
        assert lies_in(arena, array)
        array[:] = np.arange(length)
        array.resize(new_length, refcheck=False)
        assert array.ctypes.data % 64 == 0
        common = min(length, new_length)
        assert (array[:common] == np.arange(length)[:common].astype(dtype)).all()
        assert not array[common:].any()
        del array
        assert arena.statistics().live_blocks == 0
        arena.check()


def test_only_within_the_block() -> None:
    with hakmem.Arena() as arena:
        before = np.zeros(100)
        with hakmem.numpy_arena(arena) as same:
            assert same is arena
            inside = np.zeros(100)
        after = np.zeros(100)
        assert [lies_in(arena, array) for array in (before, inside, after)] == [False, True, False]
        del inside


def test_nested_arenas() -> None:
    with hakmem.Arena(name="outer") as outer, hakmem.Arena(name="inner") as inner:
        with hakmem.numpy_arena(outer):
            with hakmem.numpy_arena(inner):
                first = np.zeros(10)
            second = np.zeros(10)
        assert lies_in(inner, first)
        assert lies_in(outer, second)
        del first, second


def test_arrays_keep_their_arena() -> None:
    def make() -> Array:
        with hakmem.numpy_arena(hakmem.Arena()):
            return np.arange(100_000)

    array = make()
    gc.collect()
    assert array.sum() == 99_999 * 50_000


def test_ends_wait_for_arrays() -> None:
    with hakmem.Arena() as arena:
        with hakmem.numpy_arena(arena):
            array = np.zeros(10)
        view = array[2:]
        del array
        for end in (arena.close, arena.reset):
            with pytest.raises(BufferError, match=r"1 NumPy array\(s\) are in use"):
                end()
        del view
        arena.reset()


def test_the_limit_is_numpy_s_memory_error() -> None:
    with hakmem.Arena(limit="1M") as arena, hakmem.numpy_arena(arena):
        with pytest.raises(MemoryError, match=r"Unable to allocate 7\.63 MiB"):
            np.zeros(1_000_000)
        assert arena.statistics().limit_failures == 1


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.parametrize("hardened", [False, True])
def test_zeros_do_not_touch_memory(hardened: bool) -> None:
    with hakmem.Arena(hardened=hardened) as arena, hakmem.numpy_arena(arena):
        before = resident_bytes()
        array = np.zeros(128 << 20, np.uint8)
        assert resident_bytes() - before < 16 << 20
        assert array[::4096].sum() == 0
        del array


def test_other_threads_are_not_concerned_and_may_free() -> None:
    with hakmem.Arena() as arena:
        arrays: list[Array] = []

        def work() -> None:
            assert not lies_in(arena, np.zeros(1000))
            arrays.clear()

        with hakmem.numpy_arena(arena):
            arrays.append(np.zeros(1000))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert arena.statistics().live_blocks == 0


def test_tasks_have_it_from_where_they_are_created() -> None:
    async def make() -> bool:
        return lies_in(arena, np.zeros(10))

    async def main() -> list[bool]:
        with hakmem.numpy_arena(arena):
            inside = asyncio.create_task(make())
        outside = asyncio.create_task(make())
        return [await inside, await outside]

    with hakmem.Arena() as arena:
        assert asyncio.run(main()) == [True, False]


def test_an_arena_that_is_closed_within_its_block() -> None:
    arena = hakmem.Arena()
    with hakmem.numpy_arena(arena):
        arena.close()
        with pytest.raises(MemoryError):
            np.zeros(1000)
    assert np.zeros(1000).sum() == 0


def test_a_closed_arena_and_other_things() -> None:
    arena = hakmem.Arena()
    handler = hakmem.numpy_arena(arena)
    arena.close()
    with pytest.raises(ValueError, match="the arena is closed"):
        handler.__enter__()
    with pytest.raises(TypeError, match="an Arena is needed"):
        hakmem.numpy_arena(3)  # type: ignore[arg-type]


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import hakmem
with hakmem.Arena() as arena:
    arena.alloc(10)
    try:
        hakmem.numpy_arena(arena)
    except ImportError as error:
        assert "pip install hakmem[numpy]" in str(error)
    else:
        sys.exit("no error")
"""


def test_numpy_is_optional() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], check=True)


def test_arrays_that_outlive_the_interpreter() -> None:
    code = "import hakmem, numpy\na = hakmem.Arena()\nwith hakmem.numpy_arena(a):\n    x = numpy.zeros(1000)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
