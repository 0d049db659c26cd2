"""The allocators: where they are, how Python is started on them, and whether a process really has them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import hakmem
from hakmem.bench._child import mapped_files, peak_bytes
from hakmem.bench._workloads import Kind

_PACKAGE = Path(hakmem.__file__).parent
_PROBE_SECONDS_MAX = 60
_PROBE = """\
import sys
print(sys.getallocatedblocks() > 0)
print(open("/proc/self/status").read())
print(open("/proc/self/maps").read())
"""
_LIBRARY_NAME = re.compile("lib(jemalloc|tcmalloc|mimalloc|hakmem-malloc)")
# What a shell may have set that chooses an allocator, or makes Python slow or talkative.
_CLEARED = frozenset(
    ("LD_PRELOAD", "PYTHONMALLOC", "PYTHONMALLOCSTATS", "PYTHONTRACEMALLOC", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
)


@dataclass(frozen=True)
class Process:
    """What can be seen from inside of a process about who serves its memory."""

    mapped_files: tuple[str, ...]
    counts_blocks: bool
    """Python's own allocators count their blocks, and others do not."""
    peak_rss_bytes: int


@dataclass(frozen=True)
class Allocator:
    """A way of running Python."""

    name: str
    description: str
    unavailable: str | None = None
    """Why it cannot be had here."""
    library: str | None = None
    """The shared object that is preloaded."""
    python_malloc: str | None = "malloc"
    """The value of PYTHONMALLOC."""
    by_run: bool = False
    """Python runs on it by `python -m hakmem run`."""
    in_limit: bool = False
    """All work is done within a hakmem.limit, which it does not reach."""

    @property
    def is_pythons_own(self) -> bool:
        """It serves small objects of Python, and nothing of C."""
        return self.python_malloc in ("pymalloc", "mimalloc")

    def serves(self, kind: Kind) -> bool:
        """Whether workloads of this kind can run on it."""
        if self.in_limit:
            return kind in ("python", "control")
        return kind != "c" or not self.is_pythons_own

    def command(self, kind: Kind) -> list[str]:
        """How Python is started; a script or -c follows. Loops in C call hakmem's functions by themselves."""
        if self.by_run and kind != "c":
            return [sys.executable, "-m", "hakmem", "run"]
        return [sys.executable]

    def environment(self) -> dict[str, str]:
        """The variables of the process."""
        variables = {name: value for name, value in os.environ.items() if name not in _CLEARED}
        variables["PYTHONHASHSEED"] = "0"
        if self.python_malloc is not None:
            variables["PYTHONMALLOC"] = self.python_malloc
        if self.library is not None:
            variables["LD_PRELOAD"] = self.library
        return variables

    def problem(self, process: Process, kind: Kind) -> str | None:
        """Why a process that was started on it is not; None: it is."""
        files = process.mapped_files
        library = None if self.library is None else os.path.realpath(self.library)
        if library is not None and library not in files:
            return f"{library} was preloaded, but is not in the process"
        ours = [file for file in files if Path(file).is_relative_to(_PACKAGE)]
        expected = [library, *ours] if self.by_run else [library]
        other = next((file for file in files if _LIBRARY_NAME.match(Path(file).name) and file not in expected), None)
        if other is not None:
            return f"{other} is in the process, too"
        if kind == "c":
            return None
        if process.counts_blocks != self.is_pythons_own:
            return f"Python's own allocator is {'' if process.counts_blocks else 'not '}in use"
        return "nothing of hakmem is in the process" if self.by_run and not ours else None


