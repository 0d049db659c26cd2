"""`python -m hakmem`: what this hakmem is, what extension modules are built with, and Python programs on hakmem."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hakmem import _run
from hakmem._config import as_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m hakmem", description="Arenas for Python, and Python on hakmem.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="version, build, options, and which memory can come from hakmem")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    config = commands.add_parser("config", help="what C compilers and CMake need to know")
    for kind, what in (
        ("includes", "options for the headers of Python and hakmem"),
        ("cmakedir", "the folder for -Dhakmem_DIR"),
        ("libs", "what links a C program with the static library"),
    ):
        config.add_argument(f"--{kind}", dest="kinds", action="append_const", const=kind, help=what)
    run = _run.add_parser(commands)
    if words[:1] == ["run"]:
        _run.run(run, words[1:])
    options = parser.parse_args(words)
    if options.command == "config":
        if not options.kinds:
            config.error("say which: --includes, --cmakedir or --libs")
        print(as_arguments(options.kinds))
        return 0
    from hakmem._info import as_text, information  # here, as it takes longer than all the rest

    facts = information()
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
