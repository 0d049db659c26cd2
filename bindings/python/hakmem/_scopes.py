"""Limits and accounts for what Python code allocates, by context."""

from __future__ import annotations

import sys
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING

from hakmem import _native
from hakmem._arena import checked_limit, checked_name
from hakmem._errors import check_status
from hakmem._memory import install, installed_domains
from hakmem._native import ffi, lib
from hakmem._statistics import Statistics, read_statistics

if TYPE_CHECKING:
    from typing_extensions import CapsuleType, Self

_accounts: dict[str, _native.Scope] = {}


class Scope:
    """What the code in a with block is charged to; made by `limit()` and `account()`.

    What Python code allocates in the block, its objects and their memory, comes from an arena of the scope, and so do
    the data of NumPy arrays if NumPy has been imported by then. "In the block" goes by context (`contextvars`): a task
    that is created in the block stays in it, to its end; a thread that is started there does not, unless it runs in a
    copy of the context, as with `asyncio.to_thread`. What outlives the block stays valid, and charged, until it is
    freed. Memory that was allocated elsewhere is charged again where it grows.

    A with block within another one: `limit()` in any scope charges both, and both limits count.
    """

    def __init__(self, core: _native.Scope) -> None:
        """Not to be called: see `limit()` and `account()`."""
        self._core: _native.Scope = core
        self._token: Token[_native.Scope] | None = None
        self._refusals = 0
        self._previous_handler: CapsuleType | None = None

    @property
    def name(self) -> str:
        """The name that it was given."""
        return str(ffi.string(lib.hk_arena_name(self._handle)).decode())

    @property
    def limit(self) -> int | None:
        """What it may hold at most, in whole KiB; None: no limit. It may be set at any time.

        A limit below what is held stops growth and takes nothing away.
        """
        return int(lib.hk_arena_limit(self._handle)) or None

    @limit.setter
    def limit(self, limit: int | str | None) -> None:
        check_status(lib.hk_arena_set_limit(self._handle, checked_limit(limit)))

    def statistics(self) -> Statistics:
        """The figures of this moment, also after the block."""
        return read_statistics(self._handle)

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError(f"the scope {self.name!r} is in use by a with block; each block needs one of its own")
        self._refusals = self._core.refusals
        token = self._core.enter()
        if "numpy" in sys.modules:
            try:
                self._previous_handler = _native.numpy_set_handler(_native.numpy_scope_handler(self._core))
            except BaseException:
                self._core.leave(token)
                raise
        self._token = token
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the block. A MemoryError that came because of the limit is raised again with a message that says so."""
        token, self._token = self._token, None
        if token is None:
            raise RuntimeError("the scope's with block has ended already")
        if self._previous_handler is not None:
            _native.numpy_set_handler(self._previous_handler)
            self._previous_handler = None
        self._core.leave(token)
        if type(error) is MemoryError and not error.args and self._core.refusals != self._refusals:
            raise MemoryError(self._explain()) from error

    def __repr__(self) -> str:
        return f"<hakmem.Scope {self.name!r}>"

    @property
    def _handle(self) -> object:
        return ffi.cast("hk_arena *", self._core.handle)

    def _explain(self) -> str:
        limit = "no limit of its own" if self.limit is None else f"limit {self.limit} bytes"
        held = self._core.refused_held
        return f"{self.name!r}: {self._core.refused_bytes} bytes requested, {limit}, {held} held"


def limit(size: int | str, *, name: str = "limit") -> Scope:
    """A with block in which Python code may allocate `size` at most; beyond that it gets a MemoryError.

    `with hakmem.limit("256MB") as scope:`; see Scope for what is counted, and `scope.statistics()` for how much it is.
    The first call installs hakmem for CPython's domains mem and obj if that has not been done: see `install()`, whose
    RuntimeError it raises.
    """
    limit_bytes = checked_limit(size)
    if limit_bytes == 0:
        raise TypeError('the limit is None; it can be a whole number of bytes, or text such as "64MB"')
    _install()
    return Scope(_native.Scope(checked_name(name), limit_bytes, _native.Scope.current()))


def account(name: str, *, limit: int | str | None = None) -> Scope:
    """A with block that is charged to the account of this name; each call for a name is a new block of one account.

    An account lives until `close_account()`; all tasks and threads may be in it at once. `limit` sets its limit, if it
    is given. It stands for itself: within a limit, it would let memory past that limit, so there it is refused
    (RuntimeError).
    """
    _install()
    core = _accounts.get(checked_name(name))
    if core is None:
        core = _accounts.setdefault(name, _native.Scope(name, 0, None))
    scope = _Account(core)
    if limit is not None:
        scope.limit = limit
    return scope


def accounts() -> dict[str, Statistics]:
    """The figures of all accounts, by name."""
    return {name: Scope(core).statistics() for name, core in list(_accounts.items())}


def close_account(name: str) -> None:
    """Forgets the account; what lives in it stays valid until it is freed. KeyError if there is none."""
    try:
        del _accounts[name]
    except KeyError:
        raise KeyError(f"there is no account {name!r}") from None


class _Account(Scope):
    def __enter__(self) -> Self:
        outer = _native.Scope.current()
        while outer is not None:
            if outer is not self._core and Scope(outer).limit is not None:
                raise RuntimeError(
                    f"the account {self.name!r} cannot be entered within the limit {Scope(outer).name!r}: "
                    "enter the account first, and the limit within it"
                )
            outer = outer.parent
        return super().__enter__()


def _install() -> None:
    if not {"mem", "obj"} <= set(installed_domains()):
        install(("mem", "obj"))
