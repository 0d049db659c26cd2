"""Python and loops in C on hakmem, beside other allocators: `python -m hakmem.bench`.

`run()` measures; `make_plan()`, `measure()` and `summarize()` are its parts, for those who want to look on.
The manual is docs/python.md.
"""

from hakmem.bench._allocators import Allocator, find_allocators
from hakmem.bench._measure import Plan, SelectionError, Step, make_plan, measure, run, summarize
from hakmem.bench._plots import draw
from hakmem.bench._results import (
    About,
    Benchmark,
    Failure,
    Mean,
    Measurement,
    Ratios,
    Row,
    Sample,
    Skipped,
    Spread,
)
from hakmem.bench._workloads import WORKLOADS, Workload

__all__ = [
    "WORKLOADS",
    "About",
    "Allocator",
    "Benchmark",
    "Failure",
    "Mean",
    "Measurement",
    "Plan",
    "Ratios",
    "Row",
    "Sample",
    "SelectionError",
    "Skipped",
    "Spread",
    "Step",
    "Workload",
    "draw",
    "find_allocators",
    "make_plan",
    "measure",
    "run",
    "summarize",
]
