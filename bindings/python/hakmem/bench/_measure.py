"""The plan of a benchmark, and its processes, one after the other."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hakmem.bench import _child
from hakmem.bench._allocators import Allocator, Process, known_allocators, last_line, probe, try_allocator
from hakmem.bench._results import (
    SCHEMA,
    About,
    Benchmark,
    Failure,
    Measurement,
    Sample,
    Skipped,
    make_means,
    make_rows,
    versions,
)
from hakmem.bench._workloads import WORKLOADS, Workload

_PROCESS_SECONDS_MAX = 600
_ROUNDS = 3
_QUICK_ROUNDS = 1


class SelectionError(ValueError):
    """Something was asked for that does not exist, or cannot be had here."""


@dataclass(frozen=True)
class Step:
    """One run."""

    round: int
    workload: Workload
    allocator: Allocator


@dataclass(frozen=True)
class Plan:
    """What will be run."""

    workloads: tuple[Workload, ...]
    allocators: tuple[Allocator, ...]
    skipped: tuple[Skipped, ...]
    baseline: str
    rounds: int
    quick: bool
    seed: int

    def steps(self) -> Iterator[Step]:
        """In a round, each allocator runs each workload once; who comes first changes all the time."""
        for number in range(self.rounds):
            for place, workload in enumerate(self.workloads):
                serving = [allocator for allocator in self.allocators if allocator.serves(workload.kind)]
                first = (number + place) % max(1, len(serving))
                for allocator in serving[first:] + serving[:first]:
                    yield Step(number + 1, workload, allocator)


def make_plan(
    workloads: Sequence[str] | None = None,
    allocators: Sequence[str] | None = None,
    *,
    rounds: int | None = None,
    baseline: str | None = None,
    quick: bool = False,
    seed: int = 1,
) -> Plan:
    """Looks what there is; SelectionError if it is not what was asked for."""
    if rounds is None:
        rounds = _QUICK_ROUNDS if quick else _ROUNDS
    if rounds < 1:
        raise SelectionError(f"rounds is {rounds}; it can be 1 or more")
    if not 0 <= seed < 2**32:
        raise SelectionError(f"the seed is {seed}; it can be from 0 to {2**32 - 1}")
    chosen_workloads, skipped = _choose_workloads(workloads)
    chosen_allocators, without = _choose_allocators(allocators)
    if not any(allocator.serves(workload.kind) for workload in chosen_workloads for allocator in chosen_allocators):
        raise SelectionError("none of the allocators can run any of the workloads: loops in C are not Python's own's")
    return Plan(
        workloads=chosen_workloads,
        allocators=chosen_allocators,
        skipped=skipped + without,
        baseline=_choose_baseline(baseline, [allocator.name for allocator in chosen_allocators]),
        rounds=rounds,
        quick=quick,
        seed=seed,
    )


def measure(plan: Plan) -> Iterator[Measurement | Failure]:
    """Runs the steps of a plan, and tells of each as soon as it is done.

    A run whose checksum is not that of the first run of its workload is a failure.
    """
    checksums: dict[str, int] = {}
    for step in plan.steps():
        try:
            result = _run(step, plan)
            expected = checksums.setdefault(result.workload, result.checksum)
            if result.checksum != expected:
                raise RuntimeError(f"the checksum is {result.checksum}; that of the first run was {expected}")
            yield result
        except RuntimeError as error:
            yield Failure(step.workload.name, step.allocator.name, step.round, str(error))


def summarize(plan: Plan, results: Iterable[Measurement | Failure]) -> Benchmark:
    """Draws the figures, also from a part of the results."""
    results = list(results)
    measurements = tuple(result for result in results if isinstance(result, Measurement))
    order = {allocator.name: place for place, allocator in enumerate(plan.allocators)}
    sorted_measurements = sorted(measurements, key=lambda measurement: order[measurement.allocator])
    rows = make_rows(sorted_measurements, {w.name: w.kind for w in plan.workloads}, plan.baseline)
    return Benchmark(
        schema=SCHEMA,
        **versions(),
        rounds=plan.rounds,
        quick=plan.quick,
        seed=plan.seed,
        complete=len(results) == sum(1 for _ in plan.steps()),
        allocators=tuple(About(a.name, a.description) for a in plan.allocators),
        workloads=tuple(About(w.name, w.description) for w in plan.workloads),
        skipped=plan.skipped,
        rows=rows,
        means=make_means(rows),
        failures=tuple(result for result in results if isinstance(result, Failure)),
        measurements=measurements,
    )


def _choose_workloads(names: Sequence[str] | None) -> tuple[tuple[Workload, ...], tuple[Skipped, ...]]:
    known = {workload.name: workload for workload in WORKLOADS}
    chosen = [known[name] for name in _known_names("workload", names, known)]
    missing = {workload.name: why for workload in chosen if (why := workload.missing()) is not None}
    if names is not None and missing:
        raise SelectionError("; ".join(f"{name} cannot be run: {why}" for name, why in missing.items()))
    skipped = tuple(Skipped(name, why) for name, why in missing.items())
    return tuple(workload for workload in chosen if workload.name not in missing), skipped


def _choose_allocators(names: Sequence[str] | None) -> tuple[tuple[Allocator, ...], tuple[Skipped, ...]]:
    known = {allocator.name: allocator for allocator in known_allocators()}
    chosen = [try_allocator(known[name]) for name in _known_names("allocator", names, known)]
    missing = {allocator.name: allocator.unavailable for allocator in chosen if allocator.unavailable is not None}
    if names is not None and missing:
        raise SelectionError("; ".join(f"{name} cannot be had: {why}" for name, why in missing.items()))
    skipped = tuple(Skipped(name, why) for name, why in missing.items())
    return tuple(allocator for allocator in chosen if allocator.name not in missing), skipped


def _known_names(what: str, names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """In the order in which they were given, without what was given twice."""
    known = list(known)
    if names is None:
        return known
    if not names:
        raise SelectionError(f"no {what} was named; there are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise SelectionError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return list(dict.fromkeys(names))


def _choose_baseline(baseline: str | None, allocators: list[str]) -> str:
    if baseline is None:
        return "pymalloc" if "pymalloc" in allocators else allocators[0]
    if baseline not in allocators:
        raise SelectionError(f"the baseline {baseline!r} is not among the allocators: {', '.join(allocators)}")
    return baseline


def _run(step: Step, plan: Plan) -> Measurement:
    iterations = step.workload.quick_iterations if plan.quick else step.workload.iterations
    facts = (_start if step.workload.kind == "start" else _work)(step, iterations, plan.seed)
    process = Process(tuple(facts["mapped_files"]), facts["counts_blocks"], facts["peak_rss_bytes"])
    problem = step.allocator.problem(process, step.workload.kind)
    if problem is not None:
        raise RuntimeError(f"the process was not on {step.allocator.name}: {problem}")
    return Measurement(
        workload=step.workload.name,
        allocator=step.allocator.name,
        round=step.round,
        seconds=facts["seconds"],
        cpu_seconds=facts["cpu_seconds"],
        peak_rss_bytes=process.peak_rss_bytes,
        checksum=facts["checksum"],
        figures=facts["figures"],
        samples=tuple(Sample(*sample) for sample in facts["samples"]),
    )


def _work(step: Step, iterations: int, seed: int) -> dict[str, Any]:
    """A process that measures itself."""
    workload, allocator = step.workload, step.allocator
    arguments = [*workload.arguments]
    if workload.kind == "c":
        arguments.append("hakmem" if allocator.by_run else "malloc")
    request = {
        "program": workload.program,
        "iterations": iterations,
        "seed": seed,
        "arguments": arguments,
        "limit": allocator.in_limit,
    }
    command = [*allocator.command(workload.kind), str(Path(_child.__file__)), json.dumps(request)]
    facts: dict[str, Any] = json.loads(_output(command, allocator))
    return facts


def _start(step: Step, starts: int, _seed: int) -> dict[str, Any]:
    """Processes that do nothing, measured from here."""
    allocator = step.allocator
    command = [*allocator.command("start"), "-c", "pass"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    for _ in range(starts):
        _output(command, allocator)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    process = probe(allocator)
    return {
        "seconds": seconds / starts,
        "cpu_seconds": cpu_seconds / starts,
        "peak_rss_bytes": process.peak_rss_bytes,
        "checksum": 0,
        "figures": {},
        "samples": (),
        "mapped_files": process.mapped_files,
        "counts_blocks": process.counts_blocks,
    }


def _output(command: Sequence[str], allocator: Allocator) -> str:
    """What a process prints. In a session of its own, Ctrl-C is not for it: we end it, with all that it started."""
    process = None
    try:
        with _interruptions_wait():
            process = subprocess.Popen(
                command,
                env=allocator.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        output, errors = process.communicate(timeout=_PROCESS_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was not done after {_PROCESS_SECONDS_MAX} s") from None
    finally:
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode < 0:
        raise RuntimeError(f"it was ended by {signal.Signals(-process.returncode).name}: {last_line(errors)}")
    if process.returncode > 0:
        raise RuntimeError(last_line(errors) or f"exit status {process.returncode}")
    return output


@contextmanager
def _interruptions_wait() -> Iterator[None]:
    """Ctrl-C comes at the end: in the middle of Popen, it would leave a process that nobody knows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        signal.raise_signal(signal.SIGINT)


def run(
    workloads: Sequence[str] | None = None,
    allocators: Sequence[str] | None = None,
    *,
    rounds: int | None = None,
    baseline: str | None = None,
    quick: bool = False,
    seed: int = 1,
    progress: Callable[[Measurement | Failure], object] | None = None,
) -> Benchmark:
    """Measures workloads on allocators; None: all that can be had here.

    `rounds` is 3 if not said, or 1 with `quick`, which makes the workloads short. `baseline` is what all are compared
    with: pymalloc, if it is among them. `progress` is called with each result.
    """
    plan = make_plan(workloads, allocators, rounds=rounds, baseline=baseline, quick=quick, seed=seed)
    results = []
    for result in measure(plan):
        results.append(result)
        if progress is not None:
            progress(result)
    return summarize(plan, results)
