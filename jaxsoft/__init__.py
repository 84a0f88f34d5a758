"""Soft-label scaling laws: hundreds of students, taught by early-stopped experts, in one compiled JAX program."""

from importlib import metadata
from typing import TYPE_CHECKING, Any

__version__ = metadata.version("jaxsoft")

if TYPE_CHECKING:
    from jaxsoft.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """The interface of `jaxsoft.api`, imported when first used: the command line starts without JAX."""
    from jaxsoft import api

    if name in api.__all__:
        return getattr(api, name)
    raise AttributeError(f"module 'jaxsoft' has no attribute {name!r}; there are: {', '.join(api.__all__)}")
