"""The datasets there are: this package is the registry, and nothing else has to know a dataset's name.

A dataset is an entry of `SETS`, a dictionary by names, in a module of this package.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxsoft.data import raw


class Published(NamedTuple):
    """What is known of a dataset before any of it is read.

    Attributes:
      title, source: what it is, where from.
      files: what a user has to place where `find` looks; "" when the images travel with a library.
      side: the images' side in pixels, None when it is the user's choice.
      find: the published files below a folder, or None; the text is what follows the colon of `tfds:mnist`.
      read: what was found, the images still to be decoded; the number is the side that the user chose.
      has_frames: whether these are clips of which a user chooses the number of frames, which `read` takes too.
      counts: classes, and colour images of each in the train and the test split, where that is known.
      stored: of the folder that images stay in where they are kept encoded, what gives the bytes at a `Part.place`.
    """

    title: str
    source: str
    files: str
    side: int | None
    find: Callable[[Path, str], Path | None]
    read: Callable[..., raw.Raw]
    has_frames: bool = False
    counts: tuple[int, int, int] | None = None
    stored: Callable[[Path], Callable[[str], bytes]] | None = None


def published() -> dict[str, Published]:
    """Every dataset by its name."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {name: one for module in modules for name, one in module.SETS.items()}
