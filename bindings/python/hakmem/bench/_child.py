"""Measures one program, in a process that exists for that alone.

usage: _child.py REQUEST       JSON: program ("module.Class"), iterations, seed, arguments, limit

Prints JSON. It is run as a script by its path, and imports nothing of hakmem's but the program, unless all work is
to be done within a hakmem.limit.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

CHECKSUMS = 2**53  # so many that every reader of JSON knows them exactly


def peak_bytes(status: str) -> int:
    """The most memory that was resident at once, since the start or since reset_peak(), from /proc/self/status."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status does not tell of peak memory")


def reset_peak() -> None:
    """Forgets the peak so far, if the kernel lets us; if not, that of preparing and warming up counts, too."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def mapped_files(maps: str) -> list[str]:
    """The files in /proc/self/maps: libraries that are in the process."""
    rows = (line.split(maxsplit=5) for line in maps.splitlines())
    return sorted({row[5] for row in rows if len(row) == 6 and row[5].startswith("/")})


def read(name: str) -> str:
    """What the kernel tells of this process."""
    return Path("/proc/self", name).read_text(encoding="utf-8")


def load(name: str) -> Any:  # noqa: ANN401
    """The class of a program."""
    module_name, class_name = name.split(".")
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(f"programs.{module_name}"), class_name)
    finally:
        sys.path[:] = [path for path in sys.path if path != folder]


def measure(program: Any, iterations: int) -> dict[str, Any]:  # noqa: ANN401
    """Warms up, works, and tells what it took."""
    program.warm_up()
    gc.collect()
    reset_peak()
    wall, processor = time.perf_counter(), time.process_time()
    program.work(iterations)
    times = (time.perf_counter() - wall, time.process_time() - processor)
    peak = peak_bytes(read("status"))
    seconds, cpu_seconds = program.times() or times
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_rss_bytes": peak,
        "checksum": program.checksum() % CHECKSUMS,
        "figures": dict(program.figures()),
        "samples": list(program.samples()),
        "mapped_files": mapped_files(read("maps")),
        "counts_blocks": sys.getallocatedblocks() > 0,
    }


def surroundings(*, limit: bool) -> contextlib.AbstractContextManager[object]:
    """In what the program is to run."""
    if not limit:
        return contextlib.nullcontext()
    import hakmem

    return hakmem.limit("16GB")


def main() -> None:
    """Does what the request says."""
    request = json.loads(sys.argv[1])
    with surroundings(limit=request["limit"]):
        program = load(request["program"])(request["seed"], *request["arguments"])
        facts = measure(program, request["iterations"])
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
