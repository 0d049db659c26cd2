"""`python -m hakmem.bench`: options, tables, JSON, pictures, Ctrl-C."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hakmem import bench
from hakmem.bench import _command, _plots
from hakmem.bench._command import main
from matplotlib.figure import Figure

MANUAL = Path(__file__).parents[2] / "docs" / "python.md"
DEADLINE_SECONDS = 60


def made_up(workloads: tuple[bench.Workload, ...] = bench.WORKLOADS, rounds: int = 2) -> bench.Benchmark:
    """On allocators that have a colour, and one that has none."""
    allocators = tuple(bench.Allocator(name, f"<{name}>") for name in ("pymalloc", "malloc", "hakmem", "new"))
    skipped = (bench.Skipped("jemalloc", "it is not <here>"),)
    plan = bench.Plan(workloads, allocators, skipped, "pymalloc", rounds, quick=True, seed=1)
    return bench.summarize(plan, [made_up_result(step, place) for place, step in enumerate(plan.steps())])


def made_up_result(step: bench.Step, place: int) -> bench.Measurement | bench.Failure:
    name, allocator, number = step.workload.name, step.allocator.name, step.round
    if (name, allocator, number) == ("nbody", "new", 2):
        return bench.Failure(name, allocator, number, "it was ended by SIGSEGV")
    service = step.workload.kind == "service"
    phases = ("before", "burst", "burst", "after") if service else ()
    return bench.Measurement(
        workload=name,
        allocator=allocator,
        round=number,
        seconds=1.0 + place % 7,
        cpu_seconds=1.0,
        peak_rss_bytes=(10 + place % 5) << 20,
        checksum=1,
        figures={f"rss_{what}_bytes": 1 << 20 for what in ("before", "peak", "after")} | {"rss_after_to_before": 1.0}
        if service
        else {},
        samples=tuple(bench.Sample(phase, i / 2, (30 + i) << 20) for i, phase in enumerate(phases)),
    )


@pytest.fixture(scope="module")
def benchmark() -> bench.Benchmark:
    return made_up()


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hakmem.bench", *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- what comes out ----


def test_tables_json_and_a_picture(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.png")]
    done = run("--quick", "--workloads", "startup,float", "--allocators", "malloc,pymalloc", *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ float +best +\d\.\d{3} \d\.\d\d +\d\.\d{3} 1\.00 *$", done.stdout, re.MULTILINE)
    facts = json.loads((tmp_path / "out.json").read_text())
    assert [about["name"] for about in facts["workloads"]] == ["startup", "float"]
    assert [row["allocator"] for row in facts["rows"]] == ["malloc", "pymalloc"] * 2
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_json_on_standard_output_is_alone() -> None:
    done = run("--quick", "--workloads", "nbody", "--allocators", "pymalloc", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert (facts["schema"], facts["complete"], facts["rounds"], facts["seed"]) == (1, True, 1, 1)


def fields_of(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_json_has_what_the_manual_says(benchmark: bench.Benchmark) -> None:
    facts = json.loads(json.dumps(benchmark.as_dict()))
    assert set(facts) == fields_of(bench.Benchmark)
    parts: dict[str, type] = {
        "rows": bench.Row,
        "means": bench.Mean,
        "failures": bench.Failure,
        "measurements": bench.Measurement,
        "skipped": bench.Skipped,
        "allocators": bench.About,
        "workloads": bench.About,
    }
    for name, kind in parts.items():
        assert set(facts[name][0]) == fields_of(kind)
    assert set(facts["rows"][0]["ratios"]) == fields_of(bench.Ratios)
    section = MANUAL.read_text(encoding="utf-8").partition("\n## Benchmarks\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    for kind in (*parts.values(), bench.Benchmark, bench.Ratios, bench.Spread, bench.Sample):
        assert fields_of(kind) <= named, kind
    assert {each.name for each in bench.WORKLOADS} <= set(re.findall(r"`([\w-]+)`", section))


def test_all_tables(benchmark: bench.Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    options = _command._parser().parse_args([])
    assert _command._tell(benchmark, options) == 1
    told = capsys.readouterr()
    assert all(f" {workload.name} " in told.out for workload in bench.WORKLOADS)
    assert re.search(r"^ +median +", told.out, re.MULTILINE)
    assert re.search(r"^ mean, Python \(11\) +best +1\.00 ", told.out, re.MULTILINE)
    assert "after/before" in told.out
    assert told.err == "python -m hakmem.bench: nbody on new, round 2, failed: it was ended by SIGSEGV\n"


def test_pictures(tmp_path: Path) -> None:
    names = ("json-dumps", "nbody", "service", "c-small")
    benchmark = made_up(tuple(workload for workload in bench.WORKLOADS if workload.name in names))
    for name in ("out.png", "out.svg", "out.html"):
        bench.draw(benchmark, tmp_path / name)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    drawing = (tmp_path / "out.svg").read_text(encoding="utf-8")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    for text in ("Resident memory of service", "Peak resident memory", "json-dumps (s)", "hakmem"):
        assert text in drawing and text in page
    assert page.count("<svg") == page.count("</svg>") == 4
    assert "it is not &lt;here&gt;" in page and "it was ended by SIGSEGV" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page.replace("xlink:", ""))


def test_pictures_of_little(tmp_path: Path) -> None:
    whole = made_up(bench.WORKLOADS[:1], rounds=1)
    only = dataclasses.replace(whole, rows=whole.rows[:1], means=(), measurements=whole.measurements[:1])
    bench.draw(only, tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8").count("<svg") == 2
    with pytest.raises(ValueError, match="there is nothing to draw"):
        bench.draw(dataclasses.replace(whole, rows=()), tmp_path / "none.png")


def test_panels_that_are_not_needed_are_not_drawn() -> None:
    figure = Figure()
    _plots._draw_times(figure, made_up(bench.WORKLOADS[:3]))
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]


def test_list() -> None:
    done = run("--list", HAKMEM_MALLOC="no.so")
    assert done.returncode == 0
    assert all(workload.name in done.stdout for workload in bench.WORKLOADS)
    assert "not here: HAKMEM_MALLOC names 'no.so', which is no file" in done.stdout


# ---- what is wrong is said before anything is run ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "jsom"], "there is no workload 'jsom'; there are json-dumps, "),
        (["--allocators", "pymalloc,ptmalloc"], "there is no allocator 'ptmalloc'; there are pymalloc, "),
        (["--allocators", ","], "no allocator was named; there are pymalloc, "),
        (["--baseline", "x", "--allocators", "malloc"], "the baseline 'x' is not among the allocators: malloc"),
        (["--rounds", "0"], "rounds is 0; it can be 1 or more"),
        (["--plot", "x.gif"], "the picture's file is 'x.gif'; it can end in .png, .svg, .html"),
        (["--plot", "no/x.png"], "'no/x.png' cannot be written: No such file or directory"),
        (["--json", "."], "'.' cannot be written: Is a directory"),
    ],
)
def test_mistakes(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_command, "measure", None)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["--plot", "x.png"]) == 2
    assert "pictures need matplotlib: pip install 'hakmem[bench]'" in capsys.readouterr().err
    assert main(["--workloads", "numpy"]) == 2
    assert "numpy cannot be run: numpy is not installed: pip install" in capsys.readouterr().err
    plan = bench.make_plan(allocators=["pymalloc"])
    assert [each.name for each in plan.skipped] == ["numpy"]


def test_without_rich() -> None:
    program = "import runpy, sys; sys.modules['rich'] = None; runpy.run_module('hakmem.bench', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "python -m hakmem.bench needs rich: pip install 'hakmem[bench]'\n"


# ---- Ctrl-C ----


def test_what_is_complete_at_an_interruption_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measure(plan: bench.Plan) -> Iterator[bench.Measurement | bench.Failure]:
        steps = plan.steps()
        yield made_up_result(next(steps), 0)
        yield made_up_result(next(steps), 1)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_command, "measure", measure)
    arguments = ["--allocators", "pymalloc,malloc", "--workloads", "float,nbody", "--json", "x.json", "--plot", "x.svg"]
    assert main(arguments) == 130
    told = capsys.readouterr()
    assert " float " in told.out and " nbody " not in told.out
    assert "interrupted; what was complete is told" in told.err
    facts = json.loads(Path("x.json").read_text())
    assert (facts["complete"], len(facts["measurements"])) == (False, 2)
    assert "float" in Path("x.svg").read_text()


def children_of(process: int) -> dict[int, str]:
    """The command lines of the processes that it has started."""
    commands = {}
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            commands[int(child)] = Path(f"/proc/{child}/cmdline").read_text()
    return commands


def wait_for_service(process: subprocess.Popen[str]) -> int:
    """The process that runs the service, once there is one."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        for child, command in children_of(process.pid).items():
            if "service.Service" in command:
                return child
    raise AssertionError("the service was not started")


def test_ctrl_c_ends_the_process_under_way(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    arguments = ["--workloads", "nbody,service", "--allocators", "pymalloc", "--quick", "--json", str(file)]
    command = [sys.executable, "-m", "hakmem.bench", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        child = wait_for_service(process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, errors
    assert " nbody " in output and "interrupted" in errors
    assert [m["workload"] for m in json.loads(file.read_text())["measurements"]] == ["nbody"]
    assert not Path(f"/proc/{child}").exists()
