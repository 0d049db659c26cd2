"""What limits and accounts count. All of it runs twice: installed late, here, and under `python -m hakmem run`."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import hakmem
import numpy
import pytest
from hakmem import _native
from hakmem._native import lib
from scope_support import IS_EARLY, MIB, check, held, resident_kib, run_early, texts

# What requests of up to 512 bytes may take beyond a limit, and what may be taken by handling the MemoryError.
RESERVE = 64 << 10


pytestmark = pytest.mark.usefixtures("no_scope_stays")


@pytest.mark.skipif(IS_EARLY, reason="this is it")
def test_all_of_it_under_early_installation() -> None:
    run_early(__file__)


# ---- what is charged ----


def test_objects_are_charged() -> None:
    with hakmem.limit("16MB") as scope:
        rows = [[i, str(i)] for i in range(10_000, 20_000)]
        inside = scope.statistics()
        assert inside.live_bytes > 10_000 * (sys.getsizeof([]) + sys.getsizeof(10_000))
    assert scope.statistics().live_bytes >= inside.live_bytes - 100_000
    del rows
    after = scope.statistics()
    assert after.live_bytes < 100_000
    assert after.peak_held_bytes >= inside.held_bytes
    check(scope)


def test_nothing_is_charged_outside() -> None:
    with hakmem.limit("16MB") as scope:
        pass
    before = scope.statistics().live_bytes
    rows = texts(1000)
    assert scope.statistics().live_bytes == before
    assert len(rows) == 1000


@pytest.mark.parametrize("make", [bytes, bytearray, lambda n: "x" * n, lambda n: [None] * (n // 8)])
def test_large_blocks(make: Callable[[int], object]) -> None:
    with hakmem.limit("16MB") as scope:
        before = held(scope)
        block = make(5 * MIB)
        assert 5 * MIB <= held(scope) - before < 5 * MIB + 30_000
        with pytest.raises(MemoryError):
            make(12 * MIB)
        del block
        assert make(12 * MIB)
    check(scope)


def test_who_grows_a_container_pays() -> None:
    rows: list[int] = []
    table: dict[int, None] = {}
    buffer = bytearray(10)
    with hakmem.limit("64MB") as scope:
        rows.extend([1] * MIB)
        assert held(scope) >= 8 * MIB
        table.update(dict.fromkeys(range(100_000)))
        buffer.extend(bytes(4 * MIB))
        assert held(scope) >= 16 * MIB
        most = held(scope)
        del rows[10:]
        assert held(scope) < most - 7 * MIB
    rows.extend([1] * MIB)  # and grows again outside
    assert held(scope) < most
    buffer.clear()
    table.clear()
    check(scope)
    assert held(scope) < 8 * MIB


def test_a_container_made_inside_grows_outside() -> None:
    with hakmem.limit("1MB") as scope:
        rows = [0] * 1000
    rows.extend([0] * MIB)
    assert held(scope) < MIB
    assert len(rows) == MIB + 1000


def test_numpy_arrays() -> None:
    with hakmem.limit("32MB") as scope:
        table = numpy.zeros((1000, 1000))
        assert held(scope) >= 8_000_000
        small = numpy.arange(10)
        with pytest.raises(MemoryError):
            numpy.ones((2000, 2000))
        table = numpy.concatenate([table, table])
    outside = numpy.zeros((1000, 1000))
    assert 16_000_000 <= held(scope) < 17_500_000
    refcheck = table.T.copy()
    table.resize((500, 1000), refcheck=False)
    assert held(scope) < 8_000_000
    del table
    assert held(scope) < 1_000_000
    assert outside.sum() == refcheck.sum() == 0 and small[9] == 9


PROBE_OF_IMPORTS = """
import hakmem
with hakmem.limit("256MB") as scope:
    import numpy
    before = scope.statistics().held_bytes
    table = numpy.ones((1000, 1000))
    inside = scope.statistics().held_bytes - before
    with hakmem.limit("64MB") as inner:
        table = numpy.ones((1000, 1000))
        print(inside < 1_000_000, inner.statistics().held_bytes >= 8_000_000)
