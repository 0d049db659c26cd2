"""NumPy's own tests, without us and with all arrays in an arena: the outcomes have to be the same.

usage: python compare.py FOLDER [--quick]      in an environment with hakmem, numpy, pytest and hypothesis

--quick takes some modules and leaves out what NumPy marks as slow. Tests that need much memory are skipped, by NumPy's
own switch for that, in both runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy

QUICK_MODULES = ["test_indexing", "test_mem_overlap", "test_multiarray", "test_nditer", "test_regression", "test_ufunc"]
QUICK_MODULES += ["test_shape_base", "test_umath"]
# Thousands of cases of the same, for sorts, loops of SIMD and the like.
MANIFOLD_TESTS = ["sort_int", "sort_float", "sort_fp", "partition_int", "partition_fp", "argsort"]
MEMORY_FOR_TESTS = "1 GB"

EXPECTED_DIFFERENCES = {
    "test_mem_policy.py::test_thread_locality": "its threads expect NumPy's handler, and here they have ours",
}


@dataclass(frozen=True)
class Run:
    """What came out of one run."""

    outcomes: dict[str, str]
    peak_held_bytes: int

    def counts(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(self.outcomes.values()).items()))


def tests_of_numpy(quick: bool) -> list[str]:
    package = "numpy._core" if numpy.lib.NumpyVersion(numpy.__version__) >= "2.0.0" else "numpy.core"
    if not quick:
        return ["--pyargs", package]
    modules = [f"{package}.tests.{module}" for module in QUICK_MODULES]
    return ["-m", "not slow", "-k", f"not ({' or '.join(MANIFOLD_TESTS)})", "--pyargs", *modules]


def start(folder: Path, arena: bool, quick: bool) -> tuple[subprocess.Popen[bytes], Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written, log = folder / "outcomes.json", folder / "log"
    written.unlink(missing_ok=True)
    environment = os.environ | {
        "HAKMEM_SUITE_ARENA": "1" if arena else "0",
        "HAKMEM_SUITE_OUTCOMES": str(written),
        "NPY_AVAILABLE_MEM": MEMORY_FOR_TESTS,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    options = [
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(Path(numpy.__file__).parent),
        "-p",
        "no:cacheprovider",
        "-p",
        "outcomes",
    ]
    command = [sys.executable, "-m", "pytest", *options, *tests_of_numpy(quick)]
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file), written, log


def finish(process: subprocess.Popen[bytes], written: Path, log: Path) -> Run:
    status = process.wait()
    if status not in (0, 1) or not written.exists():  # 1: tests have failed
        raise SystemExit(f"{log.read_text(encoding='utf-8', errors='replace')}\npytest ended with status {status}")
    result = json.loads(written.read_text(encoding="utf-8"))
    return Run(result["outcomes"], result.get("peak_held_bytes", 0))


def differences(plain: Run, ours: Run) -> dict[str, str]:
    return {
        test: f"{plain.outcomes.get(test, 'not run')} without us, {ours.outcomes.get(test, 'not run')} in an arena"
        for test in sorted(plain.outcomes.keys() | ours.outcomes.keys())
        if plain.outcomes.get(test) != ours.outcomes.get(test)
    }


def is_expected(test: str) -> bool:
    return any(known in test for known in EXPECTED_DIFFERENCES)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    both = [start(arguments.folder.resolve() / name, name == "arena", arguments.quick) for name in ("plain", "arena")]
    plain, ours = (finish(*one) for one in both)
    print(f"numpy {numpy.__version__}, without us: {plain.counts()}")
    print(f"numpy {numpy.__version__}, in an arena: {ours.counts()}; it held {ours.peak_held_bytes >> 20} MiB at most")
    found = differences(plain, ours)
    for test, difference in found.items():
        reason = next((reason for known, reason in EXPECTED_DIFFERENCES.items() if known in test), "NOT EXPECTED")
        print(f"{test}: {difference}: {reason}")
    if not plain.outcomes or ours.peak_held_bytes == 0:
        print("no tests were run, or no array was in the arena")
        return 1
    return 0 if all(map(is_expected, found)) else 1


if __name__ == "__main__":
    sys.exit(main())
