"""Opening a prepared dataset: nothing of it is used before all of it was compared with its digests."""

import itertools
import json
import math
import os
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import errors, files, types
from jaxsoft.data import encoded, refusals

FORMAT = 2
MANIFEST = "dataset.json"
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
CHUNK = 1 << 24  # bytes of a piece of an array that has a digest of its own; part of the format

_MAX_BYTES = 1 << 26  # of the description
_READ = 1 << 20  # bytes at a time, which stay in cache
_THREADS = min(8, os.cpu_count() or 1)  # hashing and reading go on without the interpreter's lock


@dataclass(frozen=True)
class Manifest:
    """What the JSON file says, sealed with its own digest; it is believed only if all of it makes sense.

    `digests` are SHA-256 in hex, one for each array without its header; `chunks` those of its pieces of `CHUNK` bytes, which
    can be checked at once. Format 1 has no chunks and no seal. `raw.Raw` has origin, notes and `held`, which is written if
    it is not 0. `encoded`, written if images stay in their files below `origin`: their side as they are
    seen, and the bytes of their longest place; the arrays of images then hold `entries`.
    """

    name: str
    class_names: list[str]
    train_counts: list[int]
    test_counts: list[int]
    digests: dict[str, str]
    source: str
    licence: str
    format: int = FORMAT
    chunks: dict[str, list[str]] = field(default_factory=dict)
    origin: str = ""
    notes: list[str] = field(default_factory=list)
    held: int = 0
    encoded: dict[str, int] = field(default_factory=dict)

    def text(self) -> bytes:
        """The content of the file."""
        told = {key: value for key, value in asdict(self).items() if value or key not in ("held", "encoded")}
        return (json.dumps({**told, "seal": files.seal(told)["sha256"]}, indent=1) + "\n").encode()


class Prepared(NamedTuple):
    """A dataset: train in stored order, test, and what is known about them; images that stay in their files are entries."""

    train: types.Split
    test: types.Split
    manifest: Manifest


def read(folder: Path, name: str, remedy: str = "") -> Prepared:
    """Open a prepared dataset of this name, and compare all of it with its digests; images are memory maps.

    Raises:
      DataError: a file is missing, or not what it was when it was prepared, or of another set; it ends with the remedy.
    """
    remedy, path = remedy or f"prepare {name} again", folder / MANIFEST
    with refusals.naming(f"{path} is damaged", remedy):
        told = json.loads(files.read(path, _MAX_BYTES))
        form, seal = told["format"], told.pop("seal", None)
        if type(form) is int and form not in (1, FORMAT):
            raise errors.DataError(f"{path} has format {form}, wanted {FORMAT}; {remedy}")
        if not _makes_sense(told) or (form > 1 and seal != files.seal(told)["sha256"]):
            raise ValueError("what it says makes no sense")
        manifest = Manifest(**told)
    if manifest.name != name:
        raise errors.DataError(f"{folder} holds {errors.shown(manifest.name)}, not {name}; {remedy}")
    arrays, differ = {}, []
    for array in ARRAYS:
        path, counts = folder / f"{array}.npy", manifest.train_counts if "train" in array else manifest.test_counts
        dtype, axes = _kind(array, manifest)
        with refusals.naming(f"{path} is missing or damaged", remedy), files.opened(path) as file:
            arrays[array] = mapped = _mapped(file, dtype, axes, sum(counts))
            if not _same(file, mapped, manifest.chunks.get(array) or [manifest.digests[array]]):
                differ.append(path.name)
            elif "labels" in array and np.bincount(mapped).tolist() != counts:
                raise ValueError(f"{MANIFEST} tells of other labels")
    images, labels, test_images, test_labels = arrays.values()
    if not differ and images.shape[1:] != test_images.shape[1:]:
        differ = ["train_images.npy or test_images.npy"]
    if differ:
        told = f"{name} in {folder} is damaged: {', '.join(differ)} changed since it was prepared"
        raise errors.DataError(f"{told}; {remedy}")
    return Prepared(types.Split(images, np.array(labels)), types.Split(test_images, np.array(test_labels)), manifest)


