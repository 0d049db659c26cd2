"""The command `python -m hakmem.bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hakmem.bench._allocators import find_allocators
from hakmem.bench._measure import Plan, SelectionError, make_plan, measure, summarize
from hakmem.bench._plots import check_plot, draw
from hakmem.bench._results import Benchmark, Failure, Measurement
from hakmem.bench._tables import known_tables, result_tables
from hakmem.bench._workloads import WORKLOADS

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130
_COLUMNS_OF_A_FILE = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.list:
            _console().print(known_tables(WORKLOADS, find_allocators()))
            return 0
        _check_outputs(options)
        plan = make_plan(
            options.workloads,
            options.allocators,
            rounds=options.rounds,
            baseline=options.baseline,
            quick=options.quick,
            seed=options.seed,
        )
    except (SelectionError, ValueError, ImportError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return _EXIT_USAGE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    for skipped in plan.skipped:
        print(f"{parser.prog}: without {skipped.name}: {skipped.reason}", file=sys.stderr)
    benchmark = _measured(plan)
    return _tell(benchmark, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hakmem.bench",
        description="Measures Python, and loops in C, on hakmem and on other allocators: time and resident memory.",
        epilog="Every run is a process of its own. In each round every allocator runs every workload once, in changing "
        "order. Exit status: 0; 1 when a run failed; 2 for a mistake on the command line; 130 after Ctrl-C, when what "
        "was complete has been told.",
    )
    add = parser.add_argument
    add("--workloads", type=_names, metavar="A,B", help="all, if not said; see --list")
    add("--allocators", type=_names, metavar="A,B", help="all that are here, if not said; see --list")
    add("--baseline", metavar="A", help="what all are compared with (pymalloc); for loops in C: malloc")
    add("--rounds", type=int, metavar="N", help="3, or 1 with --quick")
    add("--quick", action="store_true", help="short runs: not to be trusted")
    add("--seed", type=int, default=1, metavar="N", help="of all that is made up (1)")
    add("--json", metavar="FILE", help="writes all of it as JSON; - is standard output, in place of the tables")
    add("--plot", metavar="FILE", help="draws pictures: .png, .svg, or .html with everything")
    add("--list", action="store_true", help="lists workloads and allocators, and why some are not here")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_COLUMNS_OF_A_FILE)


def _check_outputs(options: argparse.Namespace) -> None:
    """Before minutes are spent on what can then not be written."""
    if options.plot is not None:
        check_plot(options.plot)
    for name in (options.plot, options.json):
        if name not in (None, "-"):
            _check_writable(Path(name))


def _check_writable(path: Path) -> None:
    was_there = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise OSError(f"{os.fspath(path)!r} cannot be written: {error.strerror}") from None
    if not was_there:
        path.unlink()


def _measured(plan: Plan) -> Benchmark:
    """All of it, or what was complete at Ctrl-C."""
    results: list[Measurement | Failure] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    errors = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("", total=sum(1 for _ in plan.steps()))
        try:
            for result in measure(plan):
                results.append(result)
                progress.update(task, advance=1, description=f"{result.workload} on {result.allocator}")
        except KeyboardInterrupt:
            pass
    return summarize(plan, results)


def _tell(benchmark: Benchmark, options: argparse.Namespace) -> int:
    """What was measured goes to wherever it was wanted; one place that fails does not take the others with it."""
    problems = [
        f"{failure.workload} on {failure.allocator}, round {failure.round}, failed: {failure.reason}"
        for failure in benchmark.failures
    ]
    if options.json == "-":
        print(json.dumps(benchmark.as_dict(), indent=1))
    else:
        _console().print(result_tables(benchmark))
    try:
        if options.json not in (None, "-"):
            Path(options.json).write_text(json.dumps(benchmark.as_dict(), indent=1) + "\n", encoding="utf-8")
        if options.plot is not None and benchmark.rows:
            draw(benchmark, options.plot)
    except OSError as error:
        problems.append(str(error))
    for problem in problems:
        print(f"python -m hakmem.bench: {problem}", file=sys.stderr)
    if not benchmark.complete:
        print("python -m hakmem.bench: interrupted; what was complete is told", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return _EXIT_FAILED if problems else 0
