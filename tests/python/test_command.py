"""`python -m hakmem`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import hakmem
import numpy as np


def run(*arguments: str, options: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, with options of the interpreter's."""
    unwanted = ("HAKMEM_", "PYTHONMALLOC", "PYTHONDEVMODE")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)} | variables
    command = [sys.executable, *options, "-m", "hakmem", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


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
        "cpython raw": True,
        "cpython mem": True,
        "cpython obj": True,
    }


def routes(*options: str, **variables: str) -> dict[str, dict[str, Any]]:
    """CPython's domains, by name."""
    facts = json.loads(run("info", "--json", options=options, **variables).stdout)
    return {name.split()[1]: route for name, route in facts["routes"].items() if name.startswith("cpython ")}


def test_info_on_the_memory_of_cpython() -> None:
    how = "python -m hakmem run, or hakmem.install()"
    assert routes() == {name: {"possible": True, "installed": False, "how": how} for name in ("raw", "mem", "obj")}
    reason = "PYTHONMALLOC=malloc puts its own allocators in force: start Python without it"
    assert routes(PYTHONMALLOC="malloc")["mem"] == {"possible": False, "installed": False, "how": reason}
    assert not any(route["possible"] for route in routes("-X", "dev").values())
    assert routes("-X", "tracemalloc")["obj"]["how"] == (
        "python -m hakmem run; not hakmem.install(): tracemalloc is tracing, and would lose track: "
        "install first, or use python -m hakmem run"
    )
    installed = {"possible": True, "installed": True, "how": "installed"}
    told = routes("-m", "hakmem", "run", "--domains", "mem,obj")
    assert told["mem"] == told["obj"] == installed
    assert not told["raw"]["installed"]


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
