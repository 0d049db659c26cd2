"""`python -m hakmem.bench`: see _command."""

import sys

try:
    from hakmem.bench._command import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "rich":
        raise
    print("python -m hakmem.bench needs rich: pip install 'hakmem[bench]'", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