"""


def test_numpy_is_charged_in_blocks_that_begin_when_it_is_there() -> None:
    command = [sys.executable, "-c", PROBE_OF_IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


# ---- limits ----


def test_the_error_says_what_was_refused() -> None:
    with pytest.raises(MemoryError) as caught, hakmem.limit("4MB", name="request 7"):
        bytes(5 * MIB)
    text = str(caught.value)
    assert text.startswith("'request 7': 5242") and "limit 3999744 bytes" in text and text.endswith(" held")
    assert type(caught.value.__cause__) is MemoryError


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(MemoryError) as mine, hakmem.limit("4MB"):
        raise MemoryError
    assert not mine.value.args
    with pytest.raises(MemoryError, match="of my own"), hakmem.limit("4MB"):
        try:
            bytes(5 * MIB)
        except MemoryError:
            raise MemoryError("of my own") from None
    with pytest.raises(KeyError), hakmem.limit("4MB"):
        {}[1]  # type: ignore[index]


def test_an_error_may_be_handled_inside() -> None:
    with hakmem.limit("4MB") as scope:
        for _ in range(10):
            with pytest.raises(MemoryError):
                texts(10_000)
            assert len(texts(1000)) == 1000
    assert scope.statistics().limit_failures >= 10
    check(scope)


@pytest.mark.parametrize("size", [16, 100, 500, 600, 5000, 100_000])
def test_the_limit_holds(size: int) -> None:
    kept: list[bytes] = [b""] * 300_000
    failures = 0
    with hakmem.limit("2MB") as scope:
        for i in range(len(kept)):
            try:
                kept[i] = bytes(size)
            except MemoryError:
                failures += 1
                if failures == 50:
                    break
    assert failures == 50
    taken = sum(sys.getsizeof(text) for text in kept if text)
    assert scope.statistics().peak_held_bytes <= 2_000_000
    assert taken <= 2_000_000 + 2 * RESERVE + failures * 4096
    assert taken >= 1_500_000
    kept.clear()
    check(scope)


def test_the_limit_may_change() -> None:
    with hakmem.limit("2MB") as scope:
        with pytest.raises(MemoryError):
            bytes(3 * MIB)
        scope.limit = "8MB"
        assert scope.limit == 7_999_488
        block = bytes(3 * MIB)
        scope.limit = "1MB"
        with pytest.raises(MemoryError):
            bytes(1000_000)
        scope.limit = None
        assert scope.limit is None
        assert bytes(10 * MIB)
    assert len(block) == 3 * MIB


@pytest.mark.parametrize("size", ["0", 0, 1023, -1, "1XB", ""])
def test_wrong_limits(size: int | str) -> None:
    with pytest.raises(ValueError, match=r"(limit|size) is"):
        hakmem.limit(size)


@pytest.mark.parametrize("size", [None, 1.5, b"1MB", True])
def test_limits_of_wrong_types(size: object) -> None:
    with pytest.raises(TypeError, match='such as "64MB"'):
        hakmem.limit(size)  # type: ignore[arg-type]


def test_limits_that_are_too_large() -> None:
    with pytest.raises(OverflowError):
        hakmem.limit(2**63)
    with hakmem.limit(2**63 - 1) as scope:
        assert texts(10)
    assert scope.limit is not None


def test_names() -> None:
    assert hakmem.limit("1MB").name == "limit"
    assert hakmem.limit("1MB", name="größer").name == "größer"
    assert hakmem.limit("1MB", name="n" * 31).name == "n" * 31
    assert repr(hakmem.limit("1MB", name="x")) == "<hakmem.Scope 'x'>"
    with pytest.raises(ValueError, match="32 bytes"):
        hakmem.limit("1MB", name="ö" * 16)
    with pytest.raises(ValueError, match="null"):
        hakmem.limit("1MB", name="a\0b")
    with pytest.raises((TypeError, AttributeError)):
        hakmem.limit("1MB", name=7)  # type: ignore[arg-type]
    with pytest.raises(MemoryError, match="'größer': "), hakmem.limit("1MB", name="größer"):
        bytes(MIB)


def test_scopes_are_of_this_process() -> None:
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Scope"):
            duplicate(hakmem.limit("1MB"))


# ---- nested: limits within limits need the parents of arenas ----


def test_an_inner_limit_counts_in_the_outer_one() -> None:
    with hakmem.limit("16MB", name="outer") as outer, hakmem.limit("8MB", name="inner") as inner:
        block = bytes(4 * MIB)
        assert held(inner) >= 4 * MIB
        assert held(outer) >= held(inner)
    assert held(outer) >= 4 * MIB
    del block
    assert held(outer) < MIB


def test_the_smaller_room_counts() -> None:
    with hakmem.limit("8MB", name="outer"):
        block = bytes(6 * MIB)
        with pytest.raises(MemoryError, match=r"'outer': .* limit 7999488 bytes"), hakmem.limit("8MB", name="inner"):
            bytes(4 * MIB)
        with pytest.raises(MemoryError, match=r"'inner': .* limit 999424 bytes"), hakmem.limit("1MB", name="inner"):
            bytes(MIB)
        assert len(block) == 6 * MIB


def test_survivors_of_an_inner_limit_count_in_the_outer_one() -> None:
    with hakmem.limit("16MB") as outer:
        with hakmem.limit("8MB"):
            kept = texts(4000)
        gc.collect()
        assert held(outer) >= 4_000_000
        kept.clear()
        assert held(outer) < 1_000_000
        check(outer)


def test_a_limit_within_an_account() -> None:
    with hakmem.account("tenant"), hakmem.limit("8MB") as inner:
        block = bytes(4 * MIB)
        assert held(inner) >= 4 * MIB
        assert hakmem.accounts()["tenant"].held_bytes >= 4 * MIB
    del block


def test_many_limits_within_each_other() -> None:
    scopes = []
    for _ in range(300):
        scopes.append(hakmem.limit("64MB"))
        scopes[-1].__enter__()
    block = bytes(MIB)
    assert all(held(scope) >= MIB for scope in scopes)
    while len(scopes) > 1:
        scopes.pop().__exit__(None, None, None)
    assert held(scopes[0]) >= MIB
    del block
    assert held(scopes[0]) < MIB
    scopes.pop().__exit__(None, None, None)


@pytest.mark.parametrize("most", [8, 32, 128, 512, 2048, 8192])
def test_a_set_can_grow_where_there_is_no_room(most: int) -> None:
    """CPython adds the entry before it asks for the larger table; with all of `most` places taken, `add` never ends."""
    entries = set(range(most // 2))
    more = list(range(most, 2 * most))
    with hakmem.limit("64K"):
        ballast: list[bytes] = []
        with contextlib.suppress(MemoryError):
            while True:
                ballast.append(bytes(600))
        for entry in more:
            entries.add(entry)
        del ballast
    assert len(entries) == most // 2 + most


# ---- survivors ----


def test_survivors_are_valid_when_the_scope_is_gone() -> None:
    with hakmem.limit("16MB") as scope:
        kept = [[str(i), i / 7, {i: i}] for i in range(2000)] + texts(10, 200_000)
        expected = repr(kept)
    reference = weakref.ref(scope._core) if hasattr(type(scope._core), "__weakref__") else None
    del scope
    gc.collect()
    assert reference is None or reference() is None
    assert repr(kept) == expected
    for row in kept[:1000]:
        if isinstance(row, list):
            row.extend(range(100))
    with hakmem.limit("16MB"):
        del kept[::2]
        for row in kept:
            if isinstance(row, list):
                row.append("more" * 100)
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert lib.hk_arena_check(lib.hk_arena_default()) == lib.HK_OK


SURVIVORS_AT_EXIT = """
import hakmem, sys
class Late:
    def __del__(self):
        self.rows = [str(i) for i in range(100)]
