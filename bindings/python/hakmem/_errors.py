"""Misuse of memory, as an exception, a warning, or what the library does with it by itself."""

from __future__ import annotations

import os
import warnings
from typing import Literal, get_args

from hakmem._native import catch_misuse, ffi, lib

ErrorPolicy = Literal["raise", "report", "ignore", "abort"]


class MisuseError(RuntimeError):
    """Memory was misused, for example written to behind its end; the message says how."""

    def __init__(self, message: str, *, status: str, function: str, address: int, block_size: int, arena: str) -> None:
        super().__init__(message)
        self.status = status
        """The name of the status in hakmem.h, such as "HK_ERR_OVERFLOW"."""
        self.function = function
        """The function of the library that found it."""
        self.address = address
        """What that function was given."""
        self.block_size = block_size
        """Bytes of the block at that address; 0 if there is none."""
        self.arena = arena
        """The name of the arena of the block; empty if there is none."""


class MisuseWarning(RuntimeWarning):
    """What a MisuseError would be, under the policy "report"."""


def _first_policy() -> ErrorPolicy:
    value = os.environ.get("HAKMEM_ON_ERROR", "")
    if value == "report":
        return "report"
    if value == "ignore":
        return "ignore"
    return "abort" if value == "abort" else "raise"


def error_policy() -> ErrorPolicy:
    """What happens to misuse."""
    return _policy


def set_error_policy(policy: ErrorPolicy) -> None:
    """Sets what happens to misuse, in the whole process.

    "raise": MisuseError, or `sys.unraisablehook` where an object is collected or CPython's own memory was misused;
    "report": MisuseWarning; "ignore": nothing; "abort": a line on standard error and the end of the process. Without
    HAKMEM_ON_ERROR in the environment, the first policy is "raise".
    """
    global _policy
    if policy not in get_args(ErrorPolicy):
        raise ValueError(f"the policy is {policy!r}; it can be one of {', '.join(map(repr, get_args(ErrorPolicy)))}")
    _policy = policy
    check_status(lib.hk_set_error_policy(lib.HK_ON_ERROR_IGNORE if policy == "ignore" else lib.HK_ON_ERROR_ABORT))
    catch_misuse(policy in ("raise", "report"))


def check_status(status: int) -> None:
    """Raises RuntimeError for any status but HK_OK."""
    if status != lib.HK_OK:
        name, sentence = (ffi.string(text(status)).decode() for text in (lib.hk_status_name, lib.hk_status_message))
        raise RuntimeError(f"{name}: {sentence}")


def surface(status: str, sentence: str, function: str, address: int, block_size: int, arena: str) -> None:
    """Called by the native part when the library has reported misuse."""
    place = f"a block of {block_size} bytes at {address:#x}" if block_size else f"address {address:#x}"
    message = f"{status}: {sentence}: {place}" + (f" in arena {arena!r}" if arena else "")
    if function.startswith("Py"):
        message += f", given to {function}"
    if _policy == "raise":
        raise MisuseError(
            message, status=status, function=function, address=address, block_size=block_size, arena=arena
        )
    if _policy == "report":
        warnings.warn(message, MisuseWarning, stacklevel=2)


_policy: ErrorPolicy = _first_policy()
set_error_policy(_policy)
