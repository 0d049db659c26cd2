"""`python -m hakmem info`: what this hakmem is, and what it can do here."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hakmem._info import as_text, information


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m hakmem", description="Arenas for Python.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="version, build, options, and which memory can come from hakmem")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    options = parser.parse_args(arguments)
    facts = information()
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
