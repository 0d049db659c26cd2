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


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The command's own options."""
    parser = commands.add_parser(
        "run",
        usage="python -m hakmem run [OPTION]... SCRIPT | -m MODULE | -c CODE [ARGUMENT]...",
        help="a program, with CPython's own memory from hakmem",
        description="Runs a Python program with CPython's own memory from hakmem, from the start of the interpreter. "
        "It runs in this process, as if python itself had started it, with the same options. Programs that it starts "
        "are not concerned.",
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
    parser.add_argument("-m", dest="module", metavar="MODULE", nargs=argparse.REMAINDER, help="run a module")
    parser.add_argument("-c", dest="code", metavar="CODE", nargs=argparse.REMAINDER, help="run code")
    parser.add_argument(
        "script", metavar="SCRIPT", nargs=argparse.REMAINDER, help="run a file, or - for standard input"
    )
    return parser


def split(arguments: Sequence[str]) -> list[str]:
    """The arguments of the command with --stats as argparse needs it: what follows it is never its value."""
    split_arguments: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        split_arguments.append("--stats=1" if argument == "--stats" else argument)
        if argument in ("--limit", "--domains", "--heap-map"):
            split_arguments += [value for value in [next(rest, None)] if value is not None]
        elif not argument.startswith("--"):
            break
    return [*split_arguments, *rest]


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> NoReturn:
    """Becomes the program."""
    program = _program(parser, options)
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
    os.execve(sys.executable, [sys.executable, *_interpreter_options(), *program], environment)


def _program(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    for option, words in (("-m", options.module), ("-c", options.code)):
        if words is not None:
            if not words:
                parser.error(f"argument {option}: expected one argument")
            return [option, *words]
    script = options.script[1:] if options.script[:1] == ["--"] else options.script
    if not script:
        parser.error("which program is to run? SCRIPT, -m MODULE or -c CODE")
    return list(script)


def _interpreter_options() -> list[str]:
    """What stood between `python` and `-m hakmem run`."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    if words and words[-1] == "hakmem":
        words.pop()
    last = words.pop() if words else "-m"
    last = last.removesuffix("hakmem").removesuffix("m")
    return words if last == "-" else [*words, last]


def _environment(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, str]:
    """The environment, changed, with what there was before: see bindings/python/native/early.c."""
    native = Path(str(_native.__file__))
    early = native.with_name("_early.so")
    if not early.exists():
        parser.error(f"{early} is not there: the package is not installed as a whole")
    if any(character in str(early) for character in " :"):
        parser.error(f"the system cannot preload {str(early)!r}: there is a blank or a colon in its name")
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
    if not text or path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r} is no file that can be written to")
    return str(path)
