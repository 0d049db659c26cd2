"""An arena against a model of it: random sequences of everything that can be done to one."""

from __future__ import annotations

import hakmem
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule


class ArenaModel(RuleBasedStateMachine):
    """Which buffers are open, what is in them, which have views."""

    buffers = Bundle("buffers")

    def __init__(self) -> None:
        super().__init__()
        self.arena = hakmem.Arena(rewindable=True, limit="8M")
        self.contents: dict[hakmem.Buffer, bytes] = {}
        self.views: dict[hakmem.Buffer, memoryview] = {}
        self.base: dict[hakmem.Buffer, bytes] | None = None
        self.orphans_of_base = 0
        self.orphans = 0

    @rule(
        target=buffers, size=st.integers(1, 100_000), align=st.sampled_from([8, 64, 4096]), text=st.binary(max_size=9)
    )
    def allocate(self, size: int, align: int, text: bytes) -> hakmem.Buffer:
        buffer = self.arena.alloc(size, align=align)
        content = text[:size].ljust(size, b"\0")
        buffer[: len(text[:size])] = text[:size]
        self.contents[buffer] = content
        return buffer

    @rule(buffer=buffers, value=st.integers(0, 255))
    def write(self, buffer: hakmem.Buffer, value: int) -> None:
        if buffer in self.contents:
            buffer[-1] = value
            self.contents[buffer] = self.contents[buffer][:-1] + bytes([value])

    @rule(buffer=buffers)
    def look(self, buffer: hakmem.Buffer) -> None:
        if buffer in self.contents and buffer not in self.views:
            self.views[buffer] = memoryview(buffer)

    @rule(buffer=buffers)
    def look_away(self, buffer: hakmem.Buffer) -> None:
        if buffer in self.views:
            self.views.pop(buffer).release()

    @rule(buffer=consumes(buffers))
    def close(self, buffer: hakmem.Buffer) -> None:
        if buffer in self.views:
            with pytest.raises(BufferError):
                buffer.close()
            self.views.pop(buffer).release()
        buffer.close()
        self.contents.pop(buffer, None)

    @rule()
    def reset(self) -> None:
        if self.views:
            with pytest.raises(BufferError):
                self.arena.reset()
            return
        self.arena.reset()
        self.contents.clear()
        self.orphans = 0

    @rule()
    def checkpoint(self) -> None:
        self.arena.checkpoint()
        self.base = dict(self.contents)
        self.orphans_of_base = self.orphans

    @precondition(lambda self: self.base is not None)
    @rule()
    def rollback(self) -> None:
        assert self.base is not None
        if self.views.keys() - self.base.keys():
            with pytest.raises(BufferError):
                self.arena.rollback()
            return
        self.arena.rollback()
        open_before = self.contents.keys()
        self.contents = {buffer: content for buffer, content in self.base.items() if buffer in open_before}
        self.orphans = self.orphans_of_base + len(self.base) - len(self.contents)

    @rule()
    def trim(self) -> None:
        self.arena.trim()

    @invariant()
    def agrees(self) -> None:
        assert self.arena.exports == len(self.views)
        assert self.arena.statistics().live_blocks == len(self.contents) + self.orphans
        for buffer, content in self.contents.items():
            assert bytes(buffer) == content
        self.arena.check()

    def teardown(self) -> None:
        for view in self.views.values():
            view.release()
        self.arena.close()


ArenaModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
TestArenaModel = ArenaModel.TestCase
