"""Many images decoded by threads; those that cannot be used are gathered, so that one error names all of them."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.pool import ThreadPool
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
        tried = (self._image(part, item) for item in part.items)
        self.shape: tuple[int, ...] = next((image.shape for image in tried if image is not None), ())
        if not self.shape:
            self.refuse()
        self._damaged.clear()  # they are looked at once more

    def blocks(self, part: raw.Part) -> Iterator[UInt8[np.ndarray, "N H W C"]]:
        """The pixels of a split, block by block; images of another shape end it, so that the wait is short."""
        most = max(1, _BLOCK_BYTES // math.prod(self.shape))
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
            usual = self._looked - len(self._damaged) - sum(map(len, self._others.values()))
            ranked = sorted(self._others.items(), key=lambda item: -len(item[1]))
            others = [f"{len(names):,} of {refusals.size(kind)} ({errors.shown(min(names))})" for kind, names in ranked]
            sizes = refusals.listed([f"{usual:,} of {refusals.size(self.shape)}", *others], _SIZES)
            told.append(f"images differ in size: {sizes}; pass --resize=SIDE (from Python: resize=SIDE)")
        if told:
            raise errors.DataError("; ".join(told))

    def _decoded(self, part: raw.Part, items: Sequence[Any]) -> UInt8[np.ndarray, "N H W C"]:
        images = np.empty((len(items), *self.shape), np.uint8)

        def fill(row: int) -> None:
            image = self._image(part, items[row])
            if image is not None and image.shape == self.shape:
                images[row] = image
            elif image is not None:
                self._others.setdefault(image.shape, []).append(str(items[row]))

        with warnings.catch_warnings(), ThreadPool(_THREADS) as pool:
            warnings.filterwarnings("ignore", module="PIL")  # what it warns of is either an error or harmless
            pool.map(fill, range(len(items)), _TASK)
        self._looked += len(items)
        return images

    def _image(self, part: raw.Part, item: Any) -> UInt8[np.ndarray, "H W C"] | None:
        """The image, or None for a damaged one."""
        try:
            return part.read(item)
        except errors.DataError as problem:
            self._damaged.append(str(problem))
            return None
