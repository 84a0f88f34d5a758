"""Images as their owners publish them, before they are prepared: what the module of a dataset hands over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int32, UInt8

from jaxsoft.data import classes

TEST_SHARE = 0.2  # of each class, where a set has no test split of its own


@dataclass(frozen=True)
class Part:
    """One split that is not decoded yet.

    `read(items[i])` gives image i, uint8 [H, W, C], or clip i, [T, H, W, C]; items are names or numbers and appear in messages.
    `place(items[i])` says to `Published.stored` where its file is; None: this set's images cannot stay in their files.
    """

    labels: Int32[np.ndarray, "N"]
    items: Sequence[Any]
    read: Callable[[Any], UInt8[np.ndarray, "*S C"]]
    place: Callable[[Any], str] | None = None

    def take(self, rows: Int[np.ndarray, "M"]) -> "Part":
        """The same split, only these rows, in this order."""
        return Part(self.labels[rows], [self.items[row] for row in rows], self.read, self.place)


@dataclass(frozen=True)
class Raw:
    """A published dataset: its classes, its two splits, where it comes from and under which terms.

    `origin` is the folder that it was read from where the name does not say which images these are; `notes`, called
    once every image is read, says what was left out and what a user should know, a line each. The last `held` of the
    train images are a validation split that the set has of its own.
    """

    class_names: tuple[str, ...]
    train: Part
    test: Part
    source: str
    licence: str
    origin: str = ""
    notes: Callable[[], list[str]] = list
    held: int = 0


def carve(part: Part, held: Int[np.ndarray, "K"] | None = None) -> tuple[Part, Part]:
    """The images that stay and those split off by the fixed shuffle: `held[k]` of class k, else a fifth of each class."""
    held = classes.portion(part.labels, TEST_SHARE) if held is None else held
    out = classes.held_out(part.labels, held)
    return part.take(np.flatnonzero(~out)), part.take(np.flatnonzero(out))
