"""Decoding a published dataset into arrays: on the disk, in the place of what was there, or in memory if it is small."""

import contextlib
import functools
import hashlib
import io
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors, files, types
from jaxsoft.data import classes, raw, refusals
from jaxsoft.data.prepared import indexing, reading

_SIZES = 6  # that are listed
_BLOCK_BYTES = 1 << 25  # decoded before it is handed on; bounds the memory
_TASK = 64  # images that a thread decodes at a time
_THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes without the interpreter's lock, but opens files under it

Progress = Callable[[int, int], None]


class Kept(NamedTuple):
    """How pictures are kept encoded: what gives the bytes of a place, and the side that is seen."""

    stored: Callable[[str], bytes]
    side: int


class _Decoder:
    """Decodes images, of the shape of the first that can be read, by threads; one error names all that cannot be used."""

    dtype = np.dtype(np.uint8)

    def __init__(self, part: raw.Part):
        self._usual = 0  # images of this shape
        self._others: dict[tuple[int, ...], list[str]] = {}  # names of those that have another one
        self._damaged: list[str] = []  # what is wrong with those that cannot be read
        self.shape: tuple[int, ...] = ()
        for item in part.items:
            image = _tried(part, item)
            if not isinstance(image, errors.DataError):
                self.shape = image.shape
                self._damaged.clear()  # they are looked at once more
                return
            self._damaged.append(str(image))
        self.refuse()

    def blocks(self, part: raw.Part) -> Iterator[UInt8[np.ndarray, "N *S C"]]:
        """The pixels of a split, block by block; images of another shape end it, so that the wait is short."""
        most = max(1, _BLOCK_BYTES // math.prod(self.shape))
        for start in range(0, len(part.items), most):
            items = part.items[start : start + most]
            block = np.zeros((len(items), *self.shape), np.uint8)
            with warnings.catch_warnings(), ThreadPool(_THREADS) as pool:
                warnings.filterwarnings("ignore", module="PIL")  # what it warns of is either an error or harmless
                tried = pool.imap(functools.partial(_tried, part), items, _TASK)
                for row, (item, image) in enumerate(zip(items, tried)):
                    if isinstance(image, errors.DataError):
                        self._damaged.append(str(image))
                    elif image.shape != self.shape:
                        self._others.setdefault(image.shape, []).append(str(item))
                    else:
                        block[row] = image
                        self._usual += 1
            if self._others:
                self.refuse()
            yield block

    def refuse(self) -> None:
        """Raise DataError, in one line, if an image is damaged or of another shape."""
        count = f"{len(self._damaged):,} images are damaged: " * (len(self._damaged) > 1)
        told = [count + refusals.listed(sorted(self._damaged), separator="; ")] if self._damaged else []
        if self._others:
            ranked = sorted(self._others.items(), key=lambda item: -len(item[1]))
            others = [f"{len(names):,} of {refusals.size(kind)} ({errors.shown(min(names))})" for kind, names in ranked]
            sizes = refusals.listed([f"{self._usual:,} of {refusals.size(self.shape)}", *others], _SIZES)
            told.append(f"images differ in size: {sizes}; pass --resize=SIDE (from Python: resize=SIDE)")
        if told:
            raise errors.DataError("; ".join(told))


def _tried(part: raw.Part, item: Any) -> UInt8[np.ndarray, "*S C"] | errors.DataError:
    """An image of a split, or why it cannot be read."""
    try:
        return part.read(item)
    except errors.DataError as problem:
        return problem


def write(
    found: raw.Raw, folder: Path, name: str, progress: Progress | None = None, kept: Kept | None = None
) -> reading.Manifest:
    """Decode a dataset into a folder, in the place of what an earlier or interrupted run left there; progress is told.

    Args:
      found, folder, name, progress: what, where to, as what, and who is told of images done and in all.
      kept: how images stay in their files, of which an index is written; None: they are decoded into arrays.

    Raises:
      DataError: images are unreadable or of several sizes, a class is empty, the disk is full or read-only, another
        process is preparing the same folder, or it holds images of another origin.
    """
    import filelock  # takes a twentieth of a second, and only this needs it

    found, earlier = _checked(found, name), reading.origin(folder)
    if found.origin and earlier and earlier != found.origin:  # images of one's own are told apart by where they lie
        told = f"{folder} holds {name} prepared from {earlier}, and {found.origin} is another folder"
        raise errors.DataError(errors.shown(f"{told}: give it another --root, or remove what is there"))
    decoder = indexing.Indexer(found, kept.stored) if kept else _Decoder(found.train)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock", blocking=False), contextlib.ExitStack() as placing:
            files.sweep(folder)
            count = len(found.train.items) + len(found.test.items)
            needed, free = count * math.prod(decoder.shape) * decoder.dtype.itemsize, shutil.disk_usage(folder).free
            if needed > free:
                of_size = f" of {refusals.size(decoder.shape)}" if decoder.shape else ", in an index,"
                told = f"{count:,} images{of_size} take {needed:,} bytes"
                told += f", and {folder} has {free:,} free; give another --root, or a smaller --resize"
                raise errors.DataError(errors.shown(told))
            paths = {array: folder / f"{array}.npy" for array in reading.ARRAYS}
            arrays = {array: placing.enter_context(files.replacing(path)) for array, path in paths.items()}
            manifest = _written(found, name, decoder, arrays, progress)
            if isinstance(decoder, indexing.Indexer) and kept:
                manifest = replace(manifest, encoded={"side": kept.side, "width": decoder.width})
            (folder / reading.MANIFEST).unlink(missing_ok=True)  # old description, new arrays: never both
            placing.close()
            files.replace(folder / reading.MANIFEST, manifest.text())
    except filelock.Timeout:
        raise errors.DataError(errors.shown(f"another process is preparing {folder}")) from None
    except OSError as problem:
        where = errors.shown(str(problem.filename or folder))
        raise errors.DataError(f"cannot write {where}: {problem.strerror or problem}") from None
    return manifest


def hold(found: raw.Raw, name: str) -> reading.Prepared:
    """Decode a small dataset into memory, exactly as `write` and `read` would by way of the disk."""
    found, arrays = _checked(found, name), {array: io.BytesIO() for array in reading.ARRAYS}
    manifest = _written(found, name, _Decoder(found.train), arrays)
    images, labels, test_images, test_labels = (np.load(io.BytesIO(file.getvalue())) for file in arrays.values())
    return reading.Prepared(types.Split(images, labels), types.Split(test_images, test_labels), manifest)


def _checked(found: raw.Raw, name: str) -> raw.Raw:
    """The dataset with its train rows in stored order, if it has what a dataset needs."""
    for split, part in (("train", found.train), ("test", found.test)):
        if len(part.labels) == 0 or not 0 <= part.labels.min() <= part.labels.max() < len(found.class_names):
            raise errors.DataError(f"{name}: the {split} split is empty or has labels beyond its class names")
    labels, held = np.split(found.train.labels, [len(found.train.labels) - found.held])
    refusals.check_classes(labels, found.class_names, name)
    return replace(found, train=found.train.take(np.r_[classes.spread(labels), len(labels) : len(labels) + len(held)]))


def _written(
    found: raw.Raw,
    name: str,
    decoder: "_Decoder | indexing.Indexer",
    arrays: Mapping[str, io.BufferedIOBase],
    progress: Progress | None = None,
) -> reading.Manifest:
    """Decode all images into files of arrays; what these hold."""
    total, done = len(found.train.items) + len(found.test.items), 0
    for split, part in (("train", found.train), ("test", found.test)):
        np.lib.format.write_array(arrays[f"{split}_labels"], part.labels.astype("<i4"), version=(1, 0))
        descr = np.lib.format.dtype_to_descr(decoder.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (len(part.items), *decoder.shape)}
        np.lib.format.write_array_header_1_0(arrays[f"{split}_images"], header)
        for images in decoder.blocks(part):
            arrays[f"{split}_images"].write(images.tobytes() if images.dtype.names else images.data)
            done += len(images)
            if progress:
                progress(done, total)
    decoder.refuse()
    train, test = (np.bincount(part.labels).tolist() for part in (found.train, found.test))
    whole, chunks = (dict(zip(arrays, column)) for column in zip(*map(_digests, arrays.values())))
    known = {"source": found.source, "licence": found.licence, "origin": found.origin, "notes": found.notes()}
    return reading.Manifest(name, list(found.class_names), train, test, whole, chunks=chunks, held=found.held, **known)


def _digests(file: io.BufferedIOBase) -> tuple[str, list[str]]:
    """SHA-256 in hex of an array that was just written: of all of it, and of each piece."""
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    whole, chunks = hashlib.sha256(), []
    while piece := file.read(reading.CHUNK):
        whole.update(piece)
        chunks.append(files.digest([piece]))
    return whole.hexdigest(), chunks
