"""A benchmark as a page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from hakmem.bench._results import Benchmark, Row

_STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1150px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 } svg { width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child, .text td, .text th { text-align: left } .failed { color: #b00020 }
"""


def as_page(benchmark: Benchmark, drawings: Sequence[tuple[str, str]]) -> str:
    """The facts, the drawings (title and SVG), and the figures as tables."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>hakmem.bench</title><style>{_STYLE}</style></head><body>",
        f"<h1>Python on hakmem {escape(benchmark.hakmem)}, beside other allocators</h1>",
        _facts(benchmark),
    ]
    for title, drawing in drawings:
        parts += [f"<h2>{escape(title)}</h2>", drawing]
    parts += ["<h2>Figures</h2>", _figures(benchmark)]
    if benchmark.failures:
        parts.append('<h2 class="failed">Failed</h2>')
        parts.append(_table(["workload", "allocator", "round", "why"], _failures(benchmark), "text"))
    if benchmark.skipped:
        parts.append("<h2>Skipped</h2>")
        parts.append(_table(["name", "why"], ([each.name, each.reason] for each in benchmark.skipped), "text"))
    return "\n".join([*parts, "</body></html>", ""])


def _facts(benchmark: Benchmark) -> str:
    rounds = f"{benchmark.rounds} rounds" if benchmark.rounds > 1 else "1 round"
    how = rounds + (", quick" if benchmark.quick else "") + ("" if benchmark.complete else ", not complete")
    facts = [benchmark.python, benchmark.processor, benchmark.system, how, f"seed {benchmark.seed}"]
    return f"<p>{escape(' · '.join(facts))}</p>"


def _figures(benchmark: Benchmark) -> str:
    head = "workload, allocator, runs, best s, median s, cpu s, ratio, peak MiB, ratio, after/before"
    return _table(head.split(", "), (_row_cells(row) for row in benchmark.rows))


def _row_cells(row: Row) -> list[str]:
    time_ratio, peak_ratio = ("", "") if row.ratios is None else (row.ratios.time, row.ratios.peak_rss)
    left = row.figures.get("rss_after_to_before")
    cells: list[object] = [row.workload, row.allocator, row.runs, row.seconds.best, row.seconds.median]
    cells += [row.cpu_seconds.best, time_ratio, row.peak_rss_bytes.best / 2**20, peak_ratio]
    cells.append("" if left is None else left.median)
    return [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]


def _failures(benchmark: Benchmark) -> Iterable[list[str]]:
    return ([each.workload, each.allocator, str(each.round), each.reason] for each in benchmark.failures)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    lines = [f'<div class="wide"><table class="{kind}">', _line("th", head)]
    return "\n".join([*lines, *(_line("td", row) for row in rows), "</table></div>"])


def _line(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
