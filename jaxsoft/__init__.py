"""Soft-label scaling laws: hundreds of students, taught by early-stopped experts, in one compiled JAX program."""

from importlib import metadata

__version__ = metadata.version("jaxsoft")
