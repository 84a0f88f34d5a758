"""Batches of a split as they are needed: decoded, cropped and stacked on the host while a device trains on those before.

What a step sees is a function of the seed and its number alone, so nothing is stored for a run that goes on later: the
order of an epoch is drawn from (seed, epoch), the crop of an image from (seed, epoch, image), by Philox, whose numbers
NumPy promises to keep. Grain reads ahead, in threads of this process or of others; its own states are not used.
"""

import functools
import math
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped

from jaxsoft import errors
from jaxsoft.data import encoded
from jaxsoft.types import Split

AHEAD_BYTES = 1 << 29
"""Of images that are made before they are asked for."""
FOREVER = 1 << 40
"""More steps than there will be."""
MOST_THREADS = 8
"""Of a process: Python's own part of an image, a ninth, goes on in one of them at a time."""
_ORDER, _CROP = 0, 1  # what is drawn
_PIECE = 32  # images that a thread makes one after the other

Window = tuple[Shaped[np.ndarray, "S B *S C"], Int32[np.ndarray, "S B"]]
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


def chosen(workers: int, threads: int) -> tuple[int, int]:
    """Processes that decode beside this one, and threads of each; 0: chosen. Without processes, threads of this one.

    A process has eight threads at most; where threads are given and processes are not, there are none.

    >>> chosen(0, 4), chosen(3, 2)
    ((0, 4), (3, 2))
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not workers and not threads and cores > MOST_THREADS:
        workers = -(-cores // MOST_THREADS)
    return workers, threads or max(1, cores // max(1, workers))


@dataclass(frozen=True)
class Source:
    """What steps read of a split.

    Attributes:
      split: its images are `Encoded`, or an array or memory map, which is never cropped.
      batch: images of a step, of all processes together.
      seed: of orders and crops; None: the images in their own order, as evaluation sees them.
      share: (i, n): which rows of every batch this process reads, part i of n equal ones.
    """

    split: Split
    batch: int
    seed: int | None
    share: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.batch % self.share[1]:
            raise errors.ConfigError(f"a batch of {self.batch} images cannot be shared by {self.share[1]} processes")

    @property
    def rows(self) -> int:
        """Images of a step that this process reads."""
        return self.batch // self.share[1]

    @property
    def epoch(self) -> int:
        """Steps of an epoch."""
        return steps_per_epoch(len(self.split), self.batch)

    def at(self, step: int) -> Int[np.ndarray, "b"]:
        """The images of a step; -1 where there is none."""
        epoch, place = divmod(step, self.epoch)
        first = place * self.batch + self.share[0] * self.rows
        count = len(self.split)
        places = np.arange(first, first + self.rows)
        whole = np.arange(count) if self.seed is None else order(self.seed, epoch, count)
        return np.where(places < count, whole[np.minimum(places, count - 1)], -1)

    def labels(self, step: int) -> Int32[np.ndarray, "b"]:
        """Classes of the images of a step; -1 where there is none."""
        rows = self.at(step)
        return np.where(rows >= 0, self.split.labels[rows], -1).astype(np.int32)

    def pixels(self, step: int, rows: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n *S C"]:
        """Images as a step sees them; black where there is none. DataError names one that cannot be read."""
        images = self.split.images
        if not isinstance(images, encoded.Encoded):
            return np.where((rows >= 0).reshape(-1, *[1] * (images.ndim - 1)), images[rows], images.dtype.type(0))
        out = np.empty((len(rows), *images.shape[1:]), np.uint8)
        for place, row in enumerate(rows.tolist()):
            out[place] = self._picture(images, step // self.epoch, row) if row >= 0 else 0
        return out

    def _picture(self, images: encoded.Encoded, epoch: int, row: int) -> np.ndarray:
        return images[row] if self.seed is None else images.view(row, draws(self.seed, epoch, row))


@dataclass(frozen=True)
class _Pieces:
    """The images of all steps from the first on, some at a time: what grain reads by number."""

    source: Source
    first: int
    last: int

    @property
    def each(self) -> int:
        """Pieces of a step."""
        return -(-self.source.rows // _PIECE)

    def __len__(self) -> int:
        return (self.last - self.first) * self.each

    def __getitem__(self, number: int) -> Shaped[np.ndarray, "n *S C"]:
        step, piece = divmod(int(number), self.each)
        rows = self.source.at(self.first + step)[piece * _PIECE : (piece + 1) * _PIECE]
        return self.source.pixels(self.first + step, rows)


def windows(
    split: Split,
    batch: int,
    steps: int,
    seed: int | None,
    first_step: int = 0,
    last_step: int = FOREVER,
    *,
    share: tuple[int, int] = (0, 1),
    workers: int = 0,
    threads: int = 0,
    ahead: int = AHEAD_BYTES,
) -> Generator[Window, None, None]:
    """Windows of a split, one after the other; none crosses the end of an epoch.

    Args:
      split, batch, seed, share: as of `Source`; of an array there are no crops.
      steps: of a window; what an epoch has no steps for is padded.
      first_step: where to begin, counted over all epochs; may lie inside one.
      last_step: where to end (exclusive).
      workers, threads: that decode, see `chosen`; an array is read by threads alone.
      ahead: bytes of images that are made in advance, at least one piece for each thread.

    Raises:
      ConfigError: grain is not installed, or processes cannot share the batch equally.
      DataError: an image cannot be read, or is not what it was; names its place.
    """
    source = Source(split, batch, seed, share)
    pieces = _Pieces(source, first_step, last_step)
    coming = _read_ahead(pieces, *chosen(workers, threads), ahead)
    try:
        step = first_step
        while step < last_step:
            count = min(steps, last_step - step, source.epoch - step % source.epoch)
            images = np.empty((steps, source.rows, *split.images.shape[1:]), split.images.dtype)
            images[count:] = 0
            labels = np.full((steps, source.rows), -1, np.int32)
            for place in range(count):
                labels[place] = source.labels(step + place)
                for piece in range(pieces.each):
                    images[place, piece * _PIECE : (piece + 1) * _PIECE] = _next(coming)
            yield images, labels
            step += count
    finally:
        coming.close()


def _next(coming: Iterator[Any]) -> Shaped[np.ndarray, "n *S C"]:
    """The next piece; what goes wrong is told in one line, without grain's own."""
    try:
        return next(coming)
    except (errors.DataError, RuntimeError) as problem:  # the latter where a process was killed
        raise errors.DataError(str(problem).partition("\n")[0]) from None


def _read_ahead(pieces: _Pieces, workers: int, threads: int, ahead: int) -> Any:
    """Grain's iterator over all pieces; whoever has it closes it."""
    grain = reader()
    images, processes = pieces.source.split.images, max(1, workers)
    size = _PIECE * math.prod(images.shape[1:]) * images.dtype.itemsize
    buffer = max(threads, ahead // size // processes)
    read = grain.MapDataset.source(pieces).to_iter_dataset(grain.ReadOptions(threads, buffer))
    if workers and isinstance(images, encoded.Encoded):
        options = grain.multiprocessing.MultiprocessingOptions(workers, max(1, buffer // 2))
        read = read.mp_prefetch(options, functools.partial(_begin, os.getpid()))
    return iter(read)


def reader() -> Any:
    """Grain, which reads ahead; ConfigError with the command that installs it if it is not here."""
    try:
        import grain
    except ImportError:
        raise errors.ConfigError(f"streamed images need grain: {errors.install('stream')}") from None
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # else its processes begin in scripts of absl alone
    return grain


def _begin(parent: int, _: int, __: int) -> None:
    """What a process that decodes does first: signals are its parent's, without whom it ends."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
    threading.Thread(target=_outlive, args=(parent,), daemon=True).start()


def _outlive(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
