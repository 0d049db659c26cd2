"""Builds arena_vector: the header of the installed hakmem is all that it needs."""

import hakmem
from setuptools import Extension, setup

setup(ext_modules=[Extension("arena_vector", ["arena_vector.c"], include_dirs=[hakmem.get_include()])])
