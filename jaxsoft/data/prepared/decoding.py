"""Many images decoded by threads; those that cannot be used are gathered, so that one error names all of them."""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals

_SIZES = 6  # that are listed
_BLOCK_BYTES = 1 << 25  # decoded before it is handed on; bounds the memory
_TASK = 64  # images that a thread decodes at a time
_THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes without the interpreter's lock, but opens files under it


class Decoder:
    """Decodes images of the shape of the first one that can be read; DataError if there is none."""

    def __init__(self, part: raw.Part):
        self._looked = 0  # images that were decoded, or tried to be
        self._damaged: list[str] = []  # what is wrong with those that cannot be
        self._others: dict[tuple[int, ...], list[str]] = {}  # names of those that have another shape
        for item in part.items:
            try:
                self.shape = part.read(item).shape
            except errors.DataError as problem:
                self._damaged.append(str(problem))
            else:
                self._damaged.clear()  # they are looked at once more
                return
        self.refuse()
        raise errors.DataError("there is no image")

    def blocks(self, part: raw.Part) -> Iterator[UInt8[np.ndarray, "N H W C"]]:
        """The pixels of a split, block by block; images of another shape end it, so that the wait is short."""
        most = max(1, _BLOCK_BYTES // int(np.prod(self.shape)))
        for start in range(0, len(part.items), most):
            images = self._decoded(part, part.items[start : start + most])
            if self._others:
                self.refuse()
            yield images

    def refuse(self) -> None:
        """Raise DataError, in one line, if an image is damaged or of another shape; its pixels are unspecified."""
        count = f"{len(self._damaged):,} images are damaged: " * (len(self._damaged) > 1)
        told = [count + refusals.listed(sorted(self._damaged), separator="; ")] if self._damaged else []
        if self._others:
            told.append(f"images differ in size: {self._sizes()}; pass --resize=SIDE (from Python: resize=SIDE)")
        if told:
            raise errors.DataError("; ".join(told))

    def _sizes(self) -> str:
        usual = self._looked - len(self._damaged) - sum(map(len, self._others.values()))
        ranked = sorted(self._others.items(), key=lambda item: -len(item[1]))
        others = [f"{len(names):,} of {refusals.size(kind)} ({errors.shown(min(names))})" for kind, names in ranked]
        return refusals.listed([f"{usual:,} of {refusals.size(self.shape)}", *others], _SIZES)

    def _decoded(self, part: raw.Part, items: Sequence[Any]) -> UInt8[np.ndarray, "N H W C"]:
        images = np.empty((len(items), *self.shape), np.uint8)

        def fill(rows: range) -> None:
            for row in rows:
                try:
                    image = part.read(items[row])
                except errors.DataError as problem:
                    self._damaged.append(str(problem))
                    continue
                if image.shape == self.shape:
                    images[row] = image
                else:
                    self._others.setdefault(image.shape, []).append(str(items[row]))

        everything = range(len(items))
        with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
            warnings.filterwarnings("ignore", module="PIL")  # what it warns of is either an error or harmless
            list(pool.map(fill, [everything[start : start + _TASK] for start in everything[::_TASK]]))
        self._looked += len(items)
        return images
