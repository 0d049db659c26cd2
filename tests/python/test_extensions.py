"""Extension modules and C programs, built against the installed package as their authors would: see examples/python.

What the functions of the C API do is tested by test_capsule.py.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import hakmem
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"
BUILD_SETTINGS = {
    "c_extension": [],
    "pybind11_extension": ["--config-settings=cmake.build-type=Debug"],  # pybind11 then asserts that the GIL is held
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both examples, installed by pip at the same time."""
    folder = tmp_path_factory.mktemp("modules")
    builds = []
    for name, settings in BUILD_SETTINGS.items():
        source = shutil.copytree(EXAMPLES / name, tmp_path_factory.mktemp("source") / name)  # setuptools writes there
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
        command += [*settings, "--target", str(folder / name), str(source)]
        builds.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for build in builds:
        output, _ = build.communicate()
        assert build.returncode == 0, output
    return folder


@pytest.fixture
def vectors(modules: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.syspath_prepend(modules / "c_extension")
    return __import__("arena_vector")


@pytest.fixture
def words(modules: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.syspath_prepend(modules / "pybind11_extension")
    return __import__("arena_words")


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run_well(*command: str | Path) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- the extension in C ----


def test_a_vector_lies_in_its_arena(vectors: Any) -> None:  # noqa: ANN401
    with hakmem.Arena() as arena:
        vector = vectors.DoubleVector(range(1000), arena=arena)
        assert (len(vector), vector[999], list(vector)) == (1000, 999.0, [float(item) for item in range(1000)])
        array = np.asarray(vector)
        assert (str(array.dtype), float(array.sum())) == ("float64", 499500)
        (block,) = arena.walk()
        assert (array.ctypes.data, array.ctypes.data % 64) == (block.address, 0)
        assert block.size >= 8000
        with pytest.raises(BufferError, match=r"1 view\(s\) of it are in use"):
            vector.append(1)
        del array
        vector.append(1)
        with pytest.raises(BufferError, match=r"1 block\(s\) of extension modules"):
            arena.close()
        del vector
        assert arena.statistics().live_blocks == 0


def test_a_vector_of_the_process_heap(vectors: Any) -> None:  # noqa: ANN401
    vector = vectors.DoubleVector([1, 2.5])
    address = np.asarray(vector).ctypes.data
    lib, ffi = hakmem._native.lib, hakmem._native.ffi
    assert lib.hk_arena_owns(lib.hk_arena_default(), ffi.cast("void *", address))
    del vector
    assert not lib.hk_arena_owns(lib.hk_arena_default(), ffi.cast("void *", address))


def test_a_vector_meets_the_limit(vectors: Any) -> None:  # noqa: ANN401
    with hakmem.Arena(limit="1M", name="small") as arena:
        vector = vectors.DoubleVector(arena=arena)
        with pytest.raises(MemoryError, match="arena 'small': 1048576 bytes requested, limit 1048576 bytes"):
            for _ in range(1_000_000):
                vector.append(1)
        assert len(vector) == 65536
        assert vector[65535] == 1
        del vector


def test_a_vector_keeps_its_arena(vectors: Any) -> None:  # noqa: ANN401
    vector = vectors.DoubleVector([1], arena=hakmem.Arena())
    gc.collect()
    vector.append(2)
    assert list(vector) == [1, 2]


def test_wrong_arguments(vectors: Any) -> None:  # noqa: ANN401
    with hakmem.Arena() as arena:
        pass
    with pytest.raises(ValueError, match="the arena is closed"):
        vectors.DoubleVector(arena=arena)
    with pytest.raises(TypeError, match="an Arena is needed, not 3"):
        vectors.DoubleVector(arena=3)
    with hakmem.Arena() as arena, pytest.raises(TypeError):
        vectors.DoubleVector([1, "two"], arena=arena)
    empty = vectors.DoubleVector(arena=hakmem.Arena())
    assert (len(empty), bytes(empty), np.asarray(empty).shape) == (0, b"", (0,))


def test_vectors_in_threads(vectors: Any) -> None:  # noqa: ANN401
    sums: list[float] = []

    def work() -> None:
        for _ in range(20):
            vector = vectors.DoubleVector(range(2000), arena=arena)
            sums.append(float(np.asarray(vector).sum()))

    with hakmem.Arena() as arena:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sums == [1999000] * 80
        assert (arena.exports, arena.statistics().live_blocks) == (0, 0)
        arena.check()


def test_a_vector_that_outlives_the_interpreter(modules: Path) -> None:
    code = (
        "import hakmem, arena_vector\nv = arena_vector.DoubleVector([1], arena=hakmem.Arena())\nimport sys; sys.v = v"
    )
    done = run(sys.executable, "-c", code, PYTHONPATH=str(modules / "c_extension"))
    assert (done.returncode, done.stderr) == (0, "")


# ---- the extension in C++ ----


def test_words_lie_in_the_arena(words: Any) -> None:  # noqa: ANN401
    with hakmem.Arena() as arena:
        counts = words.WordCounts(arena)
        counts.add("a rose is a rose is a rose, and a word of more letters than fit into a string is elsewhere")
        long = "extraordinarily-long-words-have-blocks-of-their-own"
        counts.add(f"{long} {long}\n")
        assert (counts["a"], counts["is"], counts[long], counts["none"], len(counts)) == (5, 3, 2, 0, 15)
        assert arena.exports == arena.statistics().live_blocks > 15
        with pytest.raises(BufferError):
            arena.reset()
        del counts
        assert (arena.exports, arena.statistics().live_blocks) == (0, 0)
        arena.check()


def test_words_meet_the_limit(words: Any) -> None:  # noqa: ANN401
    with hakmem.Arena(limit="256K") as arena:
        counts = words.WordCounts(arena)
        with pytest.raises(MemoryError):
            counts.add(" ".join(map(str, range(100_000))))
        assert counts["0"] == 1
        assert arena.exports == arena.statistics().live_blocks
        del counts


def test_words_in_threads(words: Any) -> None:  # noqa: ANN401
    text = " ".join(map(str, range(20_000)))
    with hakmem.Arena() as arena:
        counts = words.WordCounts(arena)
        threads = [threading.Thread(target=counts.add, args=(text,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        buffers = [arena.alloc(100) for _ in range(1000)]
        for thread in threads:
            thread.join()
        assert (len(counts), counts["7"]) == (20_000, 4)
        del buffers, counts, threads, thread
        assert arena.exports == 0
        arena.check()


def test_words_of_a_closed_arena(words: Any) -> None:  # noqa: ANN401
    arena = hakmem.Arena()
    counts = words.WordCounts(arena)
    arena.close()
    with pytest.raises(ValueError, match="the arena is closed"):
        counts.add("word")
    with pytest.raises(TypeError, match="an Arena is needed, not None"):
        words.WordCounts(None)


# ---- the extension in the manual ----


def test_the_manual_s_extension(tmp_path: Path) -> None:
    manual = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```c\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)
    (tmp_path / "letters.c").write_text(snippet, encoding="ascii")
    (commands,) = re.findall(r"^```sh\n(cc -shared.*?)^```", manual, re.MULTILINE | re.DOTALL)
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-ec", commands.replace("cc ", "cc -Wall -Wextra -Wconversion -Werror ", 1)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("b'aaaaaaaaaa'\n", "")


# ---- versions ----

FAKE = """
import ctypes, hakmem
table = (ctypes.c_size_t * 2)({size}, {major} | {minor} << 32)
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
hakmem._C_API = new(ctypes.addressof(table), b"hakmem._C_API", None)
import arena_vector
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (FAKE.format(size=4096, major=2, minor=3), "ImportError: built for version 1.0 of hakmem's C API (360 bytes); "
         "the package hakmem has 2.3 (4096 bytes): install a package that fits, or build this extension anew"),
        (FAKE.format(size=352, major=1, minor=0), "the package hakmem has 1.0 (352 bytes)"),
        (FAKE.format(size=4096, major=1, minor=9), ""),
        ("import hakmem; del hakmem._C_API; import arena_vector", "the package hakmem has none"),
        ("import sys; sys.modules['hakmem'] = None; import arena_vector", "ImportError"),
    ],
)  # fmt: skip
def test_versions(modules: Path, code: str, message: str) -> None:
    done = run(sys.executable, "-c", code, PYTHONPATH=str(modules / "c_extension"))
    assert (done.returncode == 0) == (message == "")
    assert message in done.stderr


@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("macros", [[], ["-DHAKMEM_PYTHON_SHARED"]])
def test_the_header_is_clean(language: str, macros: list[str], tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text(
        "#include <hakmem_python.h>\nvoid *f(void);\nvoid *f(void) { return hk_malloc(7); }\n", encoding="ascii"
    )
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    headers = [f"-I{hakmem.get_include()}", "-isystem", sysconfig.get_path("include")]
    run_well("cc", "-fPIC", "-x", language, "-c", *warnings, *headers, *macros, "-o", tmp_path / "unit.o", unit)
    undefined = run_well("nm", "--undefined-only", tmp_path / "unit.o")
    assert ("hk_malloc" in undefined) == (not macros)


# ---- C programs, and libraries with an allocator of their own ----

PROGRAM = r"""
#include <hakmem.h>
#include <stdio.h>

int main(void) {
    hk_set_error_policy(HK_ON_ERROR_IGNORE);
    void *block = hk_malloc(100);
    hk_free(block);
    hk_free(block);
    printf("%s %s\n", hk_version(), hk_status_name(hk_last_status()));
    return 0;
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(program C)
find_package(hakmem 0.1 CONFIG REQUIRED)
find_package(hakmem CONFIG REQUIRED) # once more
add_executable(program program.c)
target_link_libraries(program hakmem::hakmem)
add_executable(same program.c)
target_link_libraries(same hakmem::static)
add_library(extension MODULE extension.c)
target_link_libraries(extension hakmem::python)
target_include_directories(extension SYSTEM PRIVATE ${PYTHON_INCLUDE})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "program.c").write_text(PROGRAM, encoding="ascii")
    (tmp_path / "extension.c").write_text("#include <hakmem_python.h>\n", encoding="ascii")
    (tmp_path / "CMakeLists.txt").write_text(PROJECT, encoding="ascii")
    return tmp_path


def test_a_program_by_the_compiler_alone(project: Path) -> None:
    config = [sys.executable, "-m", "hakmem", "config"]
    includes, libraries = (run_well(*config, option).split() for option in ("--includes", "--libs"))
    assert includes == [f"-I{sysconfig.get_path('include')}", f"-I{hakmem.get_include()}"]
    assert libraries[0] == hakmem.get_library()
    run_well("cc", *includes, "-o", project / "program", project / "program.c", *libraries)
    assert run_well(project / "program") == f"{hakmem.__version__} HK_ERR_DOUBLE_FREE\n"


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_program_by_cmake(project: Path, is_moved: bool) -> None:
    cmake_dir = run_well(sys.executable, "-m", "hakmem", "config", "--cmakedir").strip()
    assert cmake_dir == hakmem.get_cmake_dir()
    where = f"-Dhakmem_DIR={cmake_dir}"
    if is_moved:
        prefix = shutil.copytree(Path(cmake_dir).parents[2], project / "else where")
        where = f"-DCMAKE_PREFIX_PATH={prefix}"
    build = project / "build"
    run_well("cmake", "-S", project, "-B", build, where, f"-DPYTHON_INCLUDE={sysconfig.get_path('include')}")
    run_well("cmake", "--build", build)
    for program in ("program", "same"):
        assert run_well(build / program) == f"{hakmem.__version__} HK_ERR_DOUBLE_FREE\n"


def test_the_static_library_is_another_allocator(tmp_path: Path) -> None:
    options = run_well(sys.executable, "-m", "hakmem", "config", "--libs").split()
    shared = tmp_path / "libown.so"
    run_well("cc", "-shared", "-o", shared, "-Wl,--whole-archive", options[0], "-Wl,--no-whole-archive", *options[1:])
    own = ctypes.CDLL(str(shared))
    for function in (own.hk_malloc, own.hk_arena_of):
        function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    own.hk_free.argtypes = [ctypes.c_void_p]
    with hakmem.Arena() as arena:
        buffer = arena.alloc(100)
        block = own.hk_malloc(100)
        ffi, lib = hakmem._native.ffi, hakmem._native.lib
        assert own.hk_arena_of(block) is not None
        assert lib.hk_arena_of(ffi.cast("void *", block)) == ffi.NULL
        assert own.hk_arena_of(buffer.address) is None
        own.hk_free(block)
