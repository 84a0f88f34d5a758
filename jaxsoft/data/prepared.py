"""The prepared form of a dataset: an image and a label array per split, and one JSON file that is written last.

A folder without `dataset.json` is not prepared, whatever else lies in it. Train rows are stored in the order of
`classes.spread`, so that what `load` cuts from them are plain slices of the memory map.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxsoft import errors, types
from jaxsoft.data import classes, raw

FORMAT = 1
MANIFEST = "dataset.json"
_SPLITS = ("train", "test")
_ARRAYS = tuple(f"{split}_{kind}" for split in _SPLITS for kind in ("images", "labels"))
_BLOCK_BYTES = 1 << 25  # decoded before it is written; bounds the memory
_TASK = 64  # images that a thread decodes at a time
_THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes without the interpreter's lock, but opens files under it

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Manifest:
    """What the JSON file says; `digests` are SHA-256 in hex, one for each array."""

    name: str
    class_names: list[str]
    train_counts: list[int]
    test_counts: list[int]
    digests: dict[str, str]
    source: str
    licence: str
    format: int = FORMAT


class Prepared(NamedTuple):
    """A dataset that is decoded: train in stored order, test, and what is known about them."""

    train: types.Split
    test: types.Split
    manifest: Manifest


def write(found: raw.Raw, folder: Path, name: str, progress: Progress | None = None) -> None:
    """Decode a dataset into `folder`, in the place of what an earlier or interrupted run left there.

    Args:
      found: the published images.
      folder: where to write; made if needed.
      name: the dataset, for the manifest.
      progress: called with (images done, images in all).

    Raises:
      DataError: an image is unreadable or of another size, a class is empty, the disk is full or read-only, or another
        process is preparing the same folder.
    """
    found = _checked(found, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _write_arrays(found, folder, progress)
            digests = {array: digest(_partial(folder / f"{array}.npy")) for array in _ARRAYS}
            (folder / MANIFEST).unlink(missing_ok=True)  # old description, new arrays: never both
            for array in _ARRAYS:
                os.replace(_partial(folder / f"{array}.npy"), folder / f"{array}.npy")
            _write_manifest(folder, _describe(found, name, digests))
    except OSError as problem:
        raise errors.DataError(f"cannot write {problem.filename or folder}: {problem.strerror or problem}") from None


def hold(found: raw.Raw, name: str) -> Prepared:
    """Decode a small dataset into memory, exactly as `write` and `read` would by way of the disk."""
    found = _checked(found, name)
    shape = found.train.read(found.train.items[0]).shape
    with ThreadPoolExecutor(1) as pool:
        train, test = (
            types.Split(_decode(part, part.items, shape, pool), part.labels) for part in (found.train, found.test)
        )
    contents = (train.images, train.labels, test.images, test.labels)
    digests = {array: hashlib.sha256(content.tobytes()).hexdigest() for array, content in zip(_ARRAYS, contents)}
    return Prepared(train, test, _describe(found, name, digests))


def read(folder: Path, name: str) -> Prepared:
    """Open a prepared dataset; images are memory maps.

    Args:
      folder: where `write` put it.
      name: the dataset, for messages.

    Raises:
      DataError: a file is missing, cut short, or not what the manifest says.
    """
    manifest = _read_manifest(folder, name)
    splits = []
    for split in _SPLITS:
        images = _open(folder / f"{split}_images.npy", np.uint8)
        labels = np.array(_open(folder / f"{split}_labels.npy", np.int32))
        known = labels.ndim == 1 and labels.max(initial=0) < len(
            manifest.class_names
        )  # else the counts could fill memory
        counts = np.bincount(np.maximum(labels, 0)).tolist() if known else []
        if images.ndim != 4 or len(images) != len(labels) or counts != getattr(manifest, f"{split}_counts"):
            raise errors.DataError(f"{folder}: {split} images, labels and {MANIFEST} do not belong together")
        splits.append(types.Split(images, labels))
    return Prepared(splits[0], splits[1], manifest)


def verify(folder: Path, name: str) -> None:
    """Compare a prepared dataset, byte by byte, with its manifest; DataError names the files that differ."""
    manifest = read(folder, name).manifest
    differ = [f"{array}.npy" for array in _ARRAYS if digest(folder / f"{array}.npy") != manifest.digests[array]]
    if differ:
        raise errors.DataError(f"{name} in {folder} is damaged: {', '.join(differ)} changed since it was prepared")


def digest(path: Path) -> str:
    """SHA-256 of an array file's content without its header, in hex."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(found: raw.Raw, name: str) -> raw.Raw:
    """The dataset with its train rows in stored order, if it has what a dataset needs."""
    for split, part in (("train", found.train), ("test", found.test)):
        if len(part.labels) == 0 or not 0 <= part.labels.min() <= part.labels.max() < len(found.class_names):
            raise errors.DataError(f"{name}: the {split} split is empty or has labels beyond its class names")
    counts = np.bincount(found.train.labels, minlength=len(found.class_names))
    if not counts.all():
        empty = int(np.argmin(counts))
        raise errors.DataError(f"{name}: class {empty} ({found.class_names[empty]}) has no train images")
    return replace(found, train=found.train.take(classes.spread(found.train.labels)))


