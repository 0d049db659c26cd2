"""A plugin of pytest's that writes down the outcome of each test and, if asked, has all arrays in an arena.

HAKMEM_SUITE_OUTCOMES: the file to write, in JSON. HAKMEM_SUITE_ARENA=1: NumPy's handler is ours, in the context of the
tests and in each thread that they start. Contexts that are made of these have it as well; empty ones have not.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import warnings
from pathlib import Path

import hakmem
import pytest
from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None, database=None)

UNHANDLED = (pytest.PytestUnhandledThreadExceptionWarning, pytest.PytestUnraisableExceptionWarning)

_outcomes: dict[str, str] = {}
_arena = hakmem.Arena(name="suite") if os.environ.get("HAKMEM_SUITE_ARENA") == "1" else None


def _put_in_force(arena: hakmem.Arena) -> None:
    hakmem.numpy_arena(arena).__enter__()


def _serve_threads(arena: hakmem.Arena) -> None:
    run = threading.Thread.run

    def run_with_arena(self: threading.Thread) -> None:
        _put_in_force(arena)
        run(self)

    threading.Thread.run = run_with_arena  # type: ignore[method-assign]


def pytest_configure() -> None:
    settings.load_profile("suite")
    if _arena is not None:
        _serve_threads(_arena)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before each test, as some set other handlers and do not come to setting them back."""
    if _arena is not None:
        _put_in_force(_arena)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What went wrong first is the outcome. Of a test that is expected to fail, pytest says that it was skipped."""
    if _outcomes.get(report.nodeid, "passed") == "passed":
        outcome = "error" if report.failed and report.when != "call" else report.outcome
        _outcomes[report.nodeid] = f"{outcome} (xfail)" if hasattr(report, "wasxfail") else outcome


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    """Exceptions in threads and finalisers, by which no test fails."""
    if issubclass(warning_message.category, UNHANDLED):
        _outcomes[nodeid] = f"{_outcomes.get(nodeid, '')} with {warning_message.category.__name__}"


def pytest_sessionfinish() -> None:
    result: dict[str, object] = {"outcomes": _outcomes}
    if _arena is not None:
        gc.collect()
        _arena.check()
        result["peak_held_bytes"] = _arena.statistics().peak_held_bytes
    Path(os.environ["HAKMEM_SUITE_OUTCOMES"]).write_text(json.dumps(result), encoding="utf-8")
