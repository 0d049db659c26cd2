"""A benchmark as tables for a terminal, by rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hakmem.bench._allocators import Allocator
from hakmem.bench._results import Benchmark, Mean, Ratios, Row
from hakmem.bench._workloads import Workload

_TARGET_AFTER_TO_BEFORE = 1.15
_KIND_TITLES = {"python": "Python", "c": "C"}
# Nearer to 1 than this, a ratio is mostly noise.
_NOISE = 0.03


def known_tables(workloads: Sequence[Workload], allocators: Sequence[Allocator]) -> RenderableType:
    """What there is to choose from."""
    first = _table("Workloads", "name", "kind", "what it does")
    for workload in workloads:
        first.add_row(workload.name, workload.kind, _with_reason(workload.description, workload.missing()))
    second = _table("Allocators", "name", "what it is", "library")
    for allocator in allocators:
        about = _with_reason(allocator.description, allocator.unavailable)
        second.add_row(allocator.name, about, allocator.library or "")
    return Group(first, Text(), second)


def result_tables(benchmark: Benchmark) -> RenderableType:
    """The figures: for each workload a line of the best and a line of the medians."""
    rounds = f"{benchmark.rounds} rounds" if benchmark.rounds > 1 else "1 round"
    about = [f"hakmem {benchmark.hakmem}", benchmark.python, benchmark.processor, benchmark.system, rounds]
    parts: list[RenderableType] = [
        Text(", ".join(about)),
        Text("Ratios are to the baseline: below 1 is better. Means are geometric.\n"),
    ]
    if benchmark.rows:
        parts += [_figures("Time: seconds, and ratios", benchmark, _time_cells, _time_ratios, 3), Text()]
        parts += [_figures("Peak resident memory: MiB, and ratios", benchmark, _peak_cells, _peak_ratios, 1), Text()]
    services = [row for row in benchmark.rows if row.kind == "service"]
    if services:
        parts += [_service_table(services), Text()]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _with_reason(description: str, reason: str | None) -> Text:
    text = Text(description)
    if reason is not None:
        text.append(f"\nnot here: {reason}", style="yellow")
    return text


def _ratio_text(ratio: float | None) -> Text:
    if ratio is None:
        return Text("")
    style = "" if abs(ratio - 1) < _NOISE else "green" if ratio < 1 else "red"
    return Text(f"{ratio:.2f}", style=style)


Cells = tuple[float, float]


def _time_cells(row: Row) -> Cells:
    return row.seconds.best, row.seconds.median


def _peak_cells(row: Row) -> Cells:
    return row.peak_rss_bytes.best / 2**20, row.peak_rss_bytes.median / 2**20


def _time_ratios(ratios: Ratios) -> Cells:
    return ratios.time, ratios.median_time


def _peak_ratios(ratios: Ratios) -> Cells:
    return ratios.peak_rss, ratios.median_peak_rss


def _figures(
    title: str, benchmark: Benchmark, cells: Callable[[Row], Cells], ratios: Callable[[Ratios], Cells], digits: int
) -> Table:
    measured = {row.allocator for row in benchmark.rows}
    names = [about.name for about in benchmark.allocators if about.name in measured]
    table = _table(title, "workload", "")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for workload in dict.fromkeys(row.workload for row in benchmark.rows):
        rows = [benchmark.row(workload, name) for name in names]
        for place, what in enumerate(_lines(benchmark)):
            cells_of_line = [_figure_cell(row, place, cells, ratios, digits) for row in rows]
            table.add_row(workload if place == 0 else "", what, *cells_of_line)
    for line in _mean_lines(benchmark, names, ratios):
        table.add_row(*line)
    return table


def _lines(benchmark: Benchmark) -> tuple[str, ...]:
    """The median of one round is nothing new."""
    return ("best", "median") if benchmark.rounds > 1 else ("best",)


def _figure_cell(
    row: Row | None, place: int, cells: Callable[[Row], Cells], ratios: Callable[[Ratios], Cells], digits: int
) -> Text:
    if row is None:
        return Text("-")
    ratio = None if row.ratios is None else ratios(row.ratios)[place]
    return Text.assemble(f"{cells(row)[place]:.{digits}f} ", _ratio_text(ratio))


def _mean_lines(
    benchmark: Benchmark, names: Sequence[str], ratios: Callable[[Ratios], Cells]
) -> Iterator[list[str | Text]]:
    kinds = dict.fromkeys(mean.kind for mean in benchmark.means)
    for kind in kinds:
        means: dict[str, Mean] = {mean.allocator: mean for mean in benchmark.means if mean.kind == kind}
        count = max(mean.workloads for mean in means.values())
        for place, what in enumerate(_lines(benchmark)):
            title = f"mean, {_KIND_TITLES[kind]} ({count})" if place == 0 else ""
            yield [title, what, *[_mean_cell(means.get(name), place, count, ratios) for name in names]]


def _mean_cell(mean: Mean | None, place: int, count: int, ratios: Callable[[Ratios], Cells]) -> Text:
    if mean is None:
        return Text("-")
    of_fewer = "" if mean.workloads == count else f"({mean.workloads}) "
    return Text.assemble(of_fewer, _ratio_text(ratios(mean.ratios)[place]))


def _service_table(rows: Sequence[Row]) -> Table:
    table = _table("Resident memory of services: MiB, medians", "workload", "allocator")
    table.caption = f"after/before should be {_TARGET_AFTER_TO_BEFORE} at most."
    table.caption_justify = "left"
    for column in ("before", "peak", "after", "after/before", "best"):
        table.add_column(column, justify="right")
    for row in rows:
        sizes = [row.figures[f"rss_{when}_bytes"].median / 2**20 for when in ("before", "peak", "after")]
        left = row.figures["rss_after_to_before"]
        style = "green" if left.median <= _TARGET_AFTER_TO_BEFORE else "red"
        texts = [Text(f"{size:.1f}") for size in sizes] + [Text(f"{left.median:.2f}", style=style)]
        table.add_row(row.workload, row.allocator, *texts, f"{left.best:.2f}")
    return table
