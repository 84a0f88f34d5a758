"""Ways to select images as settings name them: the function, and what it asks for beside labels."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from jaxsoft import spec
from jaxsoft.data import chosen, select

SELECTIONS = spec.public_functions(select), "selection", "jaxsoft/data/select.py"
SAID = {"difficulty": 1, "embeddings": 2}
"""What an expert may be asked about all images, and how many axes it has."""


def selection(text: str) -> Callable[..., Any]:
    """The function that chooses images, with the user's arguments filled in."""
    found = spec.resolve(text, *SELECTIONS, ("labels", "ipc", "key"), (*SAID, "given", "pool"))
    return functools.partial(found, given=text.given) if isinstance(text, chosen.Indices) else found


def reads_pool(text: str) -> bool:
    """Whether a selection takes images of an imported set."""
    return "pool" in inspect.signature(selection(text)).parameters


def asked_of_expert(text: str) -> dict[str, int]:
    """What a selection asks an expert about all images, and how many axes it has; nothing, if it asks none."""
    takes = inspect.signature(selection(text)).parameters
    return {name: axes for name, axes in SAID.items() if name in takes}
