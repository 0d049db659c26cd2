"""What is measured: the table of workloads."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

Kind = Literal["python", "control", "service", "start", "c"]


@dataclass(frozen=True)
class Workload:
    """A program of hakmem.bench.programs, and how much of it."""

    name: str
    kind: Kind
    """"python": in the geometric means; "control": allocates next to nothing; "service": memory over time; "start":
    of the interpreter; "c": loops in C, with geometric means of their own."""
    description: str
    iterations: int
    quick_iterations: int
    program: str = ""
    """Module and class; of "start" there is none."""
    arguments: tuple[str, ...] = ()
    needs: str | None = None
    """A package that may be missing."""

    def missing(self) -> str | None:
        """Why it cannot be run here."""
        if self.needs is None or importlib.util.find_spec(self.needs) is not None:
            return None
        return f"{self.needs} is not installed: pip install 'hakmem[bench]'"


WORKLOADS = (
    Workload("json-dumps", "python", "records become JSON", 200, 4, "json_dumps.JsonDumps"),
    Workload("json-loads", "python", "JSON becomes records", 250, 4, "json_loads.JsonLoads"),
    Workload("unpickle", "python", "pickles become records", 400, 5, "unpickle.Unpickle"),
    Workload("deepcopy", "python", "nested objects are copied", 400, 5, "deep_copy.DeepCopy"),
    Workload("comprehensions", "python", "lists, sets and dictionaries", 250, 3, "comprehensions.Comprehensions"),
    Workload("float", "python", "objects with floats", 100, 2, "float_objects.FloatObjects"),
    Workload("deltablue", "python", "a solver of constraints", 40, 1, "deltablue.DeltaBlue"),
    Workload("async-tree", "python", "a tree of asyncio's tasks", 60, 1, "async_tree.AsyncTree"),
    Workload("strings", "python", "a text is split, counted, joined", 35, 1, "strings.Strings"),
    Workload("numpy", "python", "NumPy's temporaries", 12, 1, "numpy_arrays.NumpyArrays", needs="numpy"),
    Workload("threads", "python", "threads come and go, their records stay", 100, 4, "threads.Threads"),
    Workload("nbody", "control", "arithmetic", 1500, 20, "nbody.NBody"),
    Workload("unpack-sequence", "control", "tuples are taken apart", 6000, 100, "unpack_sequence.UnpackSequence"),
    Workload("pickle-bytes", "control", "large bytes are pickled", 200, 5, "pickle_bytes.PickleBytes"),
    Workload(
        "service",
        "service",
        "a burst of requests that read, and its memory 10 s later",
        10,
        1,
        "service.Service",
        ("20",),
    ),
    Workload(
        "service-writes", "service", "the same, renewing all that the service holds", 10, 1, "service.Service", ("100",)
    ),
    Workload("startup", "start", "python -c pass, from outside", 20, 2),
    Workload("c-small", "c", "random blocks of 16 to 256 bytes", 40_000, 400, "c_loops.CLoops", ("small",)),
    Workload("c-mixed", "c", "blocks of 16 bytes to 64 KiB, skewed", 30_000, 400, "c_loops.CLoops", ("mixed",)),
    Workload("c-realloc", "c", "blocks grow to 4 MiB", 8, 1, "c_loops.CLoops", ("realloc",)),
    Workload("c-threads", "c", "one thread allocates, one frees", 15_000, 200, "c_loops.CLoops", ("threads",)),
)
