"""`python -m hakmem run`: a program is as it would be without, but for where CPython's memory comes from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import hakmem
import pytest

# What a program can see of how it was started.
TELL = """
import json, os, sys
names = [name for name in dir(sys.flags) if not name.startswith("_") and name not in ("count", "index")]
flags = [getattr(sys.flags, name) for name in names]
print(json.dumps([sys.argv, sys.orig_argv, sys.executable, sys.path, list(map(str, flags)), sys.warnoptions,
    sys._xoptions, dict(os.environ), os.getcwd(), __name__, globals().get("__file__"), sys.flags.optimize]))
"""
# Its end: everything in the allocator's books adds up, and CPython's memory did come from there.
CHECK = """
import hakmem
assert hakmem.installed_domains() == ("raw", "mem", "obj"), hakmem.installed_domains()
assert hakmem.lib.hk_arena_check(hakmem.lib.hk_arena_default()) == hakmem.lib.HK_OK
"""
HAKMEM = ("-m", "hakmem", "run")


def python(*arguments: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    unwanted = ("HAKMEM_", "PYTHONMALLOC", "PYTHONDEVMODE", "LD_PRELOAD")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)} | variables
    return subprocess.run(
        [sys.executable, *arguments], env=environment, input=stdin, capture_output=True, text=True, check=False
    )


def run(*arguments: str, **variables: str) -> str:
    """Output of a program that ends as it should, without a word on standard error."""
    done = python(*HAKMEM, *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def statistics(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return figures


# ---- the program is as it would be ----


@pytest.mark.parametrize(
    "options",
    [(), ("-W", "error", "-O", "-X", "utf8", "-b"), ("-I",), ("-sEB", "-X", "importtime=0"), ("-OOWignore", "-u")],
    ids=" ".join,
)
def test_options_of_the_interpreter(options: tuple[str, ...]) -> None:
    program = ("-c", TELL, "a", "--", "--stats", "-m", "")
    plain = python(*options, *program)
    assert plain.returncode == 0
    assert json.loads(python(*options, *HAKMEM, *program).stdout) == json.loads(plain.stdout)


def test_options_in_one_word_with_the_module() -> None:
    program = ("-c", TELL, "a")
    for glued, plain in (("-Im", ("-I",)), ("-Oum", ("-Ou",))):
        expected = json.loads(python(*plain, *program).stdout)
        assert json.loads(python(glued, "hakmem", "run", *program).stdout) == expected
        assert json.loads(python(glued + "hakmem", "run", *program).stdout) == expected


def test_ways_to_name_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(TELL)
    (tmp_path / "-x.py").write_text(TELL)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(TELL)
    ways: list[tuple[str, ...]] = [
        ("script.py", "-m", "x", "--", "--help"),
        (str(tmp_path / "script.py"),),
        ("package", "a b"),
        ("-m", "package", "--limit", "1"),
        ("-mscript", "--", "-c"),
        ("-c" + TELL, "-"),
        ("-", "a"),
        ("--", "-x.py", "a"),
    ]
    for way in ways:
        expected, found = (python(*before, *way, stdin=TELL) for before in ((), HAKMEM))
        assert (found.returncode, found.stderr) == (expected.returncode, expected.stderr) == (0, "")
        assert json.loads(found.stdout) == json.loads(expected.stdout), way
    assert json.loads(python(*HAKMEM, "--", "script.py", "--").stdout)[0] == ["script.py", "--"]


def test_environment_is_as_before() -> None:
    variables = {
        "LD_PRELOAD": "libm.so.6",
        "HAKMEM_LIMIT": "1G",
        "HAKMEM_STATS": "0",
        "HAKMEM_HEAP_MAP": "",
        "HAKMEM_PYTHON_DOMAINS": "mine",
        "HAKMEM_PURGE_DELAY_MS": "5",
        "PYTHONUTF8": "1",
        "EMPTY": "",
        "ODD": "\udcff=,\n",
    }
    options = ("--limit", "200M", "--domains", "obj,mem,raw", "--heap-map", os.devnull)
    told = [json.loads(python(*before, "-c", TELL, **variables).stdout) for before in ((), (*HAKMEM, *options))]
    assert told[0] == told[1]
    assert told[1][7].items() >= variables.items()


@pytest.mark.parametrize("code", ["raise SystemExit(7)", "1 / 0", "import os; os._exit(3)", "import os; os.abort()"])
def test_exit_status(code: str) -> None:
    plain, done = python("-c", code), python(*HAKMEM, "-c", code)
    assert plain.returncode != 0
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        assert python(*HAKMEM, "-c", f"import os; os.kill(os.getpid(), {int(number)})").returncode == -number


def test_programs_that_it_starts_are_not_concerned() -> None:
    child = "import os; print(sorted(os.environ) == {names!r}, 'hakmem' in open('/proc/self/maps').read())"
    code = f"""
