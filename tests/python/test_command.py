"""`python -m hakmem`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import hakmem
import numpy as np


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("HAKMEM_")} | variables
    return subprocess.run(
        [sys.executable, "-m", "hakmem", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_info_as_json() -> None:
    done = run("info", "--json", HAKMEM_PURGE_DELAY_MS="25", HAKMEM_ON_ERROR="report")
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert facts["version"] == hakmem.__version__
    assert facts["build"]["numpy"] == np.__version__
    assert {option["name"]: option["value"] for option in facts["options"]} == {
        "HAKMEM_ON_ERROR": "report",
        "HAKMEM_PURGE_DELAY_MS": 25,
        "HAKMEM_LIMIT": None,
    }
    assert {name: route["possible"] for name, route in facts["routes"].items()} == {
        "buffers": True,
        "numpy arrays": True,
    }


def test_info_as_text() -> None:
    done = run("info", HAKMEM_PURGE_DELAY_MS="soon", HAKMEM_LIMIT="64M")
    assert done.returncode == 0
    assert f"hakmem {hakmem.__version__}" in done.stdout
    assert "10 (the environment says 'soon'): a whole number from 0 to 3600000" in done.stdout
    assert "67108864 (the environment says '64M')" in done.stdout
    assert "it is ignored" in done.stderr


def test_wrong_commands() -> None:
    for arguments in ([], ["infos"], ["info", "--xml"], ["config"], ["config", "--cflags"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "usage: python -m hakmem" in done.stderr
