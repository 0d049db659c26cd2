"""Whom limits and accounts follow. All of it runs twice, as that of test_scopes.py."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor

import hakmem
import pytest
from scope_support import IS_EARLY, MIB, check, current, held, run_early, texts

pytestmark = pytest.mark.usefixtures("no_scope_stays")


@pytest.mark.skipif(IS_EARLY, reason="this is it")
def test_all_of_it_under_early_installation() -> None:
    run_early(__file__)


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