import os, subprocess, sys
names = sorted(os.environ)
child = {child!r}.replace("{{names!r}}", repr(names))
print("hakmem" in open("/proc/self/maps").read(), flush=True)
subprocess.run([sys.executable, "-c", child], check=True)
subprocess.run(["sh", "-c", '"$@"', "sh", sys.executable, "-c", child], check=True)
os.execv(sys.executable, [sys.executable, "-c", child])
"""
    assert run("-c", code).split() == ["True", *["True", "False"] * 3]


# ---- what it offers ----


def test_all_of_the_domains_or_some() -> None:
    assert run("-c", CHECK) == ""
    code = "import hakmem; print(*hakmem.installed_domains())"
    assert run("--domains", "obj,raw", "-c", code).split() == ["raw", "obj"]
    assert run("--domains=mem", "-c", code).split() == ["mem"]


def test_limit() -> None:
    code = """
for way in (lambda: bytearray(100 << 20), lambda: [object() for _ in range(10_000_000)], lambda: 1 << (1 << 33)):
    try:
        way()
    except MemoryError as error:
        print("no", error)
    print(len([str(i) for i in range(100_000)]))
"""
    done = python(*HAKMEM, "--limit", "64MB", "--stats=json", "-c", code + CHECK)
    assert done.returncode == 0
    assert done.stdout.split() == ["no", "100000"] * 3
    figures = statistics(done)
    assert figures["limit_bytes"] == 64_000_000 // 1024 * 1024
    assert 10_000_000 < figures["peak_held_bytes"] <= figures["limit_bytes"]
    assert figures["limit_failures"] >= 3


def test_a_limit_below_what_the_interpreter_needs() -> None:
    done = python(*HAKMEM, "--limit", "64K", "-c", "print(1)")
    assert done.returncode in (1, -signal.SIGABRT)  # as the version has it
    assert done.stdout == ""
    assert "Fatal Python error" in done.stderr


def test_statistics_as_json() -> None:
    code = "blocks = [bytes(1_000) for _ in range(20_000)]; del blocks"
    done = python(*HAKMEM, "--stats=json", "-c", code)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (0, "", 1)
    figures = statistics(done)
    assert figures["arena"] == "process"
    assert figures["version"] == hakmem.__version__
    assert figures["program"].startswith("python")
    assert figures["peak_held_bytes"] >= 20_000 * 1_000
    assert figures["peak_held_bytes"] > figures["held_bytes"] >= figures["live_bytes"]
    assert figures["limit_bytes"] == figures["limit_failures"] == figures["system_failures"] == 0
    small = figures["live_blocks"] - figures["large_blocks"]
    assert small == sum(row["live_blocks"] for row in figures["classes"])
    assert figures["live_bytes"] - figures["large_bytes"] == sum(
        row["live_blocks"] * row["block_size"] for row in figures["classes"]
    )


def test_statistics_as_text() -> None:
    done = python(*HAKMEM, "--stats", "-c", "import sys; sys.stderr.close(); raise SystemExit(4)")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("memory of python")
    assert " peak_held_bytes " in done.stderr
    assert f"(hakmem {hakmem.__version__})" in done.stderr
    assert python(*HAKMEM, "--stats", "-", stdin="print(6 * 7)").stdout == "42\n"


def test_statistics_by_a_signal() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGUSR1); print('on')"
    done = python(*HAKMEM, "-c", code, HAKMEM_STATS_SIGNAL="USR1")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.startswith("memory of python")


def test_heap_map(tmp_path: Path) -> None:
    code = "import os; print(os.getpid()); os.chdir('/')"
    number = run("--heap-map", str(tmp_path / "map-%p.svg"), "-c", code).strip()
    root = ET.parse(tmp_path / f"map-{number}.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter())) > 100


# ---- what it refuses ----


def test_refusals() -> None:
    code = ("-c", "print('ran')")
    refusals: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        (
            (),
            {"PYTHONMALLOC": "malloc"},
            "PYTHONMALLOC=malloc puts its own allocators in force: start Python without it",
        ),
        (("-X", "dev"), {}, "the development mode (-X dev, PYTHONDEVMODE) puts its own allocators in force"),
        ((), {"PYTHONDEVMODE": "1"}, "the development mode (-X dev, PYTHONDEVMODE) puts its own allocators in force"),
    ]
    for options, variables, reason in refusals:
        done = python(*options, *HAKMEM, *code, **variables)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"domain raw cannot be served from hakmem: {reason}" in done.stderr
    done = python("-E", *HAKMEM, *code, PYTHONMALLOC="malloc")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_wrong_commands(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere" / "map.svg")
    mistakes: list[tuple[tuple[str, ...], str]] = [
        ((), "which program is to run? SCRIPT, -m MODULE or -c CODE"),
        (("--stats", "--"), "which program is to run?"),
        (("-m",), "argument -m: expected one argument"),
        (("-c",), "argument -c: expected one argument"),
        (("--limit",), "argument --limit: expected one argument"),
        (("--limit", "much", "x.py"), "argument --limit: the size is 'much'; it can be a number and a unit"),
        (("--limit", "100", "x.py"), "argument --limit: the limit is '100'; it can be from 1K to 1T"),
        (("--limit", "2T", "x.py"), "argument --limit: the limit is '2T'; it can be from 1K to 1T"),
        (("--stats=xml", "x.py"), "argument --stats: invalid choice: 'xml'"),
        (("--domains", "obj,all", "x.py"), "argument --domains: the domain is 'all'; it can be one of raw, mem, obj"),
        (("--domains", "", "x.py"), "argument --domains: the domain is ''; it can be one of raw, mem, obj"),
        (("--heap-map", nowhere, "x.py"), f"argument --heap-map: {nowhere!r} is no file that can be written to"),
        (("--heap-map", str(tmp_path), "x.py"), "is no file that can be written to"),
        (("--lim", "64M", "x.py"), "there is no option --lim"),
        (("-W", "error", "x.py"), "there is no option -W; options of python's own stand before -m hakmem"),
    ]
    for arguments, message in mistakes:
        done = python(*HAKMEM, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: python -m hakmem run [OPTION]... SCRIPT")
        assert message in done.stderr


def test_help() -> None:
    done = python(*HAKMEM, "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--limit SIZE", "--stats", "--domains NAMES", "--heap-map FILE"))


# ---- what programs do ----


def test_fork() -> None:
    code = """
