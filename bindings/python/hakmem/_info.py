"""What `python -m hakmem info` tells."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sysconfig
from typing import Any

from hakmem import __version__, _native
from hakmem._errors import error_policy
from hakmem._memory import DOMAINS, installed_domains, why_not


def information() -> dict[str, Any]:
    """Version, build, options in force, and which memory can come from hakmem here; as plain values."""
    numpy_version = _version_of("numpy")
    numpy_serves = numpy_version is not None and _numbers(numpy_version) >= (1, 22)
    return {
        "version": __version__,
        "build": {
            "extension": _native.__file__,
            "abi": sysconfig.get_config_var("SOABI"),
            "python": platform.python_version(),
            "cffi": _version_of("cffi"),
            "numpy": numpy_version,
        },
        "options": _options(),
        "routes": {
            "buffers": {"possible": True, "how": "hakmem.Arena().alloc(size)"},
            "numpy arrays": {
                "possible": numpy_serves,
                "how": "with hakmem.numpy_arena(arena):" if numpy_serves else "needs NumPy 1.22 or newer",
            },
        }
        | {f"cpython {domain}": _route_of(domain) for domain in DOMAINS},
    }


def as_text(information: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"hakmem {information['version']}", "", "build"]
    lines += [f"  {name:<24}{value or 'not installed'}" for name, value in information["build"].items()]
    lines += ["", "options"]
    for option in information["options"]:
        value = "none" if option["value"] is None else option["value"]
        given = "" if option["environment"] is None else f" (the environment says {option['environment']!r})"
        lines.append(f"  {option['name']:<24}{value}{given}: {option['values']}")
    lines += ["", "memory that can come from hakmem"]
    for name, route in information["routes"].items():
        lines.append(f"  {name:<24}{'yes' if route['possible'] else 'no'}: {route['how']}")
    return "\n".join(lines)


def _route_of(domain: str) -> dict[str, Any]:
    """Of one of CPython's domains: also whether it is served from hakmem now."""
    installed = domain in installed_domains()
    early, late = why_not(domain, late=False), why_not(domain, late=True)
    if installed:
        how = "installed"
    elif early is None:
        how = "python -m hakmem run" + (", or hakmem.install()" if late is None else f"; not hakmem.install(): {late}")
    else:
        how = early
    return {"possible": installed or early is None, "how": how, "installed": installed}


def _options() -> list[dict[str, Any]]:
    rows: list[tuple[str, object, object, str]] = [
        ("HAKMEM_ON_ERROR", error_policy(), "raise", "abort, report or ignore; without it, errors raise exceptions"),
        *_native.options(),
    ]
    return [
        {"name": name, "environment": os.environ.get(name), "value": value, "default": default, "values": values}
        for name, value, default, values in rows
    ]


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
