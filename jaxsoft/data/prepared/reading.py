"""Opening a prepared dataset: nothing of it is used before all of it was compared with its digests."""

import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsoft import errors, files, types
from jaxsoft.data import refusals
from jaxsoft.data.prepared import manifest as manifests

_READ = 1 << 20  # bytes at a time, which stay in cache
_THREADS = min(8, os.cpu_count() or 1)  # hashing and reading go on without the interpreter's lock


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
        path, counts = folder / f"{array}.npy", manifest.train_counts if "train" in array else manifest.test_counts
        dtype, axes = (np.uint8, 4) if "images" in array else (np.int32, 1)
        try:
            with files.opened(path) as file:
                arrays[array] = mapped = _mapped(file, np.dtype(dtype), axes, sum(counts))
                if not _same(file, mapped, manifest.chunks.get(array) or [manifest.digests[array]]):
                    differ.append(path.name)
                elif axes == 1 and np.bincount(mapped).tolist() != counts:
                    raise ValueError(f"{manifests.NAME} tells of other labels")
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            raise errors.DataError(f"{path} is missing or damaged ({reason}); {remedy}") from None
    images, labels, test_images, test_labels = arrays.values()
    if not differ and images.shape[1:] != test_images.shape[1:]:
        differ = ["train_images.npy or test_images.npy"]
    if differ:
        told = f"{name} in {folder} is damaged: {', '.join(differ)} changed since it was prepared"
        raise errors.DataError(f"{told}; {remedy}")
    return Prepared(types.Split(images, np.array(labels)), types.Split(test_images, np.array(test_labels)), manifest)


def _mapped(file: BufferedReader, dtype: np.dtype, axes: int, count: int) -> np.memmap:
    """The array of a file as a memory map, once all that its header claims is what it must be; else ValueError."""
    try:
        with warnings.catch_warnings(action="error"):  # NumPy warns of some damaged headers, and guesses
            version = np.lib.format.read_magic(file)
            shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a bent header may raise nearly anything in its parser
        raise ValueError("its header is damaged") from None
    start, there = file.tell(), os.fstat(file.fileno()).st_size
    if version != (1, 0) or found != dtype or by_columns or len(shape) != axes or shape[0] != count or min(shape) < 1:
        said = f"it holds {found} of shape {refusals.size(shape)}"
        raise ValueError(f"{said}, not {dtype} of {count} entries with {axes} axes")
    if there != (wanted := start + math.prod(shape) * found.itemsize):
        raise ValueError(f"it has {there:,} bytes instead of {wanted:,}")
    return np.memmap(file, dtype, "r", start, shape)


def _same(file: BufferedReader, mapped: np.memmap, wanted: Sequence[str]) -> bool:
    """Whether an array in a file has the digests wanted: one of all of it, or one for each piece; on all cores."""
    content = range(mapped.offset, mapped.offset + mapped.nbytes)
    step = len(content) if len(wanted) == 1 else manifests.CHUNK

    def digest(piece: range) -> str:
        reads = (piece[at : at + _READ] for at in range(0, len(piece), _READ))
        return files.digest(os.pread(file.fileno(), len(read), read.start) for read in reads)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(digest, [content[at : at + step] for at in range(0, len(content), step)])) == wanted
