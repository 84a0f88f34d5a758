"""Soft-label scaling laws: hundreds of students, taught by early-stopped experts, in one compiled JAX program."""

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsoft.api import *  # noqa: F403

__version__ = metadata.version("jaxsoft")
__all__ = [
    "Dataset", "Experts", "Row", "Split", "Student", "Sweep", "Teacher",
    "load", "teach", "text_table", "train_students",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The interface of `jaxsoft.api`, imported when first used: the command line starts without JAX."""
    if name not in __all__:
        raise AttributeError(f"module 'jaxsoft' has no attribute {name!r}")
    return getattr(importlib.import_module("jaxsoft.api"), name)
