"""hakmem.bench: its workloads, its plan, its processes. What it writes: test_bench_command.py."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import pytest
from hakmem import _native, bench
from hakmem.bench import _allocators, _measure
from hakmem.bench._allocators import Allocator, Process

PYMALLOC = Allocator("pymalloc", "", python_malloc="pymalloc")
MALLOC = Allocator("malloc", "")
HAKMEM = Allocator("hakmem", "", python_malloc=None, by_run=True)


def plan_of(workloads: list[bench.Workload], allocators: list[Allocator], rounds: int = 1) -> bench.Plan:
    return bench.Plan(tuple(workloads), tuple(allocators), (), allocators[0].name, rounds, quick=True, seed=1)


def workload(name: str) -> bench.Workload:
    return next(workload for workload in bench.WORKLOADS if workload.name == name)


# ---- workloads ----


def test_every_workload_runs_and_computes_the_same_on_both() -> None:
    results = bench.run(allocators=["pymalloc", "malloc"], quick=True, seed=7)
    assert (results.failures, results.complete) == ((), True)
    assert {about.name for about in results.workloads} == {workload.name for workload in bench.WORKLOADS}
    for each in bench.WORKLOADS:
        runs = [m for m in results.measurements if m.workload == each.name]
        assert [m.allocator for m in runs].count("malloc") == 1
        assert [m.allocator for m in runs].count("pymalloc") == (each.kind != "c")
        assert len({m.checksum for m in runs}) == 1
        assert all(m.seconds > 0 and m.cpu_seconds > 0 and m.peak_rss_bytes > 1 << 20 for m in runs)
    for name in ("service", "service-writes"):
        row = results.row(name, "malloc")
        assert row is not None and row.figures["rss_after_to_before"].best > 0
        phases = {sample.phase for m in results.measurements if m.workload == name for sample in m.samples}
        assert phases == {"before", "burst", "after"}
    assert {mean.kind: mean.workloads for mean in results.means} == {"python": 11, "c": 4}


def test_seeds_change_what_is_computed() -> None:
    checksums = {
        measurement.checksum
        for seed in (1, 2)
        for measurement in bench.run(["strings"], ["pymalloc"], quick=True, seed=seed).measurements
    }
    assert len(checksums) == 2


@pytest.mark.parametrize("loop", ["small", "mixed", "realloc", "threads"])
def test_loops_in_c_compute_the_same_on_both(loop: str) -> None:
    sums = {_native.bench(loop, functions, 500, 5) for functions in ("hakmem", "malloc")}  # type: ignore[arg-type]
    assert len(sums) == 1 and sums != {0}
    assert _native.bench(loop, "hakmem", 500, 6) not in sums  # type: ignore[arg-type]


def test_loops_in_c_name_what_there_is() -> None:
    with pytest.raises(ValueError, match="the loop is 'large'; it can be small, mixed, realloc or threads"):
        _native.bench("large", "hakmem", 1, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the functions are 'other'; they can be hakmem or malloc"):
        _native.bench("small", "other", 1, 1)  # type: ignore[arg-type]


# ---- the plan ----


def test_allocators_take_turns() -> None:
    plan = plan_of([workload("nbody"), workload("float"), workload("c-small")], [PYMALLOC, MALLOC, HAKMEM], rounds=3)
    steps = list(plan.steps())
    for number in (1, 2, 3):
        runs = [(step.workload.name, step.allocator.name) for step in steps if step.round == number]
        assert Counter(runs) == Counter(
            [(name, allocator) for name in ("nbody", "float") for allocator in ("pymalloc", "malloc", "hakmem")]
            + [("c-small", "malloc"), ("c-small", "hakmem")]
        )
        assert [name for name, _ in runs] == ["nbody"] * 3 + ["float"] * 3 + ["c-small"] * 2
    first = [step.allocator.name for step in steps if step.workload.name == "nbody"][::3]
    assert first == ["pymalloc", "malloc", "hakmem"]
    assert steps[0].allocator != steps[3].allocator


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workloads": ["jsom"]}, "there is no workload 'jsom'; there are json-dumps, json-loads, "),
        (
            {"allocators": ["ptmalloc"]},
            "there is no allocator 'ptmalloc'; there are pymalloc, malloc, mimalloc-python, ",
        ),
        ({"workloads": []}, "no workload was named; there are json-dumps"),
        ({"rounds": 0}, "rounds is 0; it can be 1 or more"),
        ({"seed": -1}, "the seed is -1; it can be from 0 to 4294967295"),
        ({"allocators": ["malloc"], "baseline": "pymalloc"}, "'pymalloc' is not among the allocators: malloc"),
        ({"workloads": ["c-small"], "allocators": ["pymalloc"]}, "none of the allocators can run any of the workloads"),
    ],
)
def test_wrong_selections(arguments: dict[str, list[str]], message: str) -> None:
    with pytest.raises(bench.SelectionError, match=message):
        bench.make_plan(**arguments)  # type: ignore[arg-type]


def test_baseline_that_was_not_chosen() -> None:
    assert bench.make_plan(["nbody"], ["malloc", "pymalloc"]).baseline == "pymalloc"
    assert bench.make_plan(["nbody"], ["malloc"]).baseline == "malloc"


# ---- allocators ----


def test_all_allocators_that_are_here_serve_their_processes() -> None:
    here = [allocator.name for allocator in bench.find_allocators() if allocator.unavailable is None]
    assert here[:2] == ["pymalloc", "malloc"]
    results = bench.run(["deltablue", "startup", "c-mixed"], here, quick=True)
    assert results.failures == ()
    assert {row.allocator for row in results.rows} == set(here)


def test_an_allocator_that_is_not_here_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_allocators, "_places", lambda _library: [tmp_path / "nothing"])
    monkeypatch.setenv("HAKMEM_MALLOC", "build/no.so")
    reasons = {allocator.name: allocator.unavailable or "" for allocator in _allocators.known_allocators()}
    assert reasons["jemalloc"] == "libjemalloc.so.2 is not here (Debian: apt install libjemalloc2)"
    assert reasons["hakmem-malloc"] == "HAKMEM_MALLOC names 'build/no.so', which is no file"
    assert ("comes with Python 3.13; this is 3" in reasons["mimalloc-python"]) == (sys.version_info < (3, 13))
    with pytest.raises(bench.SelectionError, match=r"jemalloc cannot be had: libjemalloc.so.2 is not here"):
        bench.make_plan(["nbody"], ["pymalloc", "jemalloc"])
    skipped = {each.name for each in bench.make_plan(["nbody"]).skipped}
    assert {"jemalloc", "tcmalloc", "mimalloc", "hakmem-malloc"} <= skipped


def test_paths_that_cannot_be_preloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "a b.so"
    library.touch()
    monkeypatch.setenv("HAKMEM_MALLOC", str(library))
    found = {allocator.name: allocator for allocator in _allocators.known_allocators()}["hakmem-malloc"]
    assert "it has a blank or a colon in it" in (found.unavailable or "")


def test_a_library_that_cannot_be_loaded_is_noticed(tmp_path: Path) -> None:
    library = tmp_path / "libjemalloc.so.2"
    library.write_text("not a library")
    tried = _allocators.try_allocator(Allocator("jemalloc", "", library=str(library)))
    assert tried.unavailable == f"{library} was preloaded, but is not in the process"


def test_who_really_serves_a_process() -> None:
    own = Process((), counts_blocks=True, peak_rss_bytes=0)
    foreign = Process(("/usr/lib/libc.so.6",), counts_blocks=False, peak_rss_bytes=0)
    preloaded = Process(("/lib/libjemalloc.so.2",), counts_blocks=False, peak_rss_bytes=0)
    ours = Process((_native.__file__ or "",), counts_blocks=False, peak_rss_bytes=0)
    assert PYMALLOC.problem(own, "python") is None
    assert PYMALLOC.problem(foreign, "python") == "Python's own allocator is not in use"
    assert MALLOC.problem(foreign, "python") is None
    assert MALLOC.problem(own, "python") == "Python's own allocator is in use"
    assert MALLOC.problem(preloaded, "python") == "/lib/libjemalloc.so.2 is in the process, too"
    assert MALLOC.problem(preloaded, "c") == "/lib/libjemalloc.so.2 is in the process, too"
    assert HAKMEM.problem(ours, "python") is None
    assert HAKMEM.problem(foreign, "python") == "nothing of hakmem is in the process"
    assert HAKMEM.problem(own, "python") == "Python's own allocator is in use"


def test_the_environment_is_that_of_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "PYTHONMALLOC", "PYTHONDEVMODE", "PYTHONTRACEMALLOC"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    assert not {"LD_PRELOAD", "PYTHONMALLOC", "PYTHONDEVMODE", "PYTHONTRACEMALLOC"} & set(HAKMEM.environment())
    preloaded = Allocator("x", "", library="/x.so").environment()
    assert (preloaded["LD_PRELOAD"], preloaded["PYTHONMALLOC"]) == ("/x.so", "malloc")
    assert preloaded["MALLOC_ARENA_MAX"] == "1"


# ---- what goes wrong ----


def test_a_run_that_fails_is_told_and_the_others_go_on() -> None:
    broken = dataclasses.replace(workload("nbody"), name="broken", program="nbody.Missing")
    plan = plan_of([broken, workload("nbody")], [PYMALLOC])
    results = bench.summarize(plan, bench.measure(plan))
    (failure,) = results.failures
    assert (failure.workload, failure.allocator, failure.round) == ("broken", "pymalloc", 1)
    assert "has no attribute 'Missing'" in failure.reason
    assert [row.workload for row in results.rows] == ["nbody"]
    assert results.complete


def test_a_process_that_is_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]
    with pytest.raises(RuntimeError, match="it was ended by SIGSEGV"):
        _measure._output(command, PYMALLOC)
    monkeypatch.setattr(_measure, "_PROCESS_SECONDS_MAX", 0.2)
    with pytest.raises(RuntimeError, match=r"it was not done after 0\.2 s"):
        _measure._output([sys.executable, "-c", "import signal; signal.pause()"], PYMALLOC)


def test_another_checksum_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(step: bench.Step, _plan: bench.Plan) -> bench.Measurement:
        checksum = 2 if (step.round, step.allocator.name) == (2, "malloc") else 1
        return bench.Measurement(step.workload.name, step.allocator.name, step.round, 1.0, 1.0, 1, checksum, {}, ())

    monkeypatch.setattr(_measure, "_run", run)
    plan = plan_of([workload("nbody")], [PYMALLOC, MALLOC], rounds=2)
    results = bench.summarize(plan, bench.measure(plan))
    (failure,) = results.failures
    assert failure == bench.Failure("nbody", "malloc", 2, "the checksum is 2; that of the first run was 1")
    assert len(results.measurements) == 3


# ---- figures ----


def measured(workload: str, allocator: str, number: int, seconds: float, peak: int) -> bench.Measurement:
    return bench.Measurement(workload, allocator, number, seconds, 2 * seconds, peak, 1, {}, ())


def test_rows_and_means() -> None:
    plan = plan_of([workload("float"), workload("strings"), workload("c-small")], [PYMALLOC, MALLOC, HAKMEM], rounds=3)
    results = [
        *(measured("float", "pymalloc", n, s, 100) for n, s in enumerate((1.0, 2.0, 4.0), 1)),
        *(measured("float", "malloc", n, s, 200) for n, s in enumerate((3.0, 2.0, 9.0), 1)),
        measured("strings", "pymalloc", 1, 1.0, 100),
        measured("strings", "malloc", 1, 8.0, 50),
        measured("c-small", "malloc", 1, 2.0, 100),
        measured("c-small", "hakmem", 1, 1.0, 50),
    ]
    benchmark = bench.summarize(plan, results)
    assert not benchmark.complete
    row = benchmark.row("float", "malloc")
    assert row is not None
    assert (row.runs, row.seconds, row.baseline) == (3, bench.Spread(2.0, 3.0, 9.0), "pymalloc")
    assert row.ratios == bench.Ratios(time=2.0, median_time=1.5, cpu=2.0, peak_rss=2.0, median_peak_rss=2.0)
    in_c = benchmark.row("c-small", "hakmem")
    assert in_c is not None and in_c.ratios is not None
    assert (in_c.baseline, in_c.ratios.time) == ("malloc", 0.5)
    means = {(mean.kind, mean.allocator): mean for mean in benchmark.means}
    assert means["python", "malloc"].ratios.time == pytest.approx(4.0)
    assert means["python", "malloc"].ratios.peak_rss == pytest.approx(1.0)
    assert means["python", "malloc"].workloads == 2
    assert ("python", "hakmem") not in means
    assert benchmark.row("strings", "hakmem") is None
