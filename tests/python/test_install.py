"""`hakmem.install()`: CPython's memory from hakmem from then on; and what becomes of misuse there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import tracemalloc
from collections.abc import Iterator

import hakmem
import pytest
from hakmem._memory import why_not

# Installs are for good, so each is in a process of its own.
CHECK = """
import hakmem
assert hakmem.lib.hk_arena_check(hakmem.lib.hk_arena_default()) == hakmem.lib.HK_OK
"""
LIVE = """
class Node:
    __slots__ = ("bulk", "name", "rest")
    def __init__(self, number, rest):
        self.name, self.bulk, self.rest = str(number), bytearray(number % 3000), rest
def build(count):
    node = None
    for number in range(count):
        node = Node(number, node if number % 100 else None)
        table[number] = [node, {number: node}, (number, str(number))]
        row.append(number * 10**12)
    return node
table, row, text = {}, [], "x" * 100_000
"""
# The names of CPython's own functions, for Python code to misuse.
NATIVE = """
import ctypes
api = ctypes.pythonapi
for name in ("PyMem_RawMalloc", "PyMem_Malloc", "PyObject_Malloc", "PyMem_Realloc"):
    getattr(api, name).restype = ctypes.c_void_p
def free(function, address):
    getattr(api, function)(ctypes.c_void_p(address))
def double_free(domain="PyMem_", size=100):
    address = getattr(api, domain + "Malloc")(ctypes.c_size_t(size))
    free(domain + "Free", address)
    free(domain + "Free", address)
"""


def python(code: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    unwanted = ("HAKMEM_", "PYTHONMALLOC", "PYTHONDEVMODE", "LD_PRELOAD", "PYTHONTRACEMALLOC")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)} | variables
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def passes(code: str) -> None:
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- install ----


def test_in_the_middle_of_a_program() -> None:
    passes(
        LIVE
        + """
import gc, json, threading
build(20_000)
import hakmem
hakmem.install()
assert hakmem.installed_domains() == ("raw", "mem", "obj")
first = build(30_000)                       # new blocks beside old ones, in tables of old ones that grow
text += "y"
row[:] = row[::-1]
assert json.loads(json.dumps(row)) == row
for number in range(0, 20_000, 3):          # blocks of before, freed by us
    del table[number]
