"""CPython's own regression tests, plain and by `python -m hakmem run`: each test must end the same way.

usage: PYTHON tests/python/cpython_suite.py [quick | nightly | valgrind | MODULE...]

PYTHON has hakmem installed, as in the environments that tests/python/run leaves, and the package `test` (Debian:
libpython3.11-testsuite). `quick`, which it is if not said, takes some seconds; `nightly` some minutes, with `valgrind`
at its end: a program under memcheck. The two runs of a module go on at the same time, each in a process and a folder of
its own, without the resources that tests have to be allowed (network, much time, much memory).

What cannot be equal is in DIFFERENCES, with the reason. A difference that is not there is an error, and so is one that
is there and does not occur.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Names of modules, without test_. The quick ones: many allocations of many kinds.
QUICK = """
bytes context contextvars dict gc generators json list memoryview set threading_local tuple
"""
NIGHTLY = """
abc argparse array ast asyncgen asyncio base64 bigmem binascii binop bisect bool buffer bufio builtin bytes bz2
c_locale_coercion call capi charmapcodec class cmath cmd code codeccallbacks codecencodings_jp codecs collections
compare compile complex concurrent_futures configparser contains context contextlib contextlib_async contextvars
copy copyreg coroutines cprofile csv ctypes dataclasses datetime dbm decimal decorators deque descr descrtut dict
dictcomps dictviews difflib dis doctest dynamic email embed enum enumerate exception_group exception_hierarchy
exceptions extcall faulthandler file fileio float flufl fnmatch fork1 format fractions frame frozen fstring
funcattrs functools future gc generators genericclass genexps getargs2 getopt gettext glob global grammar graphlib
hash hashlib heapq hmac html htmlparser http_cookies import index inspect int io isinstance iter iterlen itertools
json keyword keywordonlyarg lambda linecache list listcomps locale logging long longexp lzma mailbox marshal math
memoryio memoryview metaclass minidom mmap module modulefinder multiprocessing_fork multiprocessing_main_handling
named_expressions ntpath opcodes operator optparse ordered_dict os pathlib patma pickle picklebuffer pickletools
pkgutil platform plistlib poll positional_only_arg posixpath pprint profile property pstats pulldom pyclbr pyexpat
queue raise random range re regrtest repl reprlib richcmp rlcompleter sax sched scope secrets select selectors set
shelve shlex shutil signal slice sort sqlite3 stat statistics str strftime string string_literals stringprep
strptime strtod struct structseq subclassinit subprocess super symtable syntax sys sys_setprofile sys_settrace
tarfile tempfile textwrap thread threadedtempfile threading threading_local threadsignals time timeit tokenize trace
traceback tracemalloc tuple typechecks types typing ucn unary unicode unicodedata unittest unpack unparse userdict
userlist userstring uuid warnings wave weakref weakset with xml_etree xml_etree_c xxlimited yield_from zipfile
zipimport zlib
"""


@dataclass(frozen=True)
class Difference:
    """A test that cannot end as it does plain, in the versions of CPython from `first` to `last`."""

    test: str
    on_hakmem: str
    reason: str
    first: tuple[int, int] = (3, 10)
    last: tuple[int, int] = (3, 13)


DIFFERENCES = (
    Difference(
        "test.test_sys.SysModuleTest.test_getallocatedblocks",
        "failed",
        "sys.getallocatedblocks() counts the blocks of pymalloc, which has none then; the test wants some",
    ),
)

# What valgrind sees in this must be no more than it sees plain.
PROGRAM = """
import gc, json, threading
def work(number):
    data = {str(i): [i, str(i) * (i % 20), {"nested": [None, True, 1.5, bytes(i).hex()]}] for i in range(200)}
    for _ in range(3):
        assert json.loads(json.dumps(data)) == data
    cycle = [data]
    cycle.append(cycle)
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()
text = ""
for number in range(3000):
    text += str(number)
rows = [bytearray(size) for size in range(0, 200_000, 997)]
for row in rows:
    row += bytes(row)
print(len(text), len(rows), "/_early.so" in open("/proc/self/maps").read())
"""

# For each test: how it ended. A module has an entry, too: how its process ended.
Outcomes = dict[str, str]


def environment() -> dict[str, str]:
    """Without what changes CPython's allocators or its tests."""
    unwanted = ("HAKMEM_", "PYTHON", "LD_PRELOAD")
    return {name: text for name, text in os.environ.items() if not name.startswith(unwanted)} | {"LC_ALL": "C.UTF-8"}


def command(on_hakmem: bool, *words: str) -> list[str]:
    return [sys.executable, *(("-m", "hakmem", "run") if on_hakmem else ()), *words]


# ---- CPython's tests ----


def outcome_of(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def read_report(report: Path) -> Iterator[tuple[str, str]]:
    """Name and outcome; a test that runs several times has a number behind its name."""
    seen: dict[str, int] = {}
    for case in ET.parse(report).iter("testcase"):
        name = case.get("name", "?")
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} #{seen[name]}"), outcome_of(case)


