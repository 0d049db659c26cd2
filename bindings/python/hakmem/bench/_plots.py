"""Pictures of a benchmark, by matplotlib, which is imported only when one is drawn."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hakmem.bench._results import Benchmark, Measurement, Ratios, Row, Spread
from hakmem.bench._workloads import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

SUFFIXES = (".png", ".svg", ".html")

# Each allocator has its colour in every picture; they can be told apart by the colour-blind.
_COLOURS = {
    "pymalloc": "#0072b2",
    "malloc": "#8a8a8a",
    "mimalloc-python": "#56b4e9",
    "hakmem": "#d55e00",
    "hakmem-malloc": "#e69f00",
    "mimalloc": "#009e73",
    "jemalloc": "#cc79a7",
    "tcmalloc": "#7b5e2a",
}
_WIDTH_INCHES = 13.0
_COLUMNS = 4
_BAR_INCHES = 0.21
_SETTINGS: Any = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "hakmem",
}


class Part(NamedTuple):
    """A part of the picture."""

    title: str
    height_inches: float
    draw: Callable[[FigureBase, Benchmark], None]


def check_plot(path: str | os.PathLike[str]) -> None:
    """ValueError or ImportError if there can be no picture in this file."""
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f"the picture's file is {os.fspath(path)!r}; it can end in {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("pictures need matplotlib: pip install 'hakmem[bench]'")


def draw(benchmark: Benchmark, path: str | os.PathLike[str]) -> None:
    """Draws all of it into a file: .png and .svg are one picture, .html is a page with tables, in need of nothing."""
    check_plot(path)
    if not benchmark.rows:
        raise ValueError("there is nothing to draw: no run was completed")
    target = Path(path)
    if target.suffix == ".html":
        from hakmem.bench._page import as_page

        target.write_text(as_page(benchmark, part_drawings(benchmark)), encoding="utf-8")
    else:
        target.write_bytes(_rendered(benchmark, parts_of(benchmark), target.suffix[1:]))


def part_drawings(benchmark: Benchmark) -> list[tuple[str, str]]:
    """The parts, each by itself: title and SVG."""
    drawings = []
    for part in parts_of(benchmark):
        document = _rendered(benchmark, [part._replace(title="")], "svg").decode()
        drawings.append((part.title, document[document.index("<svg") :]))
    return drawings


def parts_of(benchmark: Benchmark) -> list[Part]:
    """What there is to show."""
    parts = []
    allocators = len({row.allocator for row in benchmark.rows})
    if benchmark.means:
        title = "Geometric means (of so many workloads), relative to the baseline: shorter is better"
        parts.append(Part(title, 1.2 + _BAR_INCHES * allocators, _draw_means))
    for workload in dict.fromkeys(run.workload for run in benchmark.measurements if run.samples):
        title = f"Resident memory of {workload}: before, in and after a burst of requests"
        parts.append(Part(title, 4.5, functools.partial(_draw_service, workload=workload)))
    panels = len({row.workload for row in benchmark.rows})
    height = 0.2 + -(-panels // _COLUMNS) * (0.75 + _BAR_INCHES * allocators)
    parts.append(Part("Time: median, from best to worst; ratio of the best to the baseline's", height, _draw_times))
    parts.append(Part("Peak resident memory: median, from best to worst; ratio", height, _draw_peaks))
    return parts


def _rendered(benchmark: Benchmark, parts: Sequence[Part], kind: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        heights = [part.height_inches + (0.3 if part.title else 0.0) for part in parts]
        figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
        places = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, place in zip(parts, places, strict=True):
            part.draw(place, benchmark)
            if part.title:
                place.suptitle(part.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        return _saved(figure, kind)


def _saved(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _allocators(benchmark: Benchmark) -> list[str]:
    measured = {row.allocator for row in benchmark.rows}
    return [about.name for about in benchmark.allocators if about.name in measured]


def _colour(allocator: str) -> str:
    return _COLOURS.get(allocator, "#444444")


def _bars(axes: Axes, names: Sequence[str], values: Sequence[Spread], texts: Sequence[str]) -> None:
    """From top to bottom."""
    middles = [value.median for value in values]
    below = [value.median - value.best for value in values]
    above = [value.worst - value.median for value in values]
    places = range(len(names))
    axes.barh(places, middles, color=[_colour(name) for name in names], height=0.75)
    if any(below) or any(above):
        axes.errorbar(middles, places, xerr=[below, above], fmt="none", ecolor="#222222", elinewidth=0.9, capsize=2)
    end = max(value.worst for value in values)
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.text(value.worst + 0.02 * end, place, text, va="center", fontsize=8)
    axes.set_yticks(list(places), list(names), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.17 * end)


def _draw_means(figure: FigureBase, benchmark: Benchmark) -> None:
    kinds: list[Kind] = list(dict.fromkeys(mean.kind for mean in benchmark.means))
    grid = figure.subplots(1, 2 * len(kinds), squeeze=False)[0]
    for i, kind in enumerate(kinds):
        means = [mean for mean in benchmark.means if mean.kind == kind]
        names = [mean.allocator for mean in means]
        of_what = f"{'Python' if kind == 'python' else 'C'} ({max(mean.workloads for mean in means)})"
        for axes, what, values in (
            (grid[2 * i], "time", [mean.ratios.time for mean in means]),
            (grid[2 * i + 1], "peak memory", [mean.ratios.peak_rss for mean in means]),
        ):
            _bars(axes, names, [Spread(value, value, value) for value in values], [f"{value:.2f}" for value in values])
            axes.axvline(1, color="#222222", linewidth=0.8, linestyle=":")
            axes.set_title(f"{of_what}: {what}")


def _draw_service(figure: FigureBase, benchmark: Benchmark, *, workload: str) -> None:
    axes = figure.subplots()
    ends = []
    for allocator in _allocators(benchmark):
        run = _typical_run(benchmark, workload, allocator)
        if run is None:
            continue
        begun = next(sample.seconds for sample in run.samples if sample.phase != "before")
        times = [sample.seconds - begun for sample in run.samples]
        sizes = [sample.rss_bytes / 2**20 for sample in run.samples]
        burst = [i for i, sample in enumerate(run.samples) if sample.phase == "burst"]
        axes.plot(times, sizes, color=_colour(allocator), linewidth=1.6)
        axes.plot(times[burst[-1]], sizes[burst[-1]], "o", color=_colour(allocator), markersize=5)
        ends.append((sizes[-1], times[-1], allocator, run.figures["rss_after_to_before"]))
    axes.axvline(0, color="#222222", linewidth=0.8, linestyle=":")
    axes.set_ylim(0, None)
    axes.margins(x=0.01)
    axes.set_xlabel("seconds since the burst began; a dot is its end")
    axes.set_ylabel("MiB")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    _label_ends(axes, sorted(ends))


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, float]]) -> None:
    """Names right of the lines, one above the other where the lines are close."""
    right = max(time for _, time, _, _ in ends)
    step = axes.get_ylim()[1] * 0.055
    lowest = 0.0
    for size, time, allocator, ratio in ends:
        place = max(size, lowest)
        lowest = place + step
        axes.annotate(
            f"{allocator}  {ratio:.2f} of before",
            (time, size),
            xytext=(right * 1.02, place),
            color=_colour(allocator),
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": _colour(allocator), "linewidth": 0.6},
        )


def _typical_run(benchmark: Benchmark, workload: str, allocator: str) -> Measurement | None:
    """The run in the middle, by what was left."""
    runs = [run for run in benchmark.measurements if (run.workload, run.allocator) == (workload, allocator)]
    runs.sort(key=lambda run: run.figures["rss_after_to_before"])
    return runs[len(runs) // 2] if runs else None


def _draw_times(figure: FigureBase, benchmark: Benchmark) -> None:
    _draw_panels(figure, benchmark, "s", lambda row: row.seconds, lambda ratios: ratios.time)


def _draw_peaks(figure: FigureBase, benchmark: Benchmark) -> None:
    _draw_panels(figure, benchmark, "MiB", _peak_mib, lambda ratios: ratios.peak_rss)


def _peak_mib(row: Row) -> Spread:
    peak = row.peak_rss_bytes
    return Spread(peak.best / 2**20, peak.median / 2**20, peak.worst / 2**20)


def _draw_panels(
    figure: FigureBase,
    benchmark: Benchmark,
    unit: str,
    value: Callable[[Row], Spread],
    ratio: Callable[[Ratios], float],
) -> None:
    """One for each workload, with a bar for each allocator."""
    workloads = list(dict.fromkeys(row.workload for row in benchmark.rows))
    lines = -(-len(workloads) // _COLUMNS)
    grid = list(figure.subplots(lines, _COLUMNS, squeeze=False).flat)
    for axes, workload in zip(grid, workloads, strict=False):
        rows = [row for row in benchmark.rows if row.workload == workload]
        texts = ["" if row.ratios is None else f"{ratio(row.ratios):.2f}" for row in rows]
        _bars(axes, [row.allocator for row in rows], [value(row) for row in rows], texts)
        axes.set_title(f"{workload} ({unit})")
    for axes in grid[len(workloads) :]:
        axes.set_axis_off()
