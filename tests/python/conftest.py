"""The same examples in every run, and what tests of limits and accounts leave behind."""

from collections.abc import Iterator

import hakmem
import pytest
from hakmem import _native
from hypothesis import settings

settings.register_profile("hakmem", derandomize=True, deadline=None, database=None)
settings.load_profile("hakmem")


@pytest.fixture
def no_scope_stays() -> Iterator[None]:
    yield
    assert _native.Scope.current() is None
    for name in hakmem.accounts():
        hakmem.close_account(name)
