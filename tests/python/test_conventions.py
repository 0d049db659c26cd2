"""ruff and mypy find nothing in the package and its tests; the stubs tell of what there is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from hakmem import _native

ROOT = Path(__file__).parents[2]
NATIVE = _native.__file__ or ""
STUBS = Path(NATIVE).parent / "_native.pyi"


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff(tmp_path: Path) -> None:
    run("ruff", "check", "--cache-dir", str(tmp_path), ".")
    run("ruff", "format", "--cache-dir", str(tmp_path), "--check", "bindings/python", "tests/python")


def test_mypy(tmp_path: Path) -> None:
    run("mypy", "--cache-dir", str(tmp_path), "bindings/python/hakmem", "bindings/python/write_view.py", "tests/python")


def tell(*command: str) -> str:
    return subprocess.run([*command, NATIVE], capture_output=True, text=True, check=True).stdout


def test_the_extension_is_a_good_guest() -> None:
    names = [line.split()[0] for line in tell("nm", "-DP", "--defined-only").splitlines()]
    assert names == ["PyInit__native", "hakmem_python_start_early"]
    assert "NODELETE" in tell("readelf", "--wide", "--dynamic")
    thread_local = next(
        line.split() for line in tell("readelf", "--wide", "--segments").splitlines() if " TLS " in line
    )
    assert int(thread_local[5], 16) <= 64


def test_stubs_are_complete() -> None:
    tree = ast.parse(STUBS.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    native = {name: value for name, value in vars(_native).items() if not name.startswith("__")}
    assert functions == {name for name, value in native.items() if callable(value) and not isinstance(value, type)}
    for name, stub in classes.items():
        told = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
        there = set(vars(native[name]))
        wrappers = {"__buffer__", "__release_buffer__", "__new__", "__repr__", "__delitem__", "__doc__", "__module__"}
        assert told - wrappers <= there
        assert there - wrappers <= told
