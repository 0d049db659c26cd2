"""Programs that run out of memory within limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_program(*words: str, early: bool = False, options: tuple[str, ...] = ()) -> str:
    run = ["-m", "hakmem", "run", *options] if early else []
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, *run, *words],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "HK_ERR" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", ["tasks", "threads"])
def test_a_greedy_request_fails_alone(kind: str, early: bool) -> None:
    assert run_program("scope_server.py", kind, early=early).startswith("well")


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("limits", [("1", "100", "3"), ("100", "1000", "99"), ("1000", "10000", "4500")])
def test_running_out_of_memory_anywhere(limits: tuple[str, str, str], early: bool) -> None:
    outcomes = run_program("scope_attack.py", *limits, early=early)
    assert "passed" in outcomes


@pytest.mark.parametrize("limits", [("1", "100", "9"), ("100", "1000", "180")])
def test_running_out_of_the_memory_of_the_process_anywhere(limits: tuple[str, str, str]) -> None:
    outcomes = run_program("scope_attack.py", "process", *limits, early=True, options=("--limit", "40MB"))
    assert "passed" in outcomes and "refused" in outcomes
