"""Opening a prepared dataset: nothing of it is used before all of it was compared with its digests."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsoft import errors, types
from jaxsoft.data.prepared import manifest as manifests
from jaxsoft.data.prepared import mapped
from jaxsoft.data.prepared.manifest import Manifest


class Prepared(NamedTuple):
    """A dataset that is decoded: train in stored order, test, and what is known about them."""

    train: types.Split
    test: types.Split
    manifest: Manifest


def read(folder: Path, name: str, remedy: str = "") -> Prepared:
    """Open a prepared dataset, and compare all of it with its digests; images are memory maps.

    Args:
      folder: where `write` put it.
      name: the dataset; the folder must hold no other.
      remedy: what to do if it is damaged, for messages.

    Raises:
      DataError: a file is missing, or not what it was when it was prepared.
    """
    remedy = remedy or f"prepare {name} again"
    manifest = manifests.read(folder, name, remedy)
    counts = {"train": manifest.train_counts, "test": manifest.test_counts}
    arrays = {}
    with contextlib.ExitStack() as stack:
        for array in manifests.ARRAYS:
            split, _, kind = array.partition("_")
            dtype, axes = (np.uint8, 4) if kind == "images" else (np.int32, 1)
            arrays[array] = _open(folder / f"{array}.npy", dtype, sum(counts[split]), axes, remedy)
            stack.enter_context(arrays[array].file)
        _check(arrays, manifest, f"{name} in {folder}", remedy)
    splits = {
        split: types.Split(arrays[f"{split}_images"].array, np.array(arrays[f"{split}_labels"].array))
        for split in manifests.SPLITS
    }
    for split, part in splits.items():
        if part.labels.min() < 0 or np.bincount(part.labels).tolist() != counts[split]:
            told = f"{folder}: {split} labels and {manifests.NAME} do not belong together"
            raise errors.DataError(f"{told}; {remedy}")
    return Prepared(**splits, manifest=manifest)


def _open(path: Path, dtype: type, count: int, axes: int, remedy: str) -> mapped.Mapped:
    try:
        return mapped.opened(path, dtype, count, axes)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise errors.DataError(f"{path} is missing or damaged ({reason}); {remedy}") from None


def _check(arrays: dict[str, mapped.Mapped], manifest: Manifest, what: str, remedy: str) -> None:
    """Refuse arrays that are not what they were."""
    wanted = manifest.chunks or {array: [digest] for array, digest in manifest.digests.items()}
    try:
        differ = [f"{array}.npy" for array in mapped.differing(arrays, wanted)]
    except OSError as problem:
        raise errors.DataError(f"{what} cannot be read ({problem.strerror}); {remedy}") from None
    if arrays["train_images"].array.shape[1:] != arrays["test_images"].array.shape[1:]:
        differ = differ or ["train_images.npy or test_images.npy"]
    if differ:
        raise errors.DataError(f"{what} is damaged: {', '.join(differ)} changed since it was prepared; {remedy}")
