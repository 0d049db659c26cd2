"""The memory of arrays in arenas: what is kept for reuse, huge pages, and calls as other code than NumPy makes them."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import hakmem
import numpy as np
import pytest
from hakmem import _native

Array: TypeAlias = "np.ndarray[Any, Any]"

MIB = 1 << 20
PAGE = 4096
HUGE_PAGES_ARE_ON_ADVICE = "[madvise]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text("ascii")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE


# ---- blocks that are kept for the next arrays ----


def test_kept_blocks_are_not_live_for_anybody() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        for length in (10_000, 100_000, 1_000_000):
            array = np.ones(length)
            del array
            assert arena.statistics().live_bytes == arena.statistics().large_bytes == 0
            array = np.ones(length)
            del array
            assert arena.walk() == []
            array = np.ones(length)
            del array
            arena.check()
            assert arena.exports == 0
        arena.reset()


def test_the_next_array_of_a_size_gets_the_same_memory() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        addresses = set()
        for _ in range(10):
            array = np.full(100_000, 7)
            addresses.add(array.ctypes.data)
            del array
            array = np.zeros(99_999, np.int64)
            addresses.add(array.ctypes.data)
            assert not array.any()
            del array
        assert len(addresses) == 1


def test_trim_gives_back_what_is_kept() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        before = resident_bytes()
        arrays = [np.ones(4 * MIB, np.uint8) for _ in range(32)]
        del arrays
        arena.trim()
        assert resident_bytes() - before < 8 * MIB


def test_a_full_arena_takes_back_what_it_keeps() -> None:
    with hakmem.Arena(limit="20M") as arena, hakmem.numpy_arena(arena):
        kept = [np.ones(1_000_000), np.ones(1_000_000)]
        del kept
        small = [np.ones(1000) for _ in range(2000)]
        del small
        kept = [np.ones(1_000_000), np.ones(1_000_000)]
        del kept
        other = [np.ones(1_200_000), np.ones(1_200_000)]
        del other
        kept = [np.ones(1_000_000), np.ones(1_000_000)]
        del kept
        assert len(arena.alloc("19M")) == 19 * MIB
        assert len(arena.alloc("1M")) == MIB


@pytest.mark.parametrize("length", [100, 1000, 4000, 100_000])
def test_a_refusal_counts_once(length: int) -> None:
    with hakmem.Arena(limit="2M") as arena, hakmem.numpy_arena(arena):
        arrays = []
        with pytest.raises(MemoryError):
            while True:
                arrays.append(np.ones(length))
        assert arena.statistics().limit_failures == 1
        assert 2_000_000 - len(arrays) * length * 8 < length * 8 + 60_000
        del arrays


def test_a_rewindable_arena_keeps_nothing_across_its_base() -> None:
    with hakmem.Arena(rewindable=True) as arena, hakmem.numpy_arena(arena):
        array = np.ones(100_000)
        del array
        arena.checkpoint()
        array = np.ones(100_000)
        del array
        arena.rollback()
        assert arena.statistics().live_blocks == 0
        arena.check()


def test_what_is_beyond_the_limit_leaves_the_arena_as_it_was() -> None:
    with hakmem.Arena(limit="1M") as arena, hakmem.numpy_arena(arena):
        arrays = []
        with pytest.raises(MemoryError):
            while True:
                arrays.append(np.ones(10_000))
        assert all(array.sum() == 10_000 for array in arrays)
        held = len(arrays)
        del arrays
        again = [np.ones(10_000) for _ in range(held)]
        with pytest.raises(MemoryError):
            np.ones(10_000)
        first = again[0]
        with pytest.raises(MemoryError):
            first.resize(200_000, refcheck=False)
        assert first.sum() == 10_000
        del again, first
        assert arena.statistics().live_blocks == 0


# ---- zeros ----


def test_a_gigabyte_of_zeros_is_not_touched() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        before = resident_bytes()
        array = np.zeros(1 << 30, np.uint8)
        assert resident_bytes() - before < MIB
        assert array[:: 1 << 24].sum() == 0
        assert arena.statistics().live_bytes == 1 << 30
        del array


@pytest.mark.parametrize("size", [8, 1000, 20_000, 100_000, MIB, 9_000_000, 40_000_000])
@pytest.mark.parametrize("hardened", [False, True])
def test_zeros_where_something_was(size: int, hardened: bool) -> None:
    with hakmem.Arena(hardened=hardened) as arena, hakmem.numpy_arena(arena):
        for _ in range(3):
            dirty = np.full(size, 255, np.uint8)
            del dirty
            array = np.zeros(size, np.uint8)
            assert not array.any()
            del array


# ---- huge pages ----


def flags_at(address: int) -> set[str]:
    """What the kernel has noted of the mapping there: "hg" is advised to have huge pages, "nh" to have none."""
    mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text("ascii"), flags=re.MULTILINE)
    for mapping in mappings[1:]:
        start, end = (int(number, 16) for number in mapping.split(maxsplit=1)[0].split("-"))
        flags = re.search(r"^VmFlags: (.*)$", mapping, re.MULTILINE)
        if start <= address < end and flags is not None:
            return set(flags[1].split())
    raise AssertionError(f"nothing is mapped at {address:#x}")


def is_advised(address: int) -> bool:
    return "hg" in flags_at(address)


@pytest.mark.parametrize("make", [np.ones, np.zeros, np.empty])
def test_arrays_from_4_mib_on_are_advised_to_have_huge_pages(make: Callable[[int], Array]) -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        for length, expected in ((4 * MIB // 8, True), (1_000_001, True), (4 * MIB // 8 - 1, False)):
            array = make(length)
            address, size = array.ctypes.data, array.nbytes
            last_page = (address + size) // PAGE * PAGE - 1
            assert is_advised(address) == is_advised(last_page) == (expected and HUGE_PAGES_ARE_ON_ADVICE)
            assert not is_advised((address + size + PAGE - 1) // PAGE * PAGE)
            del array
            arena.statistics()  # nothing is kept for the next array from here on
            neighbour = arena.alloc(100)
            assert not is_advised(neighbour.address)


def test_the_advice_goes_with_the_array() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        array = np.ones(1_000_000)
        address = array.ctypes.data
        del array
        arena.statistics()
        same = arena.alloc(8_000_000)
        assert same.address == address
        assert not is_advised(address)


def test_the_advice_follows_a_resize() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        array = np.arange(100_000)
        for length in (1_000_000, 5_000_000, 20_000_000, 2_000_000, 100_000, 3_000_000):
            array.resize(length, refcheck=False)
            address = array.ctypes.data
            assert address % 64 == 0
            assert (array[:100_000] == np.arange(100_000)).all()
            assert is_advised(address) == (HUGE_PAGES_ARE_ON_ADVICE and array.nbytes >= 4 * MIB)
        del array
        arena.check()


def test_a_resize_moves_pages_not_bytes() -> None:
    """Within the limit there is no room for a copy: the kernel moves the pages, advised or not."""
    with hakmem.Arena(limit="300M") as arena, hakmem.numpy_arena(arena):
        array = np.ones(100 * MIB, np.uint8)
        wall = [np.empty(4 * MIB, np.uint8) for _ in range(4)]  # in the way of growing in place
        array.resize(250 * MIB, refcheck=False)
        assert array[: 100 * MIB].sum() == 100 * MIB
        del array, wall


def test_numpy_s_own_switch_counts() -> None:
    multiarray: Any = sys.modules.get("numpy._core.multiarray") or sys.modules["numpy.core.multiarray"]
    was = multiarray._set_madvise_hugepage(False)
    try:
        with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
            assert multiarray._set_madvise_hugepage(False) is False
            array = np.ones(1_000_000)
            assert not is_advised(array.ctypes.data)
            del array
    finally:
        multiarray._set_madvise_hugepage(was)


def test_a_rewindable_arena_has_small_pages() -> None:
    with hakmem.Arena(rewindable=True) as arena, hakmem.numpy_arena(arena):
        array = np.ones(1_000_000)
        assert not is_advised(array.ctypes.data)
        del array


# ---- the handler as other code may call it ----


class Handler(ctypes.Structure):
    """PyDataMem_Handler, as far as it is called here; calls let go of the GIL."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
        ("calloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)),
        ("realloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
        ("free", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
    )


def handler_of(capsule: object) -> Handler:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return Handler.from_address(get_pointer(capsule, b"mem_handler"))


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    raised: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: raised.append(event.exc_value.status))
    yield raised


SIZES = [100, 20_000, 100_000, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_second_free_is_reported(size: int, unraisable: list[str]) -> None:
    with hakmem.Arena() as arena:
        capsule = _native.numpy_handler(arena, True)
        handler = handler_of(capsule)
        block = handler.malloc(handler.context, size)
        other = handler.malloc(handler.context, size)
        handler.free(handler.context, block, size)
        handler.free(handler.context, block, size)
        assert unraisable == ["HK_ERR_DOUBLE_FREE"]
        handler.free(handler.context, other + 64, size)
        assert unraisable[1:] == ["HK_ERR_INTERIOR_POINTER"]
        handler.free(handler.context, other, size)
        arena.check()
        assert arena.statistics().live_blocks == 0


@pytest.mark.parametrize("size", SIZES)
def test_an_address_of_others_is_reported(size: int, unraisable: list[str]) -> None:
    with hakmem.Arena() as arena, hakmem.Arena() as other:
        capsules = _native.numpy_handler(arena, False), _native.numpy_handler(other, False)
        mine, others = map(handler_of, capsules)
        block = others.malloc(others.context, size)
        mine.free(mine.context, block, size)
        foreign = ctypes.create_string_buffer(size)
        mine.free(mine.context, ctypes.addressof(foreign), size)
        assert unraisable == ["HK_ERR_WRONG_ARENA", "HK_ERR_FOREIGN_POINTER"]
        others.free(others.context, block, size)
        assert other.statistics().live_blocks == 0


def test_sizes_that_are_told_wrong_do_no_harm() -> None:
    with hakmem.Arena() as arena:
        capsule = _native.numpy_handler(arena, True)
        handler = handler_of(capsule)
        for size in SIZES:
            for told in (0, 1, *SIZES, 1 << 40):
                block = handler.calloc(handler.context, 1, size)
                handler.free(handler.context, block, told)
                assert arena.statistics().live_blocks == 0
        assert handler.calloc(handler.context, 1 << 40, 1 << 40) is None


def test_without_the_gil_from_many_threads() -> None:
    with hakmem.Arena() as arena:
        capsule = _native.numpy_handler(arena, True)
        handler = handler_of(capsule)

        def churn(size: int) -> None:
            for i in range(300):
                block = handler.malloc(handler.context, size + i)
                block = handler.realloc(handler.context, block, 2 * size)
                handler.free(handler.context, block, 2 * size)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(churn, [10, 3000, 30_000, 300_000]))
        assert arena.statistics().live_blocks == 0
        arena.check()


# ---- contexts, threads and processes ----


def test_numpy_s_treatment_of_errors_is_as_it_was() -> None:
    with hakmem.Arena() as arena, np.errstate(divide="raise", over="ignore"):
        before = np.geterr()
        with hakmem.numpy_arena(arena):
            assert np.geterr() == before
            with pytest.raises(FloatingPointError):
                np.ones(3) / np.zeros(3)
        assert np.geterr() == before


def test_threads_that_share_an_arena_while_others_look() -> None:
    slots: list[Array] = [np.zeros(0)] * 64
    is_done = threading.Event()

    def churn(seed: int) -> None:
        chance = np.random.default_rng(seed)
        with hakmem.numpy_arena(arena):
            for _ in range(400):
                length = int(chance.choice([1, 100, 2000, 5000, 20_000, 200_000]))
                array = np.full(length, seed) * 2 + 1
                assert array[0] == array[-1] == 2 * seed + 1
                slots[int(chance.integers(64))] = array  # so that another thread may free it

    def look() -> None:
        while not is_done.is_set():
            arena.statistics()
            arena.walk()
            arena.trim()
            arena.check()
            assert len(arena.alloc(300_000)) == 300_000

    with hakmem.Arena() as arena:
        looking = threading.Thread(target=look)
        looking.start()
        try:
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(churn, range(3)))
        finally:
            is_done.set()
            looking.join()
        slots.clear()
        gc.collect()
        assert arena.statistics().live_blocks == 0
        arena.check()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_has_the_arrays_for_itself() -> None:
    with hakmem.Arena() as arena, hakmem.numpy_arena(arena):
        array = np.arange(100_000)
        kept = np.ones(50_000)
        del kept
        child = os.fork()
        if child == 0:
            array += np.full(100_000, 1)
            again = np.ones(50_000)
            os._exit(0 if array[-1] == 100_000 and again.sum() == 50_000 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert array[-1] == 99_999
        del array