def _kind(array: str, manifest: Manifest) -> tuple[np.dtype, tuple[int, ...]]:
    """The type of an array, and how many axes it may have."""
    if "labels" in array:
        return np.dtype(np.int32), (1,)
    if manifest.encoded:
        return encoded.entries(manifest.encoded["width"]), (1,)
    return np.dtype(np.uint8), (4, 5)


def glimpse(folder: Path) -> dict[str, Any]:
    """What the description of a prepared set says, for messages: nothing in it was checked; empty if it cannot be read."""
    try:
        found = json.loads(files.read(folder / MANIFEST, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def origin(folder: Path) -> str:
    """The folder that prepared images were read from; "" if there are none, or their name says what they are."""
    return str(glimpse(folder).get("origin", ""))


def _makes_sense(told: dict[str, Any]) -> bool:
    """Whether every entry is of its type and they fit each other; arithmetic on what is not could do anything."""
    names, train, test = told["class_names"], told["train_counts"], told["test_counts"]
    digests, chunks, notes = told["digests"], told.get("chunks", {}), told.get("notes", [])
    texts = told["name"], told["source"], told["licence"], told.get("origin", ""), *names, *notes
    return (
        all(type(entry) is list for entry in (names, train, test, *chunks.values()))
        and all(type(text) is str for text in itertools.chain(texts, *chunks.values()))
        and all(type(count) is int for count in (*train, *test))
        and len(names) == len(train) >= len(test)
        and type(held := told.get("held", 0)) is int
        and min(train) > 0
        and 0 <= held < sum(train)
        and min(test) >= 0 < sum(test)
        and type(kept := told.get("encoded", {})) is dict
        and (not kept or kept.keys() == {"side", "width"})
        and all(type(number) is int and number > 0 for number in kept.values())
        and digests.keys() == set(ARRAYS)
        and all(type(digest) is str and re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
        and chunks.keys() == (set(ARRAYS) if told["format"] > 1 else set())
        and all(chunks.values())
    )


def _mapped(file: BufferedReader, dtype: np.dtype, axes: tuple[int, ...], count: int) -> np.memmap:
    """The array of a file as a memory map, once all that its header claims is what it must be; else ValueError."""
    try:
        with warnings.catch_warnings(action="error"):  # NumPy warns of some damaged headers, and guesses
            version = np.lib.format.read_magic(file)
            shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a bent header may raise nearly anything in its parser
        raise ValueError("its header is damaged") from None
    start, there = file.tell(), os.fstat(file.fileno()).st_size
    if (
        version != (1, 0)
        or found != dtype
        or by_columns
        or len(shape) not in axes
        or shape[0] != count
        or min(shape) < 1
    ):
        said = f"it holds {found} of shape {refusals.size(shape)}"
        raise ValueError(f"{said}, not {dtype} of {count} entries with {' or '.join(map(str, axes))} axes")
    if there != (wanted := start + math.prod(shape) * found.itemsize):
        raise ValueError(f"it has {there:,} bytes instead of {wanted:,}")
    return np.memmap(file, dtype, "r", start, shape)


def _same(file: BufferedReader, mapped: np.memmap, wanted: Sequence[str]) -> bool:
    """Whether an array in a file has the digests wanted: one of all of it, or one for each piece; on all cores."""
    content = range(mapped.offset, mapped.offset + mapped.nbytes)
    step = len(content) if len(wanted) == 1 else CHUNK

    def digest(piece: range) -> str:
        reads = (piece[at : at + _READ] for at in range(0, len(piece), _READ))
        return files.digest(os.pread(file.fileno(), len(read), read.start) for read in reads)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(digest, [content[at : at + step] for at in range(0, len(content), step)])) == wanted
