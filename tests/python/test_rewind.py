"""Checkpoint and rollback."""

from __future__ import annotations

import hakmem
import numpy as np
import pytest


def test_rollback_brings_bytes_and_figures_back() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        base = arena.alloc(100_000)
        base[:4] = b"base"
        view = memoryview(base)
        arena.checkpoint()
        figures = arena.statistics()
        for _ in range(5):
            later = [arena.alloc(size) for size in (10, 1000, 500_000)]
            base[:4] = b"gone"
            arena.rollback()
            assert bytes(view[:4]) == b"base"
            assert arena.statistics() == figures
            assert all(buffer.closed for buffer in later)
            assert "rolled back" in repr(later[0])
        arena.check()
        view.release()
        base.close()
        assert arena.statistics().live_blocks == 0


def test_newer_views_forbid_it() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        arena.checkpoint()
        buffer = arena.alloc(10)
        view = memoryview(buffer)
        with pytest.raises(BufferError, match=r"1 view\(s\) of buffers made since the checkpoint"):
            arena.rollback()
        view[0] = 1
        view.release()
        arena.rollback()
        assert buffer.closed


def test_arrays_forbid_it() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        arena.checkpoint()
        with hakmem.numpy_arena(arena):
            array = np.zeros(100)
        with pytest.raises(BufferError, match=r"1 NumPy array\(s\)"):
            arena.rollback()
        del array
        arena.rollback()


def test_the_newest_checkpoint_counts() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        arena.checkpoint()
        kept = arena.alloc(10)
        arena.checkpoint()
        gone = arena.alloc(10)
        arena.rollback()
        assert gone.closed
        assert not kept.closed
        kept.close()


def test_without_checkpoint_or_flag() -> None:
    with hakmem.Arena(rewindable=True) as arena, pytest.raises(ValueError, match="no checkpoint to go back to"):
        arena.rollback()
    with hakmem.Arena() as arena:
        for call in (arena.checkpoint, arena.rollback):
            with pytest.raises(ValueError, match="not made with rewindable=True"):
                call()


def test_a_block_freed_since_comes_back_without_its_buffer() -> None:
    with hakmem.Arena(rewindable=True) as arena:
        buffer = arena.alloc(10)
        arena.checkpoint()
        buffer.close()
        arena.rollback()
        assert buffer.closed
        assert arena.statistics().live_blocks == 1
        arena.reset()
        assert arena.statistics().live_blocks == 0
