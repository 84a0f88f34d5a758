"""The prepared form of a dataset: an image and a label array per split, and one JSON file that is written last.

A folder without `dataset.json` is not prepared, whatever else lies in it. Train rows are stored in the order of
`classes.spread`, so that what `load` cuts from them are plain slices of the memory map. Every byte is compared with its
digest whenever the set is opened.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxsoft import errors, files, types
from jaxsoft.data import classes, decoding, digests, raw
from jaxsoft.data import manifest as manifests
from jaxsoft.data.manifest import Manifest

MANIFEST = manifests.NAME
_ARRAYS = manifests.ARRAYS
_BLOCK_BYTES = 1 << 25  # decoded before it is written; bounds the memory

Progress = Callable[[int, int], None]


class Prepared(NamedTuple):
    """A dataset that is decoded: train in stored order, test, and what is known about them."""

    train: types.Split
    test: types.Split
    manifest: Manifest


def write(found: raw.Raw, folder: Path, name: str, progress: Progress | None = None) -> Manifest:
    """Decode a dataset into `folder`, in the place of what an earlier or interrupted run left there.

    Args:
      found: the published images.
      folder: where to write; made if needed.
      name: the dataset, for the manifest.
      progress: called with (images done, images in all).

    Returns:
      What was written beside the arrays.

    Raises:
      DataError: images are unreadable or of several sizes, a class is empty, the disk is full or read-only, another
        process is preparing the same folder, or it holds images of another origin.
    """
    found = _checked(found, name)
    _check_origin(found, folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _write_arrays(found, folder, progress)
            found_digests = [digests.of_file(_partial(folder / f"{array}.npy")) for array in _ARRAYS]
            (folder / MANIFEST).unlink(missing_ok=True)  # old description, new arrays: never both
            for array in _ARRAYS:
                os.replace(_partial(folder / f"{array}.npy"), folder / f"{array}.npy")
            manifest = _describe(found, name, found_digests)
            files.replace(folder / MANIFEST, manifests.text(manifest))
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


def origin(folder: Path) -> str:
    """The folder that prepared images were read from; "" if there are none, or their name says what they are."""
    try:
        return str(json.loads(files.read(folder / MANIFEST, manifests.MAX_BYTES)).get("origin", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


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
    counts = {split: getattr(manifest, f"{split}_counts") for split in manifests.SPLITS}
    stored = {}
    with contextlib.ExitStack() as stack:
        for array in _ARRAYS:
            split, _, kind = array.partition("_")
            dtype, axes = (np.uint8, 4) if kind == "images" else (np.int32, 1)
            stored[array] = _open(folder / f"{array}.npy", dtype, sum(counts[split]), axes, remedy)
            stack.enter_context(stored[array].file)
        _check(stored, manifest, f"{name} in {folder}", remedy)
    train, test = (
        types.Split(stored[f"{split}_images"].array, np.array(stored[f"{split}_labels"].array))
        for split in manifests.SPLITS
    )
    for split, part in (("train", train), ("test", test)):
        if part.labels.min() < 0 or np.bincount(part.labels).tolist() != counts[split]:
            raise errors.DataError(f"{folder}: {split} labels and {MANIFEST} do not belong together; {remedy}")
    return Prepared(train, test, manifest)


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


def _describe(found: raw.Raw, name: str, of_arrays: Sequence[digests.Digests]) -> Manifest:
    train, test = (np.bincount(part.labels).tolist() for part in (found.train, found.test))
    whole, chunks = (dict(zip(_ARRAYS, column)) for column in zip(*of_arrays))
    return Manifest(
        *(name, list(found.class_names), train, test, whole, found.source, found.licence),
        chunks=chunks,
        origin=found.origin,
        notes=found.notes(),
    )


def _check_origin(found: raw.Raw, folder: Path, name: str) -> None:
    """Images of one's own are told apart by where they came from: others never take their place."""
    earlier = origin(folder)
    if found.origin and earlier and earlier != found.origin:
        raise errors.DataError(
            errors.shown(
                f"{folder} holds {name} prepared from {earlier}, and {found.origin} is another folder: "
                "give it another --root, or remove what is there"
            )
        )


def _check_space(found: raw.Raw, folder: Path, shape: tuple[int, ...]) -> None:
    """Refuse what the disk cannot hold before it is full; what an interrupted run left is written over."""
    images = len(found.train.items) + len(found.test.items)
    needed = images * int(np.prod(shape))
    left = sum(path.stat().st_size for path in folder.glob("*.npy.partial"))
    free = shutil.disk_usage(folder).free + left
    if needed > free:
        size = "x".join(map(str, shape))
        raise errors.DataError(
            errors.shown(
                f"{images:,} images of {size} take {needed:,} bytes, and {folder} has {free:,} free; "
                "give another --root, or a smaller --resize"
            )
        )


def _write_arrays(found: raw.Raw, folder: Path, progress: Progress | None) -> None:
    total, done = len(found.train.items) + len(found.test.items), 0
    with decoding.threads() as pool:
        problems = decoding.Problems(decoding.shape(found.train))
        _check_space(found, folder, problems.wanted)
        for split, part in (("train", found.train), ("test", found.test)):
            with _new(folder / f"{split}_labels.npy") as file:
                np.lib.format.write_array(file, part.labels.astype("<i4"), version=(1, 0))
            with _new(folder / f"{split}_images.npy") as file:
                for images in _blocks(file, part, pool, problems):
                    done += len(images)
                    if progress:
                        progress(done, total)
    problems.refuse()


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


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A new file under a temporary name, never through a link, whose bytes are on the disk when it is closed."""
    _partial(path).unlink(missing_ok=True)
    with open(_partial(path), "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when the process ends, however it ends."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise errors.DataError(errors.shown(f"another process is preparing {folder}")) from None


def _open(path: Path, dtype: type, count: int, axes: int, remedy: str) -> digests.Stored:
    try:
        return digests.opened(path, dtype, count, axes)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise errors.DataError(f"{path} is missing or damaged ({reason}); {remedy}") from None


def _check(stored: dict[str, digests.Stored], manifest: Manifest, what: str, remedy: str) -> None:
    """Refuse arrays that are not what they were."""
    wanted = manifest.chunks or {array: [digest] for array, digest in manifest.digests.items()}
    try:
        differ = [f"{array}.npy" for array in digests.differing(stored, wanted)]
    except OSError as problem:
        raise errors.DataError(f"{what} cannot be read ({problem.strerror}); {remedy}") from None
    if stored["train_images"].array.shape[1:] != stored["test_images"].array.shape[1:]:
        differ = differ or ["train_images.npy or test_images.npy"]
    if differ:
        raise errors.DataError(f"{what} is damaged: {', '.join(differ)} changed since it was prepared; {remedy}")
