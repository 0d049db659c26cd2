"""The same examples in every run."""

from hypothesis import settings

settings.register_profile("hakmem", derandomize=True, deadline=None, database=None)
settings.load_profile("hakmem")
