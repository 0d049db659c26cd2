"""`python -m hakmem run`: a program, with CPython's own memory from hakmem since before the interpreter started."""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hakmem import _native
from hakmem._memory import DOMAINS, why_not
from hakmem._sizes import parse_size

_SMALLEST_LIMIT = 1 << 10
_LARGEST_LIMIT = 1 << 40
_AT_SECURE = 23
_OPTIONS_WITH_VALUES = ("--limit", "--domains", "--heap-map")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The command's own options."""
    parser = commands.add_parser(
        "run",
        usage="python -m hakmem run [OPTION]... SCRIPT | -m MODULE | -c CODE [ARGUMENT]...",
        allow_abbrev=False,
        help="a program, with CPython's own memory from hakmem",
        description="Runs a Python program with CPython's own memory from hakmem, from the start of the interpreter. "
        "It runs in this process, as if python itself had started it, with the options that python was given. SCRIPT "
        "may be - for standard input. Programs that it starts are not concerned.",
    )
    parser.add_argument(
        "--limit",
        metavar="SIZE",
        type=_limit,
        help="what CPython's memory may hold at most, such as 512MB; what does not fit raises MemoryError",
    )
    parser.add_argument(
        "--stats",
        nargs="?",
        const="1",
        choices=("1", "json"),
        metavar="json",
        help="at exit, print on standard error what CPython's memory holds; --stats=json: as one line of JSON",
    )
    parser.add_argument(
        "--domains",
        metavar="NAMES",
        type=_domains,
        default=list(DOMAINS),
        help=f"the domains of CPython's memory that come from hakmem, of {','.join(DOMAINS)}; without it all",
    )
    parser.add_argument(
        "--heap-map",
        metavar="FILE",
        type=_map_file,
        help="at exit, draw CPython's memory into FILE, as SVG; %%p in FILE stands for the process's number",
    )
    return parser


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own options, as argparse needs them, and the program as python itself is to be given it."""
    options: list[str] = []
    at = 0
    while at < len(arguments) and _is_own_option(arguments[at]):
        # What follows --stats is never its value.
        options.append("--stats=1" if arguments[at] == "--stats" else arguments[at])
        at += 1
        if options[-1] in _OPTIONS_WITH_VALUES:
            options += arguments[at : at + 1]
            at += 1
    program = list(arguments[at:])
    # Python needs it, too, where the name of a script begins with a dash.
    if program[:1] == ["--"] and not (len(program) > 1 and program[1].startswith("-")):
        program.pop(0)
    return options, program


def _is_own_option(argument: str) -> bool:
    return argument.startswith("-") and argument not in ("-", "--") and argument[:2] not in ("-m", "-c")


def run(parser: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    """Becomes the program."""
    own_words, program = split(words)
    options, unknown = parser.parse_known_args(own_words)
    for word in unknown:
        parser.error(f"there is no option {word}; options of python's own stand before -m hakmem")
    if not program:
        parser.error("which program is to run? SCRIPT, -m MODULE or -c CODE")
    if program in (["-m"], ["-c"]):
        parser.error(f"argument {program[0]}: expected one argument")
    for domain in options.domains:
        reason = why_not(domain, late=False)
        if reason is not None:
            parser.error(f"domain {domain} cannot be served from hakmem: {reason}")
    if not sys.executable:
        parser.error("this Python does not know its own executable")
    if not hasattr(ctypes.pythonapi, "PyMem_SetAllocator"):
        parser.error("this Python does not show PyMem_SetAllocator to libraries")
    if ctypes.CDLL(None).getauxval(_AT_SECURE):
        parser.error("this process has more rights than its user, so the system preloads nothing into it")
    environment = _environment(parser, options)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.orig_argv[0], *_interpreter_options(), *program], environment)


def _interpreter_options() -> list[str]:
    """What stood between `python` and `-m hakmem run`."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    if words and words[-1] in ("hakmem", "hakmem.__main__"):
        words.pop()
    last = words.pop() if words else "-m"
    last = last.removesuffix(".__main__").removesuffix("hakmem").removesuffix("m")
    return words if last == "-" else [*words, last]


def _environment(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, str]:
    """The environment, changed, with what there was before: see bindings/python/native/early.c."""
    native = Path(str(_native.__file__))
    early = native.with_name("_early.so")
    if not early.exists():
        parser.error(f"{early} is not there: the package is not installed as a whole")
    if any(character in str(early) for character in " :$"):
        parser.error(
            f"the system cannot preload {str(early)!r}: there is a blank, a colon or a dollar sign in its name"
        )
    before = os.environ.get("LD_PRELOAD")
    changes = {"LD_PRELOAD": str(early) if not before else f"{early}:{before}"}
    if options.limit is not None:
        changes["HAKMEM_LIMIT"] = str(options.limit)
    if options.stats is not None:
        changes["HAKMEM_STATS"] = options.stats
    if options.heap_map is not None:
        changes["HAKMEM_HEAP_MAP"] = options.heap_map
    own = {"NATIVE": str(native), "DOMAINS": ",".join(options.domains)}
    changes |= {f"HAKMEM_PYTHON_{name}": value for name, value in own.items()}
    were = {f"HAKMEM_PYTHON_WAS_{name}": os.environ[name] for name in changes if name in os.environ}
    names = ",".join([*changes, "HAKMEM_PYTHON_CHANGED"])
    return os.environ | changes | were | {"HAKMEM_PYTHON_CHANGED": names}


def _limit(text: str) -> int:
    try:
        limit_bytes = parse_size(text)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not _SMALLEST_LIMIT <= limit_bytes <= _LARGEST_LIMIT:
        raise argparse.ArgumentTypeError(f"the limit is {text!r}; it can be from 1K to 1T")
    return limit_bytes


def _domains(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in DOMAINS:
            raise argparse.ArgumentTypeError(f"the domain is {name!r}; it can be one of {', '.join(DOMAINS)}")
    return [name for name in DOMAINS if name in names]


def _map_file(text: str) -> str:
    """Absolute, as the program may change its folder."""
    path = Path(text).absolute()
    can_write = os.access(path, os.W_OK) if path.exists() else os.access(path.parent, os.W_OK | os.X_OK)
    if not text or path.is_dir() or not can_write:
        raise argparse.ArgumentTypeError(f"{text!r} is no file that can be written to")
    return str(path)