for _ in range(20):
    with hakmem.limit("16MB"):
        kept = [Late(), [str(i) for i in range(1000)], {i: str(i) for i in range(100)}]
        sys.modules[f"kept{len(sys.modules)}"] = kept
hakmem.limit("1MB").__enter__()
"""


def test_survivors_at_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", SURVIVORS_AT_EXIT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_thousands_of_scopes_leave_nothing() -> None:
    def round_of(count: int) -> None:
        for i in range(count):
            with hakmem.limit("8MB", name=f"request {i}"):
                rows = [str(n) for n in range(50)]
                assert len(rows) == 50

    round_of(500)
    gc.collect()
    before = resident_kib()
    scopes = _native.Scope.count()
    round_of(6000)
    gc.collect()
    assert _native.Scope.count() == scopes
    assert resident_kib() - before < 2000


def test_chains_of_scopes_end_without_recursion() -> None:
    scopes = [hakmem.limit("64MB")]
    scopes[0].__enter__()
    for _ in range(3000):
        scopes.append(hakmem.limit("64MB"))
        scopes[-1].__enter__()
    scopes[0].__exit__(None, None, None)
    before = _native.Scope.count()
    scopes.clear()
    gc.collect()
    assert _native.Scope.count() <= before - 3000


def test_collections_in_a_scope() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self
            self.rows = [str(i) for i in range(100)]

        def __del__(self) -> None:
            self.rows.append("gone" * 100)

    outside = [Node() for _ in range(100)]
    with hakmem.limit("8MB") as scope:
        nodes = [Node() for _ in range(300)]
        most = held(scope)
        nodes.clear()
        outside.clear()
        gc.collect()
        assert held(scope) < most / 2
        for _ in range(1000):
            Node()
        gc.collect()
    check(scope)
