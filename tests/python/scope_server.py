"""A server as in the documentation: each request in a limit of its own. A program: it measures its whole process.

usage: scope_server.py tasks|threads
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import hakmem
from hakmem import _native
from hakmem._native import lib
from scope_support import resident_kib

REQUESTS = 100
GREEDY = 37


def rows_of(number: int) -> int:
    """The greedy one would take about 100 MB."""
    return 400_000 if number == GREEDY else 1000 + number * 50


def build(count: int) -> list[dict[str, object]]:
    return [{"id": i, "name": f"name {i}", "ratio": i / 7} for i in range(count)]


async def build_in_steps(count: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    while len(rows) < count:
        rows.extend(build(min(500, count - len(rows))))
        await asyncio.sleep(0)
    return rows


async def answer(number: int, pool: ThreadPoolExecutor | None) -> tuple[int, dict[str, int]]:
    status = 200
    with hakmem.limit("8MB", name=f"request {number}") as scope:
        try:
            if pool is None:
                rows = await build_in_steps(rows_of(number))
            else:
                run = contextvars.copy_context().run
                rows = await asyncio.get_running_loop().run_in_executor(pool, run, build, rows_of(number))
            assert len(json.dumps(rows)) > 30_000
        except MemoryError:
            status = 503
    rows = []
    figures = scope.statistics()
    return status, {
        "peak": figures.peak_held_bytes,
        "live": figures.live_bytes,
        "failures": figures.limit_failures,
    }


async def ask(port: int, number: int) -> tuple[int, dict[str, int]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, body = text.split("\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def serve(pool: ThreadPoolExecutor | None) -> list[tuple[int, dict[str, int]]]:
    arrived = asyncio.Event()
    waiting = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        number = int((await reader.readuntil(b"\r\n\r\n")).split()[1][1:])
        waiting += 1
        if waiting == REQUESTS:
            arrived.set()
        await arrived.wait()
        status, figures = await answer(number, pool)
        writer.write(f"HTTP/1.0 {status} So\r\n\r\n{json.dumps(figures)}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=REQUESTS)
    port = server.sockets[0].getsockname()[1]
    async with server:
        return await asyncio.gather(*(ask(port, number) for number in range(REQUESTS)))


def check(answers: list[tuple[int, dict[str, int]]], *, is_freed: bool) -> None:
    for number, (status, figures) in enumerate(answers):
        assert status == (503 if number == GREEDY else 200), (number, status, figures)
        assert figures["peak"] <= 8_000_000
        if is_freed:
            assert figures["live"] <= 100_000, (number, figures)
        assert (figures["failures"] > 0) == (number == GREEDY)
        if number != GREEDY:  # a row is a dictionary, two numbers and a text
            assert 200 * rows_of(number) <= figures["peak"] <= 1300 * rows_of(number), (number, figures)
    assert answers[GREEDY][1]["peak"] > 7_500_000


def main() -> None:
    pool = ThreadPoolExecutor(8) if sys.argv[1] == "threads" else None
    resident = []
    for _ in range(5):
        check(asyncio.run(serve(pool)), is_freed=pool is None)  # a thread of a pool frees its last result when it likes
        gc.collect()
        lib.hk_purge()
        resident.append(resident_kib())
    if pool is not None:
        pool.shutdown()
    assert resident[-1] - resident[1] < 6000, resident
    assert _native.Scope.current() is None
    print("well", resident)


if __name__ == "__main__":
    main()
