"""CPython's own allocations, from hakmem (PEP 445)."""

from __future__ import annotations

import os
import sys
import sysconfig
import tracemalloc
from collections.abc import Iterable

from hakmem import _native

DOMAINS = ("raw", "mem", "obj")
"""The domains of CPython's memory: raw is called without the GIL; mem is for buffers, obj for objects."""

# By their numbers in PyMemAllocatorDomain.
_BITS = {name: 1 << number for number, name in enumerate(DOMAINS)}


def why_not(domain: str, *, late: bool) -> str | None:
    """Why this domain cannot be served from hakmem; None if it can.

    `late`: by install(), in this process; else by `python -m hakmem run`, before the interpreter starts.
    """
    if late and domain in installed_domains():
        return None
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} has no such domains; CPython has"
    if domain != "raw" and sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded build needs its own allocator here; domain raw can be served"
    if sys.flags.dev_mode:
        return "the development mode (-X dev, PYTHONDEVMODE) puts its own allocators in force: start Python without it"
    malloc = os.environ.get("PYTHONMALLOC")
    if malloc and not sys.flags.ignore_environment:
        return f"PYTHONMALLOC={malloc} puts its own allocators in force: start Python without it"
    if late and tracemalloc.is_tracing():
        return "tracemalloc is tracing, and would lose track: install first, or use python -m hakmem run"
    return None


def install(domains: Iterable[str] = DOMAINS) -> None:
    """Lets CPython's own memory come from hakmem, from now on and for good.

    Blocks that CPython has already stay where they are, and go back to where they came from. `python -m hakmem run`
    does it before there are any. A domain that is installed already stays so. RuntimeError says what stands against it;
    then nothing has changed. Other threads should not be running yet, as PyMem_SetAllocator swaps the allocators under
    those that do not hold the GIL.
    """
    names = _checked(domains)
    for name in names:
        reason = why_not(name, late=True)
        if reason is not None:
            raise RuntimeError(f"domain {name} cannot be served from hakmem: {reason}")
    _native.install(sum(_BITS[name] for name in names))


def installed_domains() -> tuple[str, ...]:
    """The domains of CPython's memory that hakmem serves in this process."""
    bits = _native.installed()
    return tuple(name for name in DOMAINS if bits & _BITS[name])


def _checked(domains: Iterable[str]) -> list[str]:
    names = [domains] if isinstance(domains, str) else list(domains)
    for name in names:
        if name not in _BITS:
            raise ValueError(f"the domain is {name!r}; it can be one of {', '.join(map(repr, DOMAINS))}")
    if not names:
        raise ValueError("no domain is given")
    return [name for name in DOMAINS if name in names]
