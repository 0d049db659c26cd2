"""Limits and accounts. All of it runs twice: installed late, in this process, and under `python -m hakmem run`."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hakmem
import numpy
import pytest
from hakmem import _native
from hakmem._native import ffi, lib

MIB = 1 << 20
IS_EARLY = os.environ.get("HAKMEM_TEST_EARLY") == "1"

# What requests of up to 512 bytes may take beyond a limit, and what may be taken by handling the MemoryError.
RESERVE = 64 << 10


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert _native.Scope.current() is None
    for name in hakmem.accounts():
        hakmem.close_account(name)


def handle_of(scope: hakmem.Scope) -> object:
    return ffi.cast("hk_arena *", scope._core.handle)


def check(scope: hakmem.Scope) -> None:
    for handle in (handle_of(scope), lib.hk_arena_default()):
        assert lib.hk_arena_check(handle) == lib.HK_OK


def held(scope: hakmem.Scope) -> int:
    return scope.statistics().held_bytes


def current() -> str | None:
    core = _native.Scope.current()
    if core is None:
        return None
    name = lib.hk_arena_name(ffi.cast("hk_arena *", core.handle))
    return str(ffi.string(name).decode())


def texts(count: int, size: int = 1000) -> list[bytes]:
    return [bytes(size) for _ in range(count)]


@pytest.mark.skipif(IS_EARLY, reason="this is it")
def test_all_of_it_under_early_installation() -> None:
    command = [sys.executable, "-m", "hakmem", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"HAKMEM_TEST_EARLY": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


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


# ---- blocks ----


def test_a_block_is_one_at_a_time() -> None:
    scope = hakmem.limit("1MB", name="once")
    with pytest.raises(RuntimeError, match="ended already"):
        scope.__exit__(None, None, None)
    with scope:
        with pytest.raises(RuntimeError, match="'once' is in use"):
            scope.__enter__()
        assert current() == "once"
    assert current() is None
    with scope:
        assert current() == "once"
    with pytest.raises(RuntimeError, match="'once' has ended already"):
        scope.__exit__(None, None, None)
    with pytest.raises(TypeError, match="3 arguments"):
        scope.__exit__()  # type: ignore[call-arg]


def test_an_outer_block_ends_the_inner_ones() -> None:
    outer = hakmem.limit("1MB", name="outer")
    outer.__enter__()
    inner = hakmem.limit("1MB", name="inner")
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert current() is None
    inner.__exit__(None, None, None)
    assert current() is None


def test_a_limit_belongs_where_it_was_made() -> None:
    scope = hakmem.limit("1MB", name="outside")
    with hakmem.account("tenant"):
        with pytest.raises(RuntimeError, match="'outside' was made outside of all limits and accounts"):
            scope.__enter__()
        inside = hakmem.limit("1MB", name="inside")
    with pytest.raises(RuntimeError, match="'inside' was made within tenant"):
        inside.__enter__()
    with scope:
        assert current() == "outside"


def test_exceptions_cross() -> None:
    def work() -> None:
        with hakmem.limit("1MB", name="a"), hakmem.limit("1MB", name="b"):
            assert current() == "b"
            raise KeyError([1, 2, 3])

    for _ in range(10):
        with pytest.raises(KeyError) as caught:
            work()
        assert current() is None
        assert caught.value.args == ([1, 2, 3],)


def test_generators_take_their_callers_along() -> None:
    def rows() -> Generator[str | None, None, None]:
        with hakmem.limit("1MB", name="rows"):
            yield current()
            yield current()

    generator = rows()
    assert next(generator) == "rows"
    assert current() == "rows"  # as it is with context variables: see the documentation
    assert list(generator) == ["rows"]
    assert current() is None
    abandoned = rows()
    next(abandoned)
    abandoned.close()
    assert current() is None


def test_a_generator_suspended_over_the_end_of_an_outer_block() -> None:
    def rows() -> Generator[None, None, None]:
        with hakmem.limit("1MB", name="rows"):
            yield

    with hakmem.limit("1MB", name="outer"):
        generator = rows()
        next(generator)
        assert current() == "rows"
    assert current() is None
    generator.close()
    assert current() is None


def test_a_block_that_ends_in_another_context_ends_nothing_there() -> None:
    scope = hakmem.limit("1MB", name="elsewhere")
    other = contextvars.copy_context()
    other.run(scope.__enter__)
    assert other.run(current) == "elsewhere"
    with hakmem.limit("1MB", name="here"):
        scope.__exit__(None, None, None)
        assert current() == "here"
    assert other.run(current) == "elsewhere"


def test_frameworks_copy_variables_from_context_to_context() -> None:
    with hakmem.limit("1MB", name="copied"):
        context = contextvars.copy_context()
    variable = next(variable for variable in context if variable.name == "hakmem_scope")
    for _ in range(3):
        token = variable.set(context[variable])
        assert current() == "copied"
        variable.reset(token)
        assert current() is None
    token = variable.set("something else")
    assert current() is None
    variable.reset(token)


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


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


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


# ---- accounts ----


def test_accounts_add_up() -> None:
    with hakmem.account("tenant-7"):
        first = texts(1000)
    with hakmem.account("tenant-7") as scope, hakmem.account("tenant-7"):
        second = texts(1000)
    with hakmem.account("tenant-8"):
        third = texts(100)
    figures = hakmem.accounts()
    assert set(figures) == {"tenant-7", "tenant-8"}
    assert figures["tenant-7"].live_bytes >= 2_000_000
    assert 100_000 <= figures["tenant-8"].live_bytes < 300_000
    assert figures["tenant-7"].limit_bytes is None
    hakmem.close_account("tenant-7")
    assert set(hakmem.accounts()) == {"tenant-8"}
    assert scope.statistics().live_bytes >= 2_000_000
    with hakmem.account("tenant-7") as another:
        assert another.statistics().live_bytes < 100_000
    with pytest.raises(KeyError, match="no account 'tenant-9'"):
        hakmem.close_account("tenant-9")
    assert len(first) + len(second) + len(third) == 2100


def test_limits_of_accounts() -> None:
    account = hakmem.account("tenant", limit="4MB")
    assert account.limit == 3_999_744
    with pytest.raises(MemoryError, match="'tenant': "), account:
        bytes(5 * MIB)
    with hakmem.account("tenant") as again:
        assert again.limit == 3_999_744
    with pytest.raises(ValueError, match="limit is"):
        hakmem.account("tenant", limit="1")
    assert hakmem.account("tenant", limit="6MB").limit == account.limit == 5_999_616


def test_an_account_is_no_way_out_of_a_limit() -> None:
    for outer in (hakmem.limit("4MB", name="outer"), hakmem.account("outer", limit="4MB")):
        with outer:
            inner = hakmem.account("inner")
            with pytest.raises(RuntimeError, match="'inner' cannot be entered within the limit 'outer'"):
                inner.__enter__()
            assert current() == "outer"
    with hakmem.account("outer"), hakmem.account("outer"):
        assert current() == "outer"
    hakmem.account("outer").limit = None
    with hakmem.account("outer"), hakmem.account("inner"):
        assert current() == "inner"


def test_one_account_in_many_threads_and_tasks() -> None:
    barrier = threading.Barrier(4)
    totals: list[int] = []

    def thread(seed: int) -> None:
        barrier.wait()
        for i in range(50):
            with hakmem.account("shared"):
                rows = texts(20 + (seed + i) % 7)
            totals.append(len(rows))

    async def task(i: int) -> None:
        with hakmem.account("shared"):
            rows = texts(10)
            await asyncio.sleep(0)
            assert current() == "shared"
            totals.append(len(rows) + i)

    async def tasks() -> None:
        await asyncio.gather(*(task(i) for i in range(50)))

    threads = [threading.Thread(target=thread, args=(seed,)) for seed in range(4)]
    for worker in threads:
        worker.start()
    asyncio.run(tasks())
    for worker in threads:
        worker.join()
    figures = hakmem.accounts()["shared"]
    assert figures.peak_held_bytes >= 20_000
    assert figures.live_bytes < 200_000
    assert len(totals) == 250
    check(hakmem.account("shared"))


# ---- contexts ----


def test_tasks_stay_in_the_block_in_which_they_were_made() -> None:
    seen: dict[str, str | None] = {}

    async def work(name: str, wait: asyncio.Event) -> list[bytes]:
        await wait.wait()
        seen[name] = current()
        return texts(1000)

    async def main() -> None:
        wait = asyncio.Event()
        with hakmem.limit("8MB", name="inside") as scope:
            inside = asyncio.create_task(work("inside", wait))
        outside = asyncio.create_task(work("outside", wait))
        await asyncio.sleep(0)
        before = held(scope)
        wait.set()
        rows = await inside
        await outside
        assert held(scope) >= before + 1_000_000
        assert len(rows) == 1000

    asyncio.run(main())
    assert seen == {"inside": "inside", "outside": None}


def test_a_task_runs_out_of_memory_alone() -> None:
    async def work(count: int) -> int:
        rows = []
        for _ in range(count):
            rows.append(bytes(1000))
            if len(rows) % 100 == 0:
                await asyncio.sleep(0)
        return len(rows)

    async def limited(count: int) -> int:
        with hakmem.limit("2MB"):
            return await work(count)

    async def main() -> None:
        counts = [100, 5000, 1000, 300, 6000]
        results = await asyncio.gather(*(limited(count) for count in counts), return_exceptions=True)
        assert [result if isinstance(result, int) else type(result) for result in results] == [
            100,
            MemoryError,
            1000,
            300,
            MemoryError,
        ]

    for _ in range(3):
        asyncio.run(main())


def test_ways_into_tasks_and_threads() -> None:
    async def name() -> str | None:
        await asyncio.sleep(0)
        return current()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        called: asyncio.Future[str | None] = loop.create_future()
        later: asyncio.Future[str | None] = loop.create_future()
        with hakmem.limit("8MB", name="inside"):
            assert await name() == "inside"
            assert set(await asyncio.gather(name(), name())) == {"inside"}
            assert await asyncio.wait_for(name(), 100) == "inside"
            assert await asyncio.to_thread(current) == "inside"
            assert await loop.run_in_executor(None, current) is None
            context = contextvars.copy_context()
            assert await loop.run_in_executor(None, context.run, current) == "inside"
            loop.call_soon(lambda: called.set_result(current()))
            loop.call_later(0, lambda: later.set_result(current()))
        assert await called == "inside"
        assert await later == "inside"
        assert current() is None

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no TaskGroup")
def test_task_groups() -> None:
    async def work(size: int) -> int:
        await asyncio.sleep(0)
        return len(bytes(size))

    async def main() -> None:
        with pytest.raises(BaseException) as caught, hakmem.limit("4MB"):
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined, unused-ignore]
                for size in (100, 8 * MIB, 1000):
                    group.create_task(work(size))
        assert [type(error) for error in caught.value.exceptions] == [MemoryError]  # type: ignore[attr-defined]

    asyncio.run(main())


def test_async_generators() -> None:
    async def rows() -> AsyncGenerator[str | None, None]:
        with hakmem.limit("1MB", name="rows"):
            for _ in range(3):
                await asyncio.sleep(0)
                yield current()

    async def main() -> None:
        assert [name async for name in rows()] == ["rows"] * 3
        assert current() is None
        abandoned = rows()
        assert await abandoned.__anext__() == "rows"
        closing = asyncio.create_task(abandoned.aclose())
        await closing
        assert current() == "rows"  # this task was left in it by the generator that another one has closed

    asyncio.run(main())


def test_threads_do_not_inherit() -> None:
    names: list[str | None] = []
    inherits = bool(getattr(sys.flags, "thread_inherit_context", False))
    with hakmem.limit("8MB", name="inside"):
        context = contextvars.copy_context()
        for target in (lambda: names.append(current()), lambda: context.run(lambda: names.append(current()))):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert names == ["inside" if inherits else None, "inside"]


def test_many_threads_in_scopes_of_their_own() -> None:
    barrier = threading.Barrier(4)

    def work(seed: int) -> int:
        barrier.wait()
        refused = 0
        for i in range(30):
            size = 3000 if (i + seed) % 3 == 0 else 500
            try:
                with hakmem.limit("2MB", name=f"thread {seed}") as scope:
                    rows = texts(size)
                    assert current() == f"thread {seed}"
                    assert held(scope) >= len(rows) * 1000
            except MemoryError:
                refused += 1
        return refused

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [10] * 4


def test_contexts_switch_often() -> None:
    contexts = []
    for i in range(20):
        with hakmem.account(f"tenant-{i}"):
            contexts.append(contextvars.copy_context())
    kept: list[list[bytes]] = [[] for _ in contexts]
    for i in range(4000):
        contexts[i % 20].run(kept[i % 20].append, b"")
        contexts[i % 20].run(lambda rows: rows.append(bytes(1000)), kept[i % 20])
    for figures in hakmem.accounts().values():
        assert 200_000 <= figures.live_bytes < 300_000


# ---- processes and interpreters ----


def test_fork_in_a_scope() -> None:
    with hakmem.limit("8MB") as scope:
        rows = texts(1000)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                more = texts(2000)
                try:
                    texts(8000)
                except MemoryError:
                    del rows, more
                    check(scope)
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(MemoryError):
            texts(8000)
    check(scope)


SUBINTERPRETERS = """
import hakmem
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters
with hakmem.limit("32MB") as scope:
    kept = [str(i) for i in range(1000)]
    identity = _interpreters.create()
    before = scope.statistics().live_bytes
    _interpreters.run_string(identity, "rows = [str(i) for i in range(20000)]; import json; json.dumps(rows)")
    assert scope.statistics().live_bytes - before < 200_000, (before, scope.statistics())
    more = [str(i) for i in range(1000)]
    _interpreters.destroy(identity)
    assert hakmem._native.Scope.current() is not None
del kept, more
handle = hakmem._native.ffi.cast("hk_arena *", scope._core.handle)
assert hakmem._native.lib.hk_arena_check(handle) == hakmem._native.lib.HK_OK
print("well")
"""


def test_subinterpreters_are_not_concerned() -> None:
    done = subprocess.run([sys.executable, "-c", SUBINTERPRETERS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


# ---- programs ----


def run_program(*words: str, early: bool = False) -> str:
    run = ["-m", "hakmem", "run"] if early else []
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, *run, *words],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "HK_ERR" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", ["tasks", "threads"])
def test_a_greedy_request_fails_alone(kind: str, early: bool) -> None:
    assert run_program("scope_server.py", kind, early=early).startswith("well")


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("limits", [("1", "100", "3"), ("100", "1000", "99"), ("1000", "10000", "4500")])
def test_running_out_of_memory_anywhere(limits: tuple[str, str, str], early: bool) -> None:
    outcomes = run_program("scope_attack.py", *limits, early=early)
    assert "passed" in outcomes
