"""Diverse Python code, for tests that run out of memory in the middle of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import copy
import dataclasses
import decimal
import functools
import importlib
import io
import itertools
import json
import logging
import pickle
import re
import string
import sys
import textwrap
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator

_TABLE = {"rows": [{"id": i, "name": f"name {i}", "x": i / 7, "tags": ["a", "b" * i]} for i in range(20)]}
_TEXT = json.dumps(_TABLE)
_PICKLED = pickle.dumps(_TABLE)


def json_round() -> None:
    assert json.loads(_TEXT) == _TABLE
    assert len(json.dumps(_TABLE, indent=1)) > len(_TEXT)


def expressions() -> None:
    pattern = re.compile(r"(?P<word>[a-z]+)\s*(\d+|x{2,5})?|" + "|".join(f"k{i}" for i in range(20)))
    assert pattern.findall("abc 12 def xxx ghi " * 20)
    assert re.sub(r"(\w)(\w)", lambda match: match[2] + match[1], "abcdef" * 20)
    re.purge()


def pickles() -> None:
    assert pickle.loads(_PICKLED) == _TABLE
    assert pickle.loads(pickle.dumps(_TABLE, protocol=0)) == _TABLE
    assert copy.deepcopy(_TABLE) == _TABLE


def classes() -> None:
    for i in range(5):
        base = type(f"Base{i}", (), {"x": i, "__slots__": ("a", "b")})

        class Derived(base):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                self.a, self.b, self.c = 1, [2], {3: 4}

            def __del__(self) -> None:
                self.d = [self.c] * 3

            @property
            def total(self) -> int:
                return self.a + len(self.b)

        assert [Derived().total for _ in range(20)] == [2] * 20


def comprehensions() -> None:
    rows = [[str(i * j) for j in range(20)] for i in range(30)]
    index = {text: (text, len(text)) for row in rows for text in row}
    assert sum(len(text) for text in {text[::-1] for text in index}) > 0
    assert list(itertools.islice(itertools.permutations(range(6)), 300))


def failures() -> None:
    def fall(depth: int) -> None:
        try:
            if depth == 0:
                raise KeyError([depth] * 10)
            fall(depth - 1)
        except KeyError as error:
            raise KeyError(f"at {depth}", [depth]) from error
        finally:
            dict.fromkeys([depth])[depth] = [depth]

    for _ in range(5):
        try:
            fall(15)
        except KeyError as error:
            assert len(traceback.format_exception(error)) > 10
            assert "at 15" in traceback.format_exc()


def imports() -> None:
    for name in ("colorsys", "sched", "nturl2path", "this_is_no_module", "opcode", "fractions"):
        sys.modules.pop(name, None)
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def data_classes() -> None:
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: int = 0
        tags: list[str] = dataclasses.field(default_factory=list)

    points = sorted(Point(i % 7, i, [str(i)]) for i in range(60))
    assert dataclasses.replace(points[0], y=5).y == 5
    assert dataclasses.asdict(points[-1])["x"] == 6
    assert repr(points)


def formats() -> None:
    for i in range(100):
        text = f"{i:>10} {i / 3:.3f} {i!r:^20} {'x' * i}"
        assert text.upper().split() and text.join(["a", "b"]) and format(i, ">20,")
    assert string.Template("$a $b").substitute(a=1, b=2) and textwrap.fill("words and words " * 40)


def sorting() -> None:
    numbers = [(i * 7919) % 1009 for i in range(1500)]
    assert sorted(numbers, key=lambda n: (n % 10, str(n)))[0] % 10 == 0
    heap = collections.deque(sorted(numbers, reverse=True), maxlen=200)
    assert len(heap) == 200 and collections.Counter(numbers).most_common(3)


def numbers() -> None:
    with decimal.localcontext() as context:
        context.prec = 200
        total = sum((decimal.Decimal(i) / 7 for i in range(1, 60)), decimal.Decimal(0))
        assert str(total.sqrt())
    assert str(7**3000) and int("9" * 2000) > 0 and complex("1+2j") ** 3


def tasks() -> None:
    async def rows() -> AsyncIterator[int]:
        for i in range(10):
            await asyncio.sleep(0)
            yield i

    async def work(n: int) -> list[int]:
        return [i * n async for i in rows()]

    async def main() -> None:
        assert len(await asyncio.gather(*(work(i) for i in range(15)))) == 15
        await asyncio.wait_for(asyncio.shield(work(3)), 100)

    def tick(left: int) -> None:
        if left == 0:
            loop.stop()
        else:
            loop.call_soon(tick, left - 1)

    # An event loop that gets no memory for a handle forgets the task: then nobody would wake it up.
    loop = asyncio.new_event_loop()
    contextvars.Context().run(tick, 300)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def logs() -> None:
    logger = logging.Logger("test")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s %(funcName)s"))
    logger.addHandler(handler)
    for i in range(20):
        try:
            raise ValueError(i)
        except ValueError:
            logger.exception("failed %s %r", i, [i] * 5)
    handler.close()


def recursion() -> None:
    def down(n: int, *more: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1, n, *more[:3])

    def endless(n: int) -> int:
        try:
            return endless(n + 1)
        finally:
            str(n)

    assert down(300) == 300
    with contextlib.suppress(RecursionError):
        endless(0)


def generators() -> None:
    def walk(n: int) -> Iterator[int]:
        if n:
            yield from walk(n - 1)
            yield n
            yield from walk(n - 1)

    assert len(list(walk(7))) == 127
    pipe = (x * 2 for x in (y + 1 for y in range(200)) if x % 3)
    assert functools.reduce(lambda a, b: a + b, pipe) > 0


def references() -> None:
    class Node:
        pass

    nodes: list[Node] = [Node() for _ in range(100)]
    for i, node in enumerate(nodes):
        node.__dict__.update(left=nodes[i - 1], notes={i: str(i)}, weak=weakref.ref(node, lambda _: [0] * 10))
    assert len(weakref.WeakValueDictionary(enumerate(nodes))) == 100


def sources() -> None:
    code = compile(
        "def f(a, *b, c=1, **d):\n    return [a, *b, c, d]\nx = [f(i, i, c=i, d=i) for i in range(9)]", "s", "exec"
    )
    names: dict[str, object] = {}
    exec(code, names)
    assert eval("len(x) + sum(i for i in range(10))", names) == 54


def buffers() -> None:
    data = bytearray()
    for i in range(200):
        data += bytes(i)
    assert io.BytesIO(data).read(10) == bytes(10) and memoryview(data)[5:50].tobytes() == bytes(45)
    lines = io.TextIOWrapper(io.BytesIO(b"line of text\n" * 300), encoding="utf-8").readlines()
    assert len("".join(lines).encode("utf-16")) > 300


ALL: list[Callable[[], None]] = [
    json_round,
    expressions,
    pickles,
    classes,
    comprehensions,
    failures,
    imports,
    data_classes,
    formats,
    sorting,
    numbers,
    tasks,
    logs,
    recursion,
    generators,
    references,
    sources,
    buffers,
]
