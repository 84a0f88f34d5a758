"""Batches of a split as they are needed: decoded, cropped and stacked on the host while a device trains on those before.

What a step sees is a function of the seed and its number alone: nothing is to be stored for a run that goes on later. The
order of an epoch is drawn from (seed, epoch), the crop of an image from (seed, epoch, image): by Philox, whose numbers
NumPy promises to keep.
"""

import functools
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from jaxsoft import errors
from jaxsoft.data import encoded
from jaxsoft.types import Split

AHEAD_BYTES = 1 << 29
"""Of windows that are made before they are asked for; one is, however large."""
_ORDER, _CROP = 0, 1  # what is drawn

Window = tuple[UInt8[np.ndarray, "S B *S C"], Int32[np.ndarray, "S B"]]
"""Images and labels of S steps; label -1 marks what pads the last batch of an epoch, and the steps that follow it."""


def steps_per_epoch(images: int, batch: int) -> int:
    """How many batches an epoch has; the last may be smaller."""
    return -(-images // batch)


@functools.lru_cache(maxsize=2)
def order(seed: int, epoch: int, images: int) -> Int[np.ndarray, "N"]:
    """In which order an epoch sees the images."""
    return np.argsort(_raw(seed, _ORDER, epoch, 0, images), kind="stable")


def draws(seed: int, epoch: int, image: int) -> Float[np.ndarray, "d"]:
    """What decides the crop of an image in an epoch: numbers in [0, 1)."""
    return (_raw(seed, _CROP, epoch, image, encoded.DRAWS) >> np.uint64(11)) * 2.0**-53


def _raw(seed: int, what: int, epoch: int, image: int, count: int) -> np.ndarray:
    return np.random.Philox(key=[seed, what], counter=[0, 0, image, epoch]).random_raw(count)


def windows(
    split: Split,
    batch: int,
    steps: int,
    seed: int,
    first_step: int = 0,
    last_step: int | None = None,
    *,
    share: tuple[int, int] = (0, 1),
    threads: int = 0,
    ahead: int = AHEAD_BYTES,
) -> Iterator[Window]:
    """Windows of a split, one after the other; none crosses the end of an epoch.

    Args:
      split: its images are `Encoded`, and cropped, or an array or memory map of uint8, and taken as they are.
      batch: images of a step, of all processes together.
      steps: of a window; what an epoch has no steps for is padded.
      seed: of orders and crops.
      first_step: where to begin, counted over all epochs; may lie inside one.
      last_step: where to end (exclusive); None: never.
      share: (i, n): which rows of every batch this process reads, part i of n equal ones.
      threads: that decode; 0: one for each core.
      ahead: bytes of windows that are made in advance.

    Raises:
      DataError: an image cannot be read, or is not what it was; names its file and class.
      ValueError: processes cannot share the batch equally.
    """
    if batch % share[1]:
        raise ValueError(f"a batch of {batch} cannot be shared by {share[1]} processes")
    reader = _Reader(split, batch, steps, seed, share)
    size = steps * (batch // share[1]) * math.prod(split.images.shape[1:])
    pool, coming = ThreadPoolExecutor(threads or os.cpu_count() or 1), deque[tuple[Window, list[Future]]]()
    try:
        for first in reader.starts(first_step, last_step):
            coming.append(reader.begin(pool, first, last_step))
            if len(coming) > max(1, ahead // size):
                yield _finished(coming.popleft())
        while coming:
            yield _finished(coming.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(begun: tuple[Window, list[Future]]) -> Window:
    window, parts = begun
    for part in parts:
        part.result()
    return window


class _Reader(NamedTuple):
    """What is read of a split at each step."""

    split: Split
    batch: int
    steps: int
    seed: int
    share: tuple[int, int]

    @property
    def epoch_steps(self) -> int:
        return steps_per_epoch(len(self.split), self.batch)

    def starts(self, first: int, last: int | None) -> Iterator[int]:
        """The first step of each window."""
        while last is None or first < last:
            yield first
            first = min(first + self.steps, (first // self.epoch_steps + 1) * self.epoch_steps)

    def begin(self, pool: ThreadPoolExecutor, first: int, last: int | None) -> tuple[Window, list[Future]]:
        """A window, and the work that fills it."""
        epoch, at = divmod(first, self.epoch_steps)
        count = min(self.steps, self.epoch_steps - at, *([] if last is None else [last - first]))
        rows = self._rows(epoch, at, count)
        labels = np.where(rows >= 0, self.split.labels[rows], -1).astype(np.int32)
        images = np.zeros((*rows.shape, *self.split.images.shape[1:]), np.uint8)
        flat, known = images.reshape(-1, *images.shape[2:]), rows.ravel()

        def fill(place: int) -> None:
            flat[place] = self._image(epoch, int(known[place]))

        return (images, labels), [pool.submit(fill, place) for place in np.flatnonzero(known >= 0).tolist()]

    def _rows(self, epoch: int, at: int, count: int) -> Int[np.ndarray, "S b"]:
        """The images of this process in so many steps of an epoch; -1 where there is none."""
        shuffled = order(self.seed, epoch, len(self.split))[at * self.batch : (at + count) * self.batch]
        rows = np.full(self.steps * self.batch, -1, np.int64)
        rows[: len(shuffled)] = shuffled
        own = self.batch // self.share[1]
        return rows.reshape(self.steps, self.batch)[:, self.share[0] * own :][:, :own]

    def _image(self, epoch: int, row: int) -> np.ndarray:
        images = self.split.images
        if not isinstance(images, encoded.Encoded):
            return images[row]
        try:
            return images.view(row, draws(self.seed, epoch, row))
        except errors.DataError as problem:
            raise errors.DataError(f"{problem} (class {self.split.labels[row]})") from None