def run_module(module: str, on_hakmem: bool) -> tuple[Outcomes, str]:
    """The outcomes, and what the run said."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = ("-m", "test", "--randseed", "1", "--timeout", "300", "--junit-xml", str(report), module)
        done = subprocess.run(
            command(on_hakmem, *words),
            cwd=folder,
            env=environment() | {"TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        outcomes = dict(read_report(report)) if report.exists() else {}
        return {module: f"exit code {done.returncode}", **outcomes}, done.stdout


def differences(outcomes: Outcomes) -> Outcomes:
    """Those that are listed, of this version and these tests."""
    rows = (row for row in DIFFERENCES if row.first <= sys.version_info[:2] <= row.last)
    return {row.test: row.on_hakmem for row in rows if row.test in outcomes}


def expected(module: str, plain: Outcomes) -> Outcomes:
    """Of the run on hakmem, by that of the plain run."""
    listed = differences(plain)
    end = {module: "exit code 2"} if "failed" in listed.values() else {}
    return plain | listed | end


def compare_module(module: str) -> tuple[Outcomes, list[str]]:
    """The plain outcomes, and what is wrong with the others."""
    with ThreadPoolExecutor() as pool:
        (plain, plain_output), (found, output) = pool.map(
            lambda on_hakmem: run_module(module, on_hakmem), (False, True)
        )
    wanted = expected(module, plain)
    wrong = [
        f"{test}: plain {plain.get(test)}, expected on hakmem {wanted.get(test)}, on hakmem {found.get(test)}"
        for test in sorted(wanted.keys() | found.keys())
        if wanted.get(test) != found.get(test)
    ]
    wrong += [
        f"{test}: it is listed, and {end} as well plain"
        for test, end in differences(plain).items()
        if plain[test] == end
    ]
    if wrong:
        for title, text in (("plain", plain_output), ("on hakmem", output)):
            wrong += [f"    {title}: {line}" for line in text.splitlines()[-50:]]
    return plain, wrong


def is_on_hakmem() -> bool:
    """Whether the tests do run there."""
    words = ("-m", "hakmem", "run", "--stats=json", "-m", "test", "test_bool")
    done = subprocess.run(
        [sys.executable, *words],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures = json.loads(done.stderr.splitlines()[-1])
    return int(figures["peak_held_bytes"]) > 4 << 20


def compare_modules(modules: Iterable[str]) -> bool:
    """Prints a line for each module, and the sums."""
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    count = failures = 0
    for module in modules:
        started = time.monotonic()
        plain, wrong = compare_module(module)
        tests = [outcome for test, outcome in plain.items() if test != module]
        counts = {outcome: tests.count(outcome) for outcome in totals}
        totals = {outcome: totals[outcome] + counts[outcome] for outcome in totals}
        count += 1
        failures += bool(wrong)
        seconds = time.monotonic() - started
        print(
            f"{'DIFFERENT' if wrong else 'equal':10}{module:36}{plain[module]:13}{counts}  {seconds:.1f} s", flush=True
        )
        print("".join(f"{line}\n" for line in wrong), end="", flush=True)
    for row in DIFFERENCES:
        print(f"cpython_suite: listed: {row.test} is {row.on_hakmem}: {row.reason}")
    print(f"cpython_suite: {count - failures} of {count} modules are equal; plain: {totals}")
    return failures == 0 and totals["passed"] > 0


# ---- valgrind ----


def errors_under_valgrind(on_hakmem: bool) -> set[tuple[str, ...]]:
    """What memcheck finds: the kind of each error, and the functions it was in."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        # The process becomes another program, in which the file is begun anew.
        words = ["valgrind", "--trace-children=yes", "--leak-check=no", "--xml=yes", f"--xml-file={report}"]
        variables = environment() | ({} if on_hakmem else {"PYTHONMALLOC": "malloc"})
        done = subprocess.run(
            [*words, *command(on_hakmem, "-c", PROGRAM)], env=variables, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"10890 201 {on_hakmem}\n", done.stdout
        root = ET.parse(report).getroot()
        functions = ((error.findtext("kind", "?"), error.iterfind("stack/frame/fn")) for error in root.iter("error"))
        return {(kind, *(name.text or "?" for name in names)) for kind, names in functions}


def compare_under_valgrind() -> bool:
    plain, found = errors_under_valgrind(False), errors_under_valgrind(True)
    for error in sorted(found - plain):
        print("only on hakmem:", *error)
    print(f"valgrind: {len(found)} errors on hakmem, {len(found - plain)} of them only there; {len(plain)} with malloc")
    return found <= plain


# ---- the command ----


def main(arguments: list[str]) -> int:
    # A shell ignores it for what it starts in the background, and so would the tests, some of which wait for it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words = arguments or ["quick"]
    if words[0] == "valgrind":
        return 0 if compare_under_valgrind() else 1
    selection = {"quick": QUICK, "nightly": NIGHTLY}.get(words[0])
    names = [word.removeprefix("test_") for word in words] if selection is None else selection.split()
    modules = [f"test_{name}" for name in names if importlib.util.find_spec(f"test.test_{name}") is not None]
    missing = len(names) - len(modules)
    if not modules or (selection is None and missing):
        print(
            "cpython_suite: no such tests; is the package test there (Debian: libpython3.11-testsuite)?",
            file=sys.stderr,
        )
        return 2
    print(
        f"cpython_suite: {sys.executable}, {sys.version.split()[0]}: {len(modules)} modules; it has no {missing} others"
    )
    if not is_on_hakmem():
        print("cpython_suite: the tests do not run on hakmem", file=sys.stderr)
        return 1
    is_equal = compare_modules(modules)
    if words[0] == "nightly":
        is_equal &= compare_under_valgrind()
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
