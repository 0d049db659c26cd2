"""What happens when there is no memory, and when it is misused."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator

import hakmem
import pytest


@pytest.fixture(autouse=True)
def policy() -> Iterator[None]:
    before = hakmem.error_policy()
    yield
    hakmem.set_error_policy(before)


def test_a_limit_is_a_memory_error_that_tells() -> None:
    with hakmem.Arena(limit="64K", name="small") as arena:
        kept = arena.alloc(10_000)
        with pytest.raises(MemoryError) as caught:
            arena.alloc("1M")
        assert str(caught.value) == "arena 'small': 1048576 bytes requested, limit 65536 bytes, 10240 held"
        assert arena.statistics().limit_failures == 1
        assert len(kept) == 10_000
        arena.check()


def test_a_limit_is_never_overstepped() -> None:
    with hakmem.Arena(limit="64K") as arena:
        buffers = []
        with pytest.raises(MemoryError):
            while True:
                buffers.append(arena.alloc(1000))
        assert len(buffers) == 64
        buffers.pop()
        buffers.append(arena.alloc(1000))


def test_sizes_that_no_block_can_have() -> None:
    with hakmem.Arena() as arena:
        for align in (16, 64, 1 << 20):
            with pytest.raises(MemoryError, match="9223372036854775807 bytes"):
                arena.alloc(2**63 - 1, align=align)


def test_a_reserve_is_a_limit() -> None:
    with (
        hakmem.Arena(rewindable=True, reserve="4MiB", name="fixed") as arena,
        pytest.raises(MemoryError, match="arena 'fixed': 8388608 bytes requested, 0 held; its reserve has no room"),
    ):
        arena.alloc("8MiB")


def overflow(buffer: hakmem.Buffer) -> None:
    ctypes.memset(buffer.address, 0x55, len(buffer) + 2)


def test_an_overflow_raises_where_it_is_found() -> None:
    hakmem.set_error_policy("raise")
    with hakmem.Arena(hardened=True, name="guarded") as arena:
        buffer = arena.alloc(10)
        address = buffer.address
        overflow(buffer)
        with pytest.raises(hakmem.MisuseError, match=r"a block of 10 bytes at 0x.* in arena 'guarded'") as caught:
            buffer.close()
        error = caught.value
        assert (error.status, error.function) == ("HK_ERR_OVERFLOW", "hk_arena_free")
        assert (error.address, error.block_size, error.arena) == (address, 10, "guarded")
        buffer.close()


def test_an_overflow_found_by_the_collector_goes_to_its_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: found.append(event.exc_value))
    hakmem.set_error_policy("raise")
    with hakmem.Arena(hardened=True) as arena:
        buffer = arena.alloc(10)
        overflow(buffer)
        del buffer
        gc.collect()
    assert [type(error) for error in found] == [hakmem.MisuseError]


def test_report_warns() -> None:
    hakmem.set_error_policy("report")
    with hakmem.Arena(hardened=True) as arena:
        buffer = arena.alloc(10)
        overflow(buffer)
        with pytest.warns(hakmem.MisuseWarning, match="HK_ERR_OVERFLOW"):
            buffer.close()


def test_ignore_is_silent() -> None:
    hakmem.set_error_policy("ignore")
    with hakmem.Arena(hardened=True) as arena, arena.alloc(10) as buffer:
        overflow(buffer)


def test_a_write_after_free_is_found() -> None:
    hakmem.set_error_policy("raise")
    with hakmem.Arena(hardened=True) as arena:
        address = arena.alloc(100).address
        ctypes.memset(address, 0x55, 8)
        with pytest.raises(hakmem.MisuseError, match="HK_ERR_WRITE_AFTER_FREE"):
            for _ in range(1000):
                arena.alloc(100)
        arena.alloc(100).close()
        arena.check()


def test_policies() -> None:
    with pytest.raises(ValueError, match="it can be one of 'raise', 'report', 'ignore', 'abort'"):
        hakmem.set_error_policy("shout")  # type: ignore[arg-type]


OVERFLOW = """
import ctypes, hakmem
buffer = hakmem.Arena(hardened=True, name="guarded").alloc(10)
ctypes.memset(buffer.address, 1, 12)
buffer.close()
"""


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (None, 1, "hakmem._errors.MisuseError: HK_ERR_OVERFLOW"),
        ("report", 0, "MisuseWarning: HK_ERR_OVERFLOW"),
        ("ignore", 0, ""),
        ("abort", -6, "hakmem: HK_ERR_OVERFLOW in hk_arena_free"),
    ],
)
def test_the_environment_sets_the_first_policy(value: str | None, code: int, words: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "HAKMEM_ON_ERROR"}
    if value is not None:
        environment["HAKMEM_ON_ERROR"] = value
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert words in done.stderr if words else done.stderr == ""
