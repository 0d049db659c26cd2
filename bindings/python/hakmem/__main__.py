"""`python -m hakmem`: what this hakmem is, and Python programs on it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hakmem import _run
from hakmem._info import as_text, information


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m hakmem", description="Arenas for Python, and Python on hakmem.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="version, build, options, and which memory can come from hakmem")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    run = _run.add_parser(commands)
    if words[:1] == ["run"]:
        _run.run(run, words[1:])
    options = parser.parse_args(words)
    facts = information()
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
