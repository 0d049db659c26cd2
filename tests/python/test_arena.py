"""Arenas: how they are made, what they tell, how they end."""

from __future__ import annotations

import dataclasses
import json
import pickle
import xml.etree.ElementTree as ET
from pathlib import Path

import hakmem
import pytest


def test_defaults() -> None:
    with hakmem.Arena() as arena:
        assert (arena.name, arena.limit, arena.align) == ("arena", None, 16)
        assert not (arena.hardened or arena.rewindable or arena.closed)
        assert repr(arena) == "<hakmem.Arena 'arena'>"
    assert arena.closed
    assert repr(arena) == "<hakmem.Arena, closed>"


def test_limit_is_whole_kibibytes_and_can_change() -> None:
    with hakmem.Arena("256MB") as arena:
        assert arena.limit == 256_000_000 // 1024 * 1024
        arena.limit = "1MiB"
        assert arena.limit == 1 << 20
        arena.limit = None
        assert arena.limit is None
        with pytest.raises(ValueError, match="it can be None, or 1024 bytes at least"):
            arena.limit = 1023


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "the limit is 0"),
        ({"limit": "12 parsecs"}, "the size is '12 parsecs'"),
        ({"align": 24}, "align is 24; it can be a power of two from 8"),
        ({"align": 4}, "align is 4"),
        ({"align": 1 << 29}, "align is 536870912"),
        ({"name": "x" * 32}, "the name has 32 bytes; it can have 31"),
        ({"name": "ä" * 16}, "the name has 32 bytes"),
        ({"name": "a\0b"}, "null character"),
        ({"hardened": True, "rewindable": True}, "not both"),
        ({"reserve": "1M"}, "only a rewindable arena"),
        ({"reserve": "2T", "rewindable": True}, "the reserve is '2T'"),
    ],
)
def test_options_that_are_wrong(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hakmem.Arena(**options)  # type: ignore[arg-type]


def test_options_of_wrong_types() -> None:
    with pytest.raises(TypeError, match=r"align is 16\.0"):
        hakmem.Arena(align=16.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"the size is 1\.5"):
        hakmem.Arena(limit=1.5)  # type: ignore[arg-type]


def test_statistics_are_frozen_plain_and_exact() -> None:
    with hakmem.Arena(limit="1M") as arena:
        buffers = [arena.alloc(100), arena.alloc(100), arena.alloc(40_000)]
        figures = arena.statistics()
        with pytest.raises(dataclasses.FrozenInstanceError):
            figures.live_blocks = 0  # type: ignore[misc]
        assert (figures.live_blocks, figures.large_blocks, figures.limit_bytes) == (3, 1, 1 << 20)
        assert figures.live_bytes == sum(size for _, size in arena.walk())
        assert [(row.block_size, row.live_blocks) for row in figures.classes] == [(112, 2)]
        assert figures.held_bytes <= figures.peak_held_bytes <= 1 << 20
        again = json.loads(json.dumps(figures.as_dict()))
        assert again["classes"][0] == {"block_size": 112, "live_blocks": 2, "held_bytes": 1024}
        assert again["live_bytes"] == figures.live_bytes
        del buffers
        assert arena.statistics().live_blocks == 0


def test_walk_names_each_buffer_once_by_address() -> None:
    with hakmem.Arena() as arena:
        buffers = [arena.alloc(size) for size in (1, 100, 5000, 100, 3_000_000)]
        blocks = arena.walk()
        assert [block.address for block in blocks] == sorted(buffer.address for buffer in buffers)
        assert sorted(block.size for block in blocks)[-1] >= 3_000_000


def test_map_is_svg(tmp_path: Path) -> None:
    with hakmem.Arena(name="drawn") as arena:
        buffer = arena.alloc(1000)
        arena.map_svg(tmp_path / "map.svg")
        assert ET.parse(tmp_path / "map.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
        with pytest.raises(FileNotFoundError):
            arena.map_svg(tmp_path / "missing" / "map.svg")
        with pytest.raises(OSError, match="could not be written to '/dev/full'"):
            arena.map_svg("/dev/full")
        arena.check()
        buffer.close()


def test_trim_keeps_what_lives() -> None:
    with hakmem.Arena() as arena:
        kept, gone = arena.alloc(1000), [arena.alloc(1000) for _ in range(1000)]
        kept[:4] = b"kept"
        gone.clear()
        arena.trim()
        assert bytes(kept[:5]) == b"kept\0"
        arena.check()


def test_a_closed_arena_refuses_everything_but_close() -> None:
    arena = hakmem.Arena()
    arena.close()
    arena.close()
    for use in (
        lambda: arena.alloc(1),
        arena.reset,
        arena.trim,
        arena.check,
        arena.walk,
        arena.statistics,
        arena.checkpoint,
        arena.rollback,
        lambda: arena.name,
        lambda: arena.limit,
        arena.__enter__,
    ):
        with pytest.raises(ValueError, match="the arena is closed"):
            use()


def test_an_arena_without_init_is_closed() -> None:
    arena = hakmem.Arena.__new__(hakmem.Arena)
    with pytest.raises(ValueError, match="the arena is closed"):
        arena.alloc(1)


def test_init_is_for_once() -> None:
    with hakmem.Arena() as arena, pytest.raises(RuntimeError, match="made already"):
        arena.__init__()  # type: ignore[misc]


def test_arenas_are_not_pickled() -> None:
    with hakmem.Arena() as arena, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(arena)


def test_an_exception_is_not_hidden_by_views() -> None:
    views = []
    with pytest.raises(ZeroDivisionError), hakmem.Arena() as arena:
        views.append(memoryview(arena.alloc(10)))
        raise ZeroDivisionError
    assert not arena.closed
    assert views[0].nbytes == 10
    with pytest.raises(BufferError), hakmem.Arena() as arena:
        views.append(memoryview(arena.alloc(10)))


def test_many_arenas_come_and_go() -> None:
    for _ in range(2000):
        hakmem.Arena().alloc(10)


def test_derived_classes() -> None:
    class Pool(hakmem.Arena):
        def __init__(self) -> None:
            super().__init__("1M", name="pool")
            self.cycle = self

    assert Pool().alloc(10).arena.name == "pool"


def test_version() -> None:
    assert hakmem.__version__.count(".") == 2
