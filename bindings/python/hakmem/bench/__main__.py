"""`python -m hakmem.bench`: see _command."""

import sys

try:
    from hakmem.bench._command import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] != "rich":
        raise
    sys.exit("python -m hakmem.bench needs rich: pip install 'hakmem[bench]'")

if __name__ == "__main__":
    sys.exit(main())
