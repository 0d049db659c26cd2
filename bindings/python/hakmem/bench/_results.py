"""What comes out: measurements, and the figures that are drawn from them."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hakmem
from hakmem.bench._workloads import Kind

SCHEMA = 1


@dataclass(frozen=True)
class Sample:
    """Resident memory at a moment of a service."""

    phase: str
    """"before", "burst" or "after"."""
    seconds: float
    rss_bytes: int


@dataclass(frozen=True)
class Measurement:
    """One run of a workload, in a process of its own."""

    workload: str
    allocator: str
    round: int
    """From 1 on."""
    seconds: float
    cpu_seconds: float
    """Of all threads, of the user and the system."""
    peak_rss_bytes: int
    checksum: int
    """Of what the workload computed: the same for every allocator."""
    figures: Mapping[str, float]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Failure:
    """A run that went wrong."""

    workload: str
    allocator: str
    round: int
    reason: str


@dataclass(frozen=True)
class Skipped:
    """What was not measured, though nobody said that it should not be."""

    name: str
    reason: str


@dataclass(frozen=True)
class Spread:
    """Of the rounds."""

    best: float
    median: float
    worst: float


@dataclass(frozen=True)
class Ratios:
    """To the baseline: below 1, it is better."""

    time: float
    median_time: float
    cpu: float
    peak_rss: float
    median_peak_rss: float


@dataclass(frozen=True)
class Row:
    """A workload on an allocator."""

    workload: str
    kind: Kind
    allocator: str
    runs: int
    seconds: Spread
    cpu_seconds: Spread
    peak_rss_bytes: Spread
    figures: Mapping[str, Spread]
    baseline: str | None
    ratios: Ratios | None
    """None if there is nothing from the baseline."""


@dataclass(frozen=True)
class Mean:
    """The geometric mean of the ratios of an allocator, over the workloads of one kind."""

    kind: Kind
    allocator: str
    workloads: int
    """How many there are in it."""
    ratios: Ratios


@dataclass(frozen=True)
class About:
    """An allocator or a workload."""

    name: str
    description: str


@dataclass(frozen=True)
class Benchmark:
    """All of it; `as_dict()` is what --json writes."""

    schema: int
    hakmem: str
    """Versions."""
    python: str
    processor: str
    system: str
    rounds: int
    quick: bool
    seed: int
    complete: bool
    """Every round has been run."""
    allocators: tuple[About, ...]
    workloads: tuple[About, ...]
    skipped: tuple[Skipped, ...]
    rows: tuple[Row, ...]
    means: tuple[Mean, ...]
    failures: tuple[Failure, ...]
    measurements: tuple[Measurement, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for example for JSON."""
        return asdict(self)

    def row(self, workload: str, allocator: str) -> Row | None:
        """The row of a workload on an allocator; None if there is none."""
        return next((row for row in self.rows if (row.workload, row.allocator) == (workload, allocator)), None)


def _compared_with(baseline: str, serving: Sequence[str]) -> str | None:
    """Among the allocators that a workload ran on; the chosen baseline may not serve loops in C."""
    if baseline in serving:
        return baseline
    return "malloc" if "malloc" in serving else next(iter(serving), None)


def make_rows(measurements: Sequence[Measurement], kinds: Mapping[str, Kind], baseline: str) -> tuple[Row, ...]:
    """In the order of `kinds` and of the first measurements."""
    allocators = list(dict.fromkeys(measurement.allocator for measurement in measurements))
    rows = []
    for workload, kind in kinds.items():
        runs = {name: [m for m in measurements if (m.workload, m.allocator) == (workload, name)] for name in allocators}
        runs = {name: found for name, found in runs.items() if found}
        compared = _compared_with(baseline, list(runs))
        rows += [_row(kind, found, compared, runs.get(compared or "", [])) for found in runs.values()]
    return tuple(rows)


def make_means(rows: Iterable[Row]) -> tuple[Mean, ...]:
    """Of the kinds that have one."""
    rows = list(rows)
    kinds: tuple[Kind, ...] = ("python", "c")
    means = []
    for kind in kinds:
        for allocator in dict.fromkeys(row.allocator for row in rows if row.kind == kind):
            ratios = [r.ratios for r in rows if (r.kind, r.allocator) == (kind, allocator) and r.ratios is not None]
            if ratios:
                means.append(Mean(kind, allocator, len(ratios), _mean_ratios(ratios)))
    return tuple(means)


def versions() -> dict[str, str]:
    """Of what is measured, and of what it is measured on."""
    return {
        "hakmem": hakmem.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _spread(values: Iterable[float]) -> Spread:
    values = sorted(values)
    return Spread(values[0], statistics.median(values), values[-1])


def _row(kind: Kind, runs: Sequence[Measurement], baseline: str | None, others: Sequence[Measurement]) -> Row:
    names = runs[0].figures
    return Row(
        workload=runs[0].workload,
        kind=kind,
        allocator=runs[0].allocator,
        runs=len(runs),
        seconds=_spread(run.seconds for run in runs),
        cpu_seconds=_spread(run.cpu_seconds for run in runs),
        peak_rss_bytes=_spread(run.peak_rss_bytes for run in runs),
        figures={name: _spread(run.figures[name] for run in runs) for name in names},
        baseline=baseline,
        ratios=_ratios(runs, others) if others else None,
    )


def _ratios(runs: Sequence[Measurement], others: Sequence[Measurement]) -> Ratios:
    def ratio(middle: Callable[[list[float]], float], value: Callable[[Measurement], float]) -> float:
        return middle([value(run) for run in runs]) / middle([value(run) for run in others])

    return Ratios(
        time=ratio(min, lambda run: run.seconds),
        median_time=ratio(statistics.median, lambda run: run.seconds),
        cpu=ratio(min, lambda run: run.cpu_seconds),
        peak_rss=ratio(min, lambda run: run.peak_rss_bytes),
        median_peak_rss=ratio(statistics.median, lambda run: run.peak_rss_bytes),
    )


def _mean_ratios(ratios: Sequence[Ratios]) -> Ratios:
    names = asdict(ratios[0])
    return Ratios(**{name: statistics.geometric_mean(getattr(each, name) for each in ratios) for name in names})
