"""Opening a prepared dataset: nothing of it is used before all of it was compared with its digests."""

import math
import os
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxsoft import errors, files, types
from jaxsoft.data import refusals
from jaxsoft.data.prepared import digests
from jaxsoft.data.prepared import manifest as manifests


class Prepared(NamedTuple):
    """A dataset that is decoded: train in stored order, test, and what is known about them."""

    train: types.Split
    test: types.Split
    manifest: manifests.Manifest


def read(folder: Path, name: str, remedy: str = "") -> Prepared:
    """Open a prepared dataset of this name, and compare all of it with its digests; images are memory maps.

    Raises:
      DataError: a file is missing, or not what it was when it was prepared, or of another set; it ends with the remedy.
    """
    remedy = remedy or f"prepare {name} again"
    manifest = manifests.read(folder, name, remedy)
    arrays, differ = {}, []
    for array in manifests.ARRAYS:
        path = folder / f"{array}.npy"
        try:
            with files.opened(path) as file:
                arrays[array] = mapped = _mapped(file, array, manifest)
                content = range(mapped.offset, mapped.offset + mapped.nbytes)
                if not digests.same(file, content, manifest.chunks.get(array) or [manifest.digests[array]]):
                    differ.append(path.name)
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            raise errors.DataError(f"{path} is missing or damaged ({reason}); {remedy}") from None
    if arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        differ = differ or ["train_images.npy or test_images.npy"]
    if differ:
        told = f"{name} in {folder} is damaged: {', '.join(differ)} changed since it was prepared"
        raise errors.DataError(f"{told}; {remedy}")
    splits = {}
    for split in manifests.SPLITS:
        images, labels = arrays[f"{split}_images"], np.array(arrays[f"{split}_labels"])
        if labels.min() < 0 or np.bincount(labels).tolist() != manifest.counts(split):
            told = f"{folder}: {split} labels and {manifests.NAME} do not belong together"
            raise errors.DataError(f"{told}; {remedy}")
        splits[split] = types.Split(images, labels)
    return Prepared(**splits, manifest=manifest)


def _mapped(file: BinaryIO, array: str, manifest: manifests.Manifest) -> np.memmap:
    """The array of a file as a memory map, once all that its header claims is what it must be; else ValueError."""
    split, _, kind = array.partition("_")
    dtype, axes = (np.uint8, 4) if kind == "images" else (np.int32, 1)
    count = sum(manifest.counts(split))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of some damaged headers, and guesses
            version = np.lib.format.read_magic(file)
            shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a bent header may raise nearly anything in its parser
        raise ValueError("its header is damaged") from None
    start, there = file.tell(), os.fstat(file.fileno()).st_size
    if version != (1, 0) or found != dtype or by_columns or len(shape) != axes or shape[0] != count or min(shape) < 1:
        said = f"it holds {found} of shape {refusals.size(shape)}"
        raise ValueError(f"{said}, not {np.dtype(dtype)} of {count} entries with {axes} axes")
    if there != (wanted := start + math.prod(shape) * found.itemsize):
        raise ValueError(f"it has {there:,} bytes instead of {wanted:,}")
    return np.memmap(file, dtype, "r", start, shape)
