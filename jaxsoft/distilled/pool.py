"""All images that students may read: those of the train split, then those of every imported set that settings name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int, Int32, Shaped

from jaxsoft.distilled.kept import DistilledSet
from jaxsoft.types import Dataset, Split


class Joined:
    """Images of several arrays as one, of which some are taken: uint8, or float32 in units of [0, 1] if any are floats."""

    def __init__(self, parts: list[np.ndarray]):
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:])
        self.dtype = np.dtype(np.uint8 if all(part.dtype == np.uint8 for part in parts) else np.float32)

    def __getitem__(self, ids: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n *S C"]:
        """The images of these positions."""
        found = np.empty((len(ids), *self.shape[1:]), self.dtype)
        for part, start in zip(self._parts, self._starts):
            here = (start <= ids) & (ids < start + len(part))
            taken = part[ids[here] - start]
            found[here] = taken if taken.dtype == self.dtype else taken / np.float32(255)
        return found


@dataclass(frozen=True)
class Pool(Split):
    """Images and their classes, and by digest each imported set and where it begins."""

    sets: Mapping[str, tuple[int, DistilledSet]] = field(default_factory=dict)

    def table(self, digest: str, ipc: int) -> Int32[np.ndarray, "K ipc"]:
        """Positions of the first images of each class of a set; ConfigError if there are fewer of one."""
        start, own = self.sets[digest]
        return own.table(ipc) + np.int32(start)

    def places(self, digest: str) -> Int32[np.ndarray, "n"]:
        """Positions of all images of a set."""
        start, own = self.sets[digest]
        return np.arange(start, start + len(own.labels), dtype=np.int32)


def of(dataset: Dataset) -> Pool:
    """The pool of a dataset with its imported sets; the train split itself where it has none."""
    train, begun, sets = dataset.train, len(dataset.train), {}
    if not dataset.sets:
        return Pool(train.images, train.labels)
    for digest, own in dataset.sets.items():
        sets[digest] = begun, own
        begun += len(own.labels)
    parts = [one.images for one in (train, *dataset.sets.values())]
    return Pool(Joined(parts), np.concatenate([one.labels for one in (train, *dataset.sets.values())]), sets)
