"""Many images decoded by threads; those that cannot be used are gathered, so that one error names all of them."""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals

Shape = tuple[int, ...]

_SIZES = 6  # that are listed
_TASK = 64  # images that a thread decodes at a time
_THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes without the interpreter's lock, but opens files under it


class Problems:
    """What stands against a set of images of one shape."""

    def __init__(self, wanted: Shape):
        self.wanted = wanted
        self.looked = 0  # images that were decoded, or tried to be
        self.damaged: list[str] = []  # what is wrong with those that cannot be
        self.others: dict[Shape, list[str]] = {}  # names of those that have another shape

    def refuse(self) -> None:
        """Raise DataError, in one line, if anything does."""
        count = f"{len(self.damaged):,} images are damaged: " * (len(self.damaged) > 1)
        told = [count + refusals.listed(sorted(self.damaged), separator="; ")] if self.damaged else []
        if self.others:
            told.append(f"images differ in size: {self._sizes()}; pass --resize=SIDE (from Python: resize=SIDE)")
        if told:
            raise errors.DataError("; ".join(told))

    def _sizes(self) -> str:
        usual = self.looked - len(self.damaged) - sum(map(len, self.others.values()))
        ranked = sorted(self.others.items(), key=lambda item: -len(item[1]))
        others = [f"{len(names):,} of {refusals.size(kind)} ({errors.shown(min(names))})" for kind, names in ranked]
        return refusals.listed([f"{usual:,} of {refusals.size(self.wanted)}", *others], _SIZES)


@contextmanager
def threads() -> Iterator[Executor]:
    """Threads that decode; what Pillow warns of is either an error or harmless."""
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        yield pool


def shape(part: raw.Part) -> Shape:
    """Height, width and channels of the first image that can be read; DataError names all if none can."""
    problems = Problems(())
    for item in part.items:
        try:
            return part.read(item).shape
        except errors.DataError as problem:
            problems.damaged.append(str(problem))
    problems.refuse()
    raise errors.DataError("there is no image")


def decode(part: raw.Part, items: Sequence[Any], pool: Executor, problems: Problems) -> UInt8[np.ndarray, "N H W C"]:
    """These images of a split as pixels, [N, H, W, C]; rows of what `problems` takes in are unspecified."""
    images = np.empty((len(items), *problems.wanted), np.uint8)

    def fill(rows: range) -> None:
        for row in rows:
            try:
                image = part.read(items[row])
            except errors.DataError as problem:
                problems.damaged.append(str(problem))
                continue
            if image.shape == problems.wanted:
                images[row] = image
            else:
                problems.others.setdefault(image.shape, []).append(str(items[row]))

    everything = range(len(items))
    list(pool.map(fill, [everything[start : start + _TASK] for start in everything[::_TASK]]))
    problems.looked += len(items)
    return images
