"""`python -m hakmem`: what this hakmem is and can do here, and what extension modules are built with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hakmem._config import as_arguments
from hakmem._info import as_text, information


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m hakmem", description="Arenas for Python.")
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
    options = parser.parse_args(arguments)
    if options.command == "config":
        if not options.kinds:
            config.error("say which: --includes, --cmakedir or --libs")
        print(as_arguments(options.kinds))
        return 0
    facts = information()
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
