"""Threads and forks."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import hakmem
import pytest

THREADS = 4


def together(*work: Callable[[], None]) -> None:
    """Runs all at once; raises what one of them raises."""
    barrier = threading.Barrier(len(work))

    def run(function: Callable[[], None]) -> None:
        barrier.wait()
        function()

    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(run, function) for function in work]:
            future.result()


def test_buffers_cross_threads() -> None:
    slots: list[hakmem.Buffer | None] = [None] * 100

    def churn(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(3000):
            size = chance.choice([10, 100, 1000, 5000, 300_000])
            buffer = arena.alloc(size)
            buffer[0] = buffer[-1] = seed
            slots[chance.randrange(len(slots))] = buffer

    def look() -> None:
        for _ in range(300):
            figures = arena.statistics()
            assert figures.held_bytes <= 64 << 20
            arena.walk()
            arena.trim()
            arena.check()

    with hakmem.Arena(limit="64M") as arena:
        together(*(lambda seed=seed: churn(seed) for seed in range(THREADS)), look)
        slots.clear()
        arena.check()
        assert arena.statistics().live_blocks == 0


def test_memory_freed_by_one_thread_serves_the_others() -> None:
    with hakmem.Arena(limit="1M") as arena:
        for _ in range(20):
            buffers = [arena.alloc(10_000) for _ in range(90)]
            together(buffers.clear)


def test_reset_and_close_against_allocation() -> None:
    def allocate() -> None:
        for _ in range(2000):
            try:
                arena.alloc(500).close()
                arena.alloc(300_000)
            except ValueError as error:
                assert "the arena is closed" in str(error)

    def reset() -> None:
        for _ in range(200):
            arena.reset()
        arena.close()

    for _ in range(3):
        arena = hakmem.Arena()
        together(allocate, allocate, reset)
        assert arena.closed


def in_child(work: Callable[[], None]) -> int:
    """The exit code of a child that does the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_has_the_arena_for_itself() -> None:
    def work() -> None:
        assert bytes(buffer) == b"parent"
        buffer[:] = b"child!"
        assert len(arena.alloc(100)) == 100
        arena.check()
        buffer.close()
        arena.close()

    with hakmem.Arena() as arena, arena.alloc(6) as buffer:
        buffer[:] = b"parent"
        assert in_child(work) == 0
        assert bytes(buffer) == b"parent"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_a_thread_is_inside() -> None:
    inside, forked = threading.Event(), threading.Event()
    refused: list[BaseException | None] = []
    buffers: list[hakmem.Buffer] = []

    def stay() -> None:
        arena._enter()
        inside.set()
        forked.wait()
        arena._leave()

    def work() -> None:
        with pytest.raises(RuntimeError, match="inside of the arena when this process was forked"):
            arena.alloc(10)
        sys.unraisablehook = lambda event: refused.append(event.exc_value)
        buffers.clear()
        assert [type(error) for error in refused] == [RuntimeError]

    with hakmem.Arena() as arena:
        thread = threading.Thread(target=stay)
        buffers.append(arena.alloc(10))
        thread.start()
        inside.wait()
        try:
            assert in_child(work) == 0
        finally:
            forked.set()
            thread.join()
        assert len(arena.alloc(10)) == 10