def probe(allocator: Allocator) -> Process:
    """Starts an interpreter that does nothing but to look at itself. RuntimeError if it cannot."""
    command = [*allocator.command("start"), "-c", _PROBE]
    try:
        done = subprocess.run(
            command,
            env=allocator.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROBE_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was not done after {_PROBE_SECONDS_MAX} s") from None
    if done.returncode != 0:
        raise RuntimeError(last_line(done.stderr) or f"exit status {done.returncode}")
    counts_blocks, _, facts = done.stdout.partition("\n")
    return Process(tuple(mapped_files(facts)), counts_blocks == "True", peak_bytes(facts))


def last_line(text: str) -> str:
    """What a program has said last, which is mostly what was wrong."""
    return text.strip().rpartition("\n")[2].strip()


def find_allocators() -> tuple[Allocator, ...]:
    """All that are known; those that cannot be had here say why."""
    return tuple(try_allocator(allocator) for allocator in known_allocators())


def try_allocator(allocator: Allocator) -> Allocator:
    """Starts Python on it; if that does not work, it is unavailable."""
    if allocator.unavailable is not None:
        return allocator
    try:
        problem = allocator.problem(probe(allocator), "start")
    except RuntimeError as error:
        how = "python -m hakmem run -c pass" if allocator.by_run else "python -c pass"
        problem = f"{how} fails: {error}"
    return replace(allocator, unavailable=problem)


def known_allocators() -> Iterator[Allocator]:
    """All, as far as can be said without trying."""
    yield Allocator("pymalloc", "Python's own, the default", python_malloc="pymalloc")
    yield Allocator("malloc", "of the C library, for everything")
    needs_313 = None if sys.version_info >= (3, 13) else f"comes with Python 3.13; this is {sys.version.split()[0]}"
    yield Allocator("mimalloc-python", "the mimalloc in Python", unavailable=needs_313, python_malloc="mimalloc")
    yield Allocator("hakmem", "python -m hakmem run; in C, hk_malloc", python_malloc=None, by_run=True)
    yield Allocator("hakmem-limit", "the same within hakmem.limit", python_malloc=None, by_run=True, in_limit=True)
    yield _preloaded("hakmem-malloc", "hakmem as malloc, for everything", _hakmem_malloc(os.environ))
    yield _preloaded("mimalloc", "as malloc, for everything", _find("libmimalloc.so.2", "libmimalloc2.0"))
    yield _preloaded("jemalloc", "as malloc, for everything", _find("libjemalloc.so.2", "libjemalloc2"))
    yield _preloaded("tcmalloc", "as malloc, for everything", _find("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"))


def _preloaded(name: str, description: str, found: tuple[str | None, str | None]) -> Allocator:
    library, unavailable = found
    if library is not None and re.search("[ :]", library):
        unavailable = f"LD_PRELOAD cannot hold the path {library!r}: it has a blank or a colon in it"
    return Allocator(name, description, unavailable, library)


def _find(library: str, package: str) -> tuple[str | None, str | None]:
    """The path of a library; or None and why."""
    for path in _places(library):
        if path.is_file():
            return str(path), None
    return None, f"{library} is not here (Debian: apt install {package})"


def _hakmem_malloc(variables: Mapping[str, str]) -> tuple[str | None, str | None]:
    library = "libhakmem-malloc.so"
    named = variables.get("HAKMEM_MALLOC")
    if named is not None:
        path = Path(named).absolute()
        return (str(path), None) if path.is_file() else (None, f"HAKMEM_MALLOC names {named!r}, which is no file")
    for path in (_PACKAGE / library, *_places(library)):
        if path.is_file():
            return str(path), None
    return None, f"{library} is not here; build it, and name its path in HAKMEM_MALLOC"


def _places(library: str) -> Iterator[Path]:
    """Where a library may be, as the dynamic linker looks for it."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders: Iterable[str] = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    yield from (Path(folder) / library for folder in folders if folder)
    yield from _linker_cache(library)
    for prefix in ("/usr/local", "/usr", "/"):
        for folder in (f"lib/{multiarch}", "lib64", "lib"):
            yield Path(prefix) / folder / library


def _linker_cache(library: str) -> Iterator[Path]:
    """What the dynamic linker has noted."""
    ldconfig = shutil.which("ldconfig", path=os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"]))
    if ldconfig is None:
        return
    listed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        if arrow and name.split(" ")[0] == library:
            yield Path(path)
