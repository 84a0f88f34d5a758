"""Decoding a published dataset into arrays: on the disk, in the place of what was there, or in memory if it is small."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np

from jaxsoft import errors, files, types
from jaxsoft.data import classes, raw, refusals
from jaxsoft.data.prepared import decoding, digests
from jaxsoft.data.prepared import manifest as manifests
from jaxsoft.data.prepared.reading import Prepared

_BLOCK_BYTES = 1 << 25  # decoded before it is written; bounds the memory

Progress = Callable[[int, int], None]


def write(found: raw.Raw, folder: Path, name: str, progress: Progress | None = None) -> manifests.Manifest:
    """Decode a dataset into a folder, in the place of what an earlier or interrupted run left there; progress is told.

    Raises:
      DataError: images are unreadable or of several sizes, a class is empty, the disk is full or read-only, another
        process is preparing the same folder, or it holds images of another origin.
    """
    found = _checked(found, name)
    _check_origin(found, folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder), contextlib.ExitStack() as placing:
            files.sweep(folder)
            arrays = {
                array: placing.enter_context(files.replacing(folder / f"{array}.npy")) for array in manifests.ARRAYS
            }
            _write_arrays(found, folder, arrays, progress)
            manifest = _describe(found, name, [digests.of_file(Path(file.name)) for file in arrays.values()])
            (folder / manifests.NAME).unlink(missing_ok=True)  # old description, new arrays: never both
            placing.close()
            files.replace(folder / manifests.NAME, manifests.text(manifest))
    except OSError as problem:
        where = errors.shown(str(problem.filename or folder))
        raise errors.DataError(f"cannot write {where}: {problem.strerror or problem}") from None
    return manifest


def hold(found: raw.Raw, name: str) -> Prepared:
    """Decode a small dataset into memory, exactly as `write` and `read` would by way of the disk."""
    found = _checked(found, name)
    problems = decoding.Problems(decoding.shape(found.train))
    with ThreadPoolExecutor(1) as pool:
        parts = (found.train, found.test)
        train, test = (types.Split(decoding.decode(part, part.items, pool, problems), part.labels) for part in parts)
    problems.refuse()
    contents = (train.images, train.labels, test.images, test.labels)
    return Prepared(train, test, _describe(found, name, [digests.of_bytes(content.tobytes()) for content in contents]))


def _checked(found: raw.Raw, name: str) -> raw.Raw:
    """The dataset with its train rows in stored order, if it has what a dataset needs."""
    for split, part in (("train", found.train), ("test", found.test)):
        if len(part.labels) == 0 or not 0 <= part.labels.min() <= part.labels.max() < len(found.class_names):
            raise errors.DataError(f"{name}: the {split} split is empty or has labels beyond its class names")
    refusals.check_classes(found.train.labels, found.class_names, name)
    return replace(found, train=found.train.take(classes.spread(found.train.labels)))


def _describe(found: raw.Raw, name: str, of_arrays: Sequence[digests.Digests]) -> manifests.Manifest:
    train, test = (np.bincount(part.labels).tolist() for part in (found.train, found.test))
    whole, chunks = (dict(zip(manifests.ARRAYS, column)) for column in zip(*of_arrays))
    return manifests.Manifest(
        *(name, list(found.class_names), train, test, whole, found.source, found.licence),
        chunks=chunks,
        origin=found.origin,
        notes=found.notes(),
    )


def _check_origin(found: raw.Raw, folder: Path, name: str) -> None:
    """Images of one's own are told apart by where they came from: others never take their place."""
    earlier = manifests.origin(folder)
    if found.origin and earlier and earlier != found.origin:
        told = f"{folder} holds {name} prepared from {earlier}, and {found.origin} is another folder"
        raise errors.DataError(errors.shown(f"{told}: give it another --root, or remove what is there"))


def _check_space(count: int, shape: Sequence[int], folder: Path) -> None:
    """Refuse what the disk cannot hold before it is full."""
    needed, free = count * int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > free:
        told = f"{count:,} images of {refusals.size(shape)} take {needed:,} bytes, and {folder} has {free:,} free"
        raise errors.DataError(errors.shown(f"{told}; give another --root, or a smaller --resize"))


def _write_arrays(found: raw.Raw, folder: Path, arrays: dict[str, BinaryIO], progress: Progress | None) -> None:
    total, done = len(found.train.items) + len(found.test.items), 0
    with decoding.threads() as pool:
        problems = decoding.Problems(decoding.shape(found.train))
        _check_space(total, problems.wanted, folder)
        for split, part in (("train", found.train), ("test", found.test)):
            np.lib.format.write_array(arrays[f"{split}_labels"], part.labels.astype("<i4"), version=(1, 0))
            for images in _blocks(arrays[f"{split}_images"], part, pool, problems):
                done += len(images)
                if progress:
                    progress(done, total)
    problems.refuse()
    for file in arrays.values():
        file.flush()


def _blocks(file: BinaryIO, part: raw.Part, pool: Executor, problems: decoding.Problems) -> Iterator[np.ndarray]:
    """Decode a split into an open file, block by block; images of another size end it, so that the wait is short."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(part.items), *problems.wanted)}
    np.lib.format.write_array_header_1_0(file, header)
    block = max(1, _BLOCK_BYTES // int(np.prod(problems.wanted)))
    for start in range(0, len(part.items), block):
        images = decoding.decode(part, part.items[start : start + block], pool, problems)
        if problems.others:
            problems.refuse()
        file.write(images.data)
        yield images


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when the process ends, however it ends."""
    try:
        with filelock.FileLock(folder / ".lock", blocking=False):
            yield
    except filelock.Timeout:
        raise errors.DataError(errors.shown(f"another process is preparing {folder}")) from None