import os, threading, warnings
warnings.simplefilter("ignore")  # some versions warn of forks while there are threads
data = [str(i) for i in range(50_000)]
def work():
    for _ in range(20):
        [bytes(i) for i in range(2_000)]
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        del data[::2]
        more = [[i] * 10 for i in range(10_000)]
        threading.Thread(target=work).start()
        os._exit(len(data) == 25_000 and len(more) == 10_000)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
for thread in threads:
    thread.join()
if os.fork() == 0:
    raise SystemExit(0)
assert os.wait()[1] == 0
"""
    run("-c", code + CHECK)


def test_multiprocessing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, warnings
warnings.simplefilter("ignore")
def work(number):
    import hakmem
    return len(str([number] * 1000)), hakmem.installed_domains()
if __name__ == "__main__":
    for method, domains in (("fork", ("raw", "mem", "obj")), ("spawn", ())):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(work, [1, 2, 3, 44]) == [(3000, domains)] * 3 + [(4000, domains)]
            pool.close()
            pool.join()
    exec({CHECK!r})
""")
    run(str(script))


def test_threads_that_come_and_go() -> None:
    code = """
import queue, threading
rest = queue.SimpleQueue()
def work(number):
    mine = [str(number + i) * (i % 50) for i in range(1_000)]
    rest.put(mine[::2])         # others free these
    if number % 3 == 0:
        rest.get()
for start in range(0, 120, 6):
    threads = [threading.Thread(target=work, args=(start + i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
while not rest.empty():
    assert len(rest.get()) == 500
"""
    run("-c", code + CHECK)


def test_collections_of_garbage() -> None:
    code = """
import gc, weakref
class Node:
    def __init__(self, other=None):
        self.other, self.bulk = other or self, bytearray(200)
gc.set_threshold(1, 1, 1)
nodes = [Node(Node()) for _ in range(300)]
for node in nodes:
    node.other.other = node
seen = [weakref.ref(node) for node in nodes]
del nodes, node
gc.collect()
assert not any(reference() for reference in seen)
"""
    run("-c", code + CHECK)


def test_tracemalloc() -> None:
    code = """
import tracemalloc
before = bytearray(1 << 20)
for _ in range(2):
    tracemalloc.start()
    data = [bytes(1000) for _ in range(1000)]
    assert tracemalloc.get_traced_memory()[0] > 1_000_000
    assert tracemalloc.take_snapshot().statistics("lineno")[0].size > 1_000_000
    before *= 2
    del data
    assert tracemalloc.get_traced_memory()[0] < 5_000_000
    kept = [bytes(100) for _ in range(1000)]
    tracemalloc.stop()
    del kept
"""
    run("-c", code + CHECK)
    done = python("-X", "tracemalloc=3", *HAKMEM, "-c", "import tracemalloc; assert tracemalloc.is_tracing()" + CHECK)
    assert (done.returncode, done.stderr) == (0, "")


def test_faulthandler() -> None:
    done = python("-X", "faulthandler", *HAKMEM, "-c", "import faulthandler; faulthandler._sigsegv()")
    assert done.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert 'File "<string>", line 1 in <module>' in done.stderr


INTERPRETERS = """
import sys, threading
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
WORK = '''
import gc, json
for turn in range(20):
    data = {str(i): [i, str(i), {i: bytes(i % 700)}] for i in range(500)}
    assert len(json.dumps(list(data))) > 2000
gc.collect()
'''
def work():
    number = interpreters.create()
    assert interpreters.run_string(number, WORK) is None
    interpreters.destroy(number)
"""


def test_subinterpreters() -> None:
    assert run("-c", INTERPRETERS + "work(); work()" + CHECK) == ""


def test_subinterpreters_at_the_same_time() -> None:
    code = """
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    assert run("-c", INTERPRETERS + code + CHECK) == ""