threads = [threading.Thread(target=lambda: [str(i) for i in range(10_000)]) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()
assert [table[number][2] for number in (1, 19_999, 29_999)] == [(n, str(n)) for n in (1, 19_999, 29_999)]
assert hakmem.lib.hk_arena_owns(hakmem.lib.hk_arena_default(), hakmem.ffi.cast("void *", id(first.bulk)))
assert sum(map(len, (table, row))) > 70_000
"""
        + CHECK
    )


def test_live_data_at_the_end() -> None:
    passes(
        LIVE
        + """
import atexit, threading
build(5_000)
import hakmem
hakmem.install()
build(10_000)
class Late:
    def __del__(self):
        table.clear()
        build(1000)
late = Late()
local = threading.local()
local.data = build(1000)
atexit.register(build, 100)
"""
    )


def test_only_blocks_of_ours_are_ours() -> None:
    passes(
        """
old = bytearray(100_000)
import ctypes
address = ctypes.addressof(ctypes.c_char.from_buffer(old))
import hakmem
hakmem.install()
arena = hakmem.lib.hk_arena_default()
def is_ours(buffer):
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    return hakmem.lib.hk_arena_owns(arena, hakmem.ffi.cast("void *", address))
assert not is_ours(old)
assert is_ours(bytearray(100_000))
old.extend(bytes(1_000_000))                # their realloc
assert not is_ours(old) and old == bytes(1_100_000)
"""
        + CHECK
    )


@pytest.mark.parametrize("order", [("raw",), ("mem",), ("obj",), ("obj", "raw"), ("mem", "obj", "raw")], ids=",".join)
def test_some_of_the_domains(order: tuple[str, ...]) -> None:
    passes(
        LIVE
        + f"""
import hakmem
build(2_000)
for count, domain in enumerate({order!r}):
    hakmem.install([domain])
    hakmem.install(domain)                  # again
    build(2_000 + 1_000 * count)
    assert sorted(hakmem.installed_domains()) == sorted({order!r}[: count + 1])
hakmem.install({order!r})
figures = hakmem.ffi.new("hk_statistics *", {{"struct_size": hakmem.ffi.sizeof("hk_statistics")}})
hakmem.lib.hk_arena_statistics(hakmem.lib.hk_arena_default(), figures)
assert figures.live_blocks > (5_000 if "obj" in {order!r} else 0)
"""
        + CHECK
    )


def test_where_address_space_is_short() -> None:
    """There hakmem's segments and the blocks of others lie side by side."""
    passes(
        """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
"""
        + LIVE
        + """
import hakmem
hakmem.install()
import ctypes, ctypes.util
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
hakmem.set_error_policy("abort")            # a foreign block that is taken for one of ours
for turn in range(5):
    theirs = [c.malloc(ctypes.c_size_t(300_000)) for _ in range(20)]
    ours = [bytearray(300_000) for _ in range(20)]
    for block in theirs:
        ctypes.pythonapi.PyMem_RawFree(ctypes.c_void_p(block))
    del ours
    build(2_000)
try:
    bytearray(2 << 30)
except MemoryError:
    table.clear()
assert len([str(i) for i in range(100_000)]) == 100_000
"""
        + CHECK
    )


def test_tracemalloc_after_an_install() -> None:
    passes(
        """
import hakmem
hakmem.install()
import tracemalloc
tracemalloc.start()
data = [bytes(1000) for _ in range(1000)]
hakmem.install()                            # nothing is left to do
assert tracemalloc.get_traced_memory()[0] > 1_000_000
tracemalloc.stop()
del data
"""
        + CHECK
    )


def test_tracemalloc_before_an_install() -> None:
    passes(
        """
import hakmem, tracemalloc
hakmem.install("raw")
tracemalloc.start()
hakmem.install("raw")
try:
    hakmem.install()
except RuntimeError as error:
    assert str(error) == (
        "domain mem cannot be served from hakmem: tracemalloc is tracing, and would lose track: "
        "install first, or use python -m hakmem run"
    )
else:
    raise AssertionError
assert hakmem.installed_domains() == ("raw",)
tracemalloc.stop()
hakmem.install()
assert hakmem.installed_domains() == ("raw", "mem", "obj")
"""
        + CHECK
    )


def test_refusals_by_the_start_of_python() -> None:
    code = "import hakmem\ntry: hakmem.install('mem')\nexcept RuntimeError as error: print(error)"
    dev = "domain mem cannot be served from hakmem: the development mode (-X dev, PYTHONDEVMODE) puts its own "
    assert python(code, PYTHONMALLOC="pymalloc").stdout.startswith(
        "domain mem cannot be served from hakmem: PYTHONMALLOC=pymalloc puts its own allocators in force"
    )
    assert python(code, "-X", "dev").stdout.startswith(dev)
    assert python(code, PYTHONDEVMODE="1").stdout.startswith(dev)
    assert python(code, "-E", PYTHONMALLOC="debug", PYTHONDEVMODE="1").stdout == ""


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it may look to the checks, whatever other tests have done."""
    monkeypatch.delenv("PYTHONMALLOC", raising=False)
    monkeypatch.setattr(hakmem._memory, "installed_domains", lambda: ())


@pytest.mark.usefixtures("nothing_installed")
def test_refusals_by_the_kind_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hakmem.installed_domains()
    variables = sysconfig.get_config_vars() | {"Py_GIL_DISABLED": 1}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    for late in (False, True):
        assert why_not("raw", late=late) is None
        for domain in ("mem", "obj"):
            assert why_not(domain, late=late) == (
                "a free-threaded build needs its own allocator here; domain raw can be served"
            )
    with pytest.raises(RuntimeError, match="domain mem cannot be served from hakmem: a free-threaded build needs"):
        hakmem.install()
    assert hakmem.installed_domains() == before
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert why_not("raw", late=False) == "pypy has no such domains; CPython has"


@pytest.mark.usefixtures("nothing_installed")
def test_refusal_while_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracemalloc, "is_tracing", lambda: True)
    assert why_not("obj", late=False) is None
    with pytest.raises(RuntimeError, match="domain raw cannot be served from hakmem: tracemalloc is tracing"):
        hakmem.install()


@pytest.mark.parametrize("wrong", ["all", ("raw", "RAW"), ["obj", None], "raw,mem"])
def test_wrong_domains(wrong: object) -> None:
    with pytest.raises(ValueError, match="it can be one of 'raw', 'mem', 'obj'"):
        hakmem.install(wrong)  # type: ignore[arg-type]


def test_no_domains() -> None:
    with pytest.raises(ValueError, match="no domain is given"):
        hakmem.install([])
    with pytest.raises(ValueError, match="8 is no set of domains"):
        hakmem._native.install(8)


# ---- misuse ----


@pytest.fixture(params=["run", "install"])
def start(request: pytest.FixtureRequest) -> Iterator[tuple[tuple[str, ...], str]]:
    """Options and first lines of a program on hakmem."""
    yield (("-m", "hakmem", "run"), "") if request.param == "run" else ((), "import hakmem; hakmem.install()\n")


def test_misuse_goes_to_the_hook(start: tuple[tuple[str, ...], str]) -> None:
    done = python(
        start[1]
        + NATIVE
        + """
import sys
seen = []
sys.unraisablehook = lambda args: seen.append((args.exc_type.__name__, args.exc_value.status, args.exc_value.function,
                                               args.exc_value.block_size, args.object))
for domain in ("PyMem_", "PyMem_Raw", "PyObject_"):
    double_free(domain, 1000)
address = api.PyMem_Malloc(ctypes.c_size_t(1000))
free("PyMem_Free", address + 1)
free("PyMem_Free", address + 64)
assert api.PyMem_Realloc(ctypes.c_void_p(address + 8), ctypes.c_size_t(5000)) is None
ctypes.memset(address, 7, 1000)
free("PyMem_Free", address)
where = "memory of CPython's own"
twice = "HK_ERR_DOUBLE_FREE"
assert seen == [
    ("MisuseError", twice, "PyMem_Free", 1024, where),
    ("MisuseError", twice, "PyMem_RawFree", 1024, where),
    ("MisuseError", twice, "PyObject_Free", 1024, where),
    ("MisuseError", "HK_ERR_INTERIOR_POINTER", "PyMem_Free", 1024, where),
    ("MisuseError", "HK_ERR_INTERIOR_POINTER", "PyMem_Free", 1024, where),
    ("MisuseError", "HK_ERR_INTERIOR_POINTER", "PyMem_Realloc", 1024, where),
], seen
"""
        + CHECK,
        *start[0],
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_misuse_without_a_hook(start: tuple[tuple[str, ...], str]) -> None:
    done = python(start[1] + NATIVE + "double_free()\nprint('on')", *start[0])
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert 'Exception ignored in: "memory of CPython\'s own"\n' in done.stderr
    assert "MisuseError: HK_ERR_DOUBLE_FREE: the block is free already: a block of 112 bytes at 0x" in done.stderr
    assert done.stderr.endswith(" in arena 'process', given to PyMem_Free\n")


def test_misuse_as_a_warning(start: tuple[tuple[str, ...], str]) -> None:
    code = start[1] + NATIVE + "\n\ndouble_free()\nprint('on')"
    done = python(code, *start[0], HAKMEM_ON_ERROR="report")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "MisuseWarning: HK_ERR_DOUBLE_FREE: the block is free already: a block of 112 bytes" in done.stderr
    done = python(code, "-W", "error", *start[0], HAKMEM_ON_ERROR="report")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "Exception ignored in" in done.stderr


def test_misuse_ignored(start: tuple[tuple[str, ...], str]) -> None:
    done = python(start[1] + NATIVE + "double_free()\nprint('on')", *start[0], HAKMEM_ON_ERROR="ignore")
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


def test_misuse_ends_the_process(start: tuple[tuple[str, ...], str]) -> None:
    done = python(start[1] + NATIVE + "double_free()\nprint('on')", *start[0], HAKMEM_ON_ERROR="abort")
    assert (done.returncode, done.stdout) == (-signal.SIGABRT, "")
    assert done.stderr.startswith("hakmem: HK_ERR_DOUBLE_FREE in PyMem_Free(0x")


def test_policies_change() -> None:
    done = python(
        "import hakmem, warnings; hakmem.install()"
        + NATIVE
        + """
hakmem.set_error_policy("ignore")
double_free()
hakmem.set_error_policy("report")
with warnings.catch_warnings(record=True) as caught:
    double_free()
    for _ in range(3):
        pass
assert [warning.category for warning in caught] == [hakmem.MisuseWarning]
hakmem.set_error_policy("raise")
hakmem.set_error_policy("abort")
double_free()
""",
    )
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.startswith("hakmem: HK_ERR_DOUBLE_FREE in PyMem_Free(0x")
    assert len(done.stderr.splitlines()) == 1


def test_misuse_on_other_threads() -> None:
    """Without the GIL, and more at once than can wait."""
    done = python(
        "import hakmem; hakmem.install()"
        + NATIVE
        + """
import sys, threading
seen = []
sys.unraisablehook = lambda args: seen.append(threading.current_thread() is threading.main_thread())
free_without_gil = ctypes.CDLL(None).PyMem_RawFree
address = api.PyMem_RawMalloc(ctypes.c_size_t(100))
free_without_gil(ctypes.c_void_p(address))
def work():
    for _ in range(100):
        free_without_gil(ctypes.c_void_p(address))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.stdout.write(f"{len(seen)} {all(seen)}")
"""
    )
    assert done.returncode == 0
    seen, on_main_thread = done.stdout.split()
    lines = done.stderr.splitlines()
    assert all(line.startswith("hakmem: HK_ERR_DOUBLE_FREE in PyMem_RawFree(0x") for line in lines)
    assert int(seen) > 0
    assert on_main_thread == "True"
    assert int(seen) + len(lines) == 400


def test_misuse_when_python_is_over() -> None:
    """Whether it is the interpreter's end or the library's: it is told."""
    code = (
        "import hakmem; hakmem.install()"
        + NATIVE
        + """
class Last:
    def __del__(self, free=api.PyMem_Free, address=ctypes.c_void_p(api.PyMem_Malloc(ctypes.c_size_t(100)))):
        free(address)
        free(address)
import sys
sys.last = Last()
"""
    )
    done = python(code)
    assert done.returncode == 0
    assert "HK_ERR_DOUBLE_FREE" in done.stderr


def test_misuse_in_a_subinterpreter() -> None:
    done = python(
        f"""
import hakmem, sys
hakmem.install()
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
number = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create(isolated=False)
interpreters.run_string(number, {NATIVE + "double_free()"!r})
interpreters.destroy(number)
"""
    )
    assert done.returncode == 0
    assert done.stderr.startswith("hakmem: HK_ERR_DOUBLE_FREE in PyMem_Free(0x")
    assert len(done.stderr.splitlines()) == 1