def _describe(found: raw.Raw, name: str, digests: dict[str, str]) -> Manifest:
    train, test = (np.bincount(part.labels).tolist() for part in (found.train, found.test))
    return Manifest(name, list(found.class_names), train, test, digests, found.source, found.licence)


def _write_arrays(found: raw.Raw, folder: Path, progress: Progress | None) -> None:
    total, done = len(found.train.items) + len(found.test.items), 0
    shape = found.train.read(found.train.items[0]).shape
    with ThreadPoolExecutor(_THREADS) as pool:
        for split, part in (("train", found.train), ("test", found.test)):
            with _new(folder / f"{split}_labels.npy") as file:
                np.lib.format.write_array(file, part.labels.astype("<i4"), version=(1, 0))
            with _new(folder / f"{split}_images.npy") as file:
                for images in _blocks(file, part, shape, pool):
                    done += len(images)
                    if progress:
                        progress(done, total)


def _blocks(file: BinaryIO, part: raw.Part, shape: tuple[int, ...], pool: Executor) -> Iterator[np.ndarray]:
    """Decode a split into an open file, block by block."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(part.items), *shape)}
    np.lib.format.write_array_header_1_0(file, header)
    block = max(1, _BLOCK_BYTES // int(np.prod(shape)))
    for start in range(0, len(part.items), block):
        images = _decode(part, part.items[start : start + block], shape, pool)
        file.write(images.data)
        yield images


def _decode(part: raw.Part, items: Sequence[Any], shape: tuple[int, ...], pool: Executor) -> np.ndarray:
    """Images of one shape, [N, H, W, C]."""
    images = np.empty((len(items), *shape), np.uint8)

    def fill(rows: range) -> None:
        for row in rows:
            image = part.read(items[row])
            if image.shape != shape:
                sizes = " and ".join("x".join(map(str, s)) for s in (image.shape, shape))
                raise errors.DataError(f"{items[row]} and the first image differ in size ({sizes}); pass resize=SIDE")
            images[row] = image

    list(pool.map(fill, [range(start, min(start + _TASK, len(items))) for start in range(0, len(items), _TASK)]))
    return images


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name whose bytes are on the disk when it is closed."""
    with open(_partial(path), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    with _new(folder / MANIFEST) as file:
        file.write((json.dumps(asdict(manifest), indent=1) + "\n").encode())
    os.replace(_partial(folder / MANIFEST), folder / MANIFEST)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when the process ends, however it ends."""
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.DataError(f"another process is preparing {folder}") from None
        yield


def _read_manifest(folder: Path, name: str) -> Manifest:
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        if content["format"] != FORMAT:
            raise errors.DataError(f"{folder} has format {content['format']}, wanted {FORMAT}; prepare {name} again")
        manifest = Manifest(**content)
        if set(manifest.digests) != set(_ARRAYS) or len(manifest.class_names) != len(manifest.train_counts):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise errors.DataError(f"{folder / MANIFEST} is damaged; prepare {name} again") from None
    return manifest


def _open(path: Path, dtype: type) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype != dtype:
            raise ValueError(f"it holds {array.dtype}, not {dtype.__name__}")
    except Exception as problem:  # damage can surface anywhere in the reader of headers, even in its tokenizer
        reason = " ".join(str(problem).split())
        raise errors.DataError(f"{path} is missing or damaged ({reason}); prepare the dataset again") from None
    return array
