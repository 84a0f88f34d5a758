"""CIFAR-10 and CIFAR-100: as published, binary or for Python, packed or not, or as TensorFlow Datasets prepared them.

Both are records of 32x32 pixels with class numbers before them, in binary files or in pickles.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals
from jaxsoft.data.formats import archive, pickled
from jaxsoft.data.sets import Published, tfds

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
LICENCE = "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
SIDE = 32
RECORDS = {10: (10_000, 10_000), 100: (50_000, 10_000)}  # by classes: of a train file, of the test file

_PIXELS = 3 * SIDE * SIDE
_BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
_BINARIES = [f"{batch}.bin" for batch in _BATCHES]


class _Form(NamedTuple):
    """One form in which a set is published: a folder, its archive, the files that name the classes and hold the records.

    `labels` is the number of bytes before the pixels of a record, of which the last is the class; of pickles it is their
    entry of class numbers.
    """

    folder: str
    packed: str
    names: str
    train: Sequence[str]
    test: str
    labels: int | str


def _set(classes: int, binary: _Form, python: _Form) -> Published:
    """The set of so many classes."""

    def find(where: Path, argument: str) -> Path | None:
        published = (archive.locate(where, form.folder, form.packed) for form in (binary, python))
        return next(filter(None, published), None) or tfds.find(where, f"cifar{classes}")

    def read(found: Path, resize: int | None) -> raw.Raw:
        """50,000 train and 10,000 test images."""
        if tfds.is_prepared(found):
            return tfds.read(found, resize)
        form = binary if found.name in (binary.folder, binary.packed) else python
        files, (train_count, test_count) = archive.files(found, form.folder), RECORDS[classes]
        names = _names(files, form, classes)
        train = _part([_records(files, form.labels, name, train_count) for name in form.train])
        return raw.Raw(names, train, _part([_records(files, form.labels, form.test, test_count)]), SOURCE, LICENCE)

    files = f"{binary.packed} or its folder {binary.folder} (or {python.packed} or {python.folder})"
    title, counts = f"60,000 photographs, 32x32, {classes} classes", (classes, 50_000 // classes, 10_000 // classes)
    return Published(title, SOURCE, files, SIDE, find, read, counts=counts)


def _names(files: archive.Files, form: _Form, count: int) -> tuple[str, ...]:
    """The class names: one a line, or a list in a pickle."""
    if isinstance(form.labels, int):
        found = files.read(form.names).decode(errors="replace").split()
        if len(found) != count:
            raise errors.DataError(f"{files.path}: {form.names} names {len(found)} classes instead of {count}")
        return tuple(found)
    key = form.labels.replace("labels", "label_names")
    found = _unpickled(files, form.names).get(key)
    if type(found) is not list or len(found) != count or not all(type(word) in (str, bytes) for word in found):
        raise errors.DataError(f"{files.path}: {form.names} does not name {count} classes as {key}")
    return tuple(map(_text, found))


def _records(files: archive.Files, place: int | str, name: str, count: int) -> UInt8[np.ndarray, "N R"]:
    """The records of one file: a class number and the pixels, colour by colour; `place` is the `labels` of its form."""
    if isinstance(place, int):
        data, size = files.read(name), place + _PIXELS
        if len(data) != count * size:
            raise errors.DataError(f"{files.path}: {name} has {len(data):,} bytes instead of {count * size:,}")
        return np.frombuffer(data, np.uint8).reshape(count, size)[:, place - 1 :]
    content = _unpickled(files, name)
    labels, pixels = content.get(place), content.get("data", np.zeros(0))
    if pixels.shape != (count, _PIXELS) or pixels.dtype != np.uint8:
        told = f"{name} has pixels {pixels.dtype} {pixels.shape} instead of {count} images"
        raise errors.DataError(f"{files.path}: {told}")
    if type(labels) is not list or len(labels) != count or not all(type(k) is int and 0 <= k < 256 for k in labels):
        raise errors.DataError(f"{files.path}: {name} does not hold {count} class numbers as {place}")
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)


def _unpickled(files: archive.Files, name: str) -> dict[str, Any]:
    """What a pickle holds, `data` as an array."""
    with refusals.naming(f"{files.path}: {name} cannot be read"):
        found = pickled.load(files.read(name))
        if not isinstance(found, dict):
            raise ValueError("it holds no dictionary")
        content = {_text(key): value for key, value in found.items()}
        return {key: pickled.array(value) if key == "data" else value for key, value in content.items()}


def _text(word: str | bytes) -> str:
    return word.decode("latin-1") if type(word) is bytes else str(word)


def _part(records: list[UInt8[np.ndarray, "n R"]]) -> raw.Part:
    together = np.concatenate(records)
    pixels = together[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return raw.Part(together[:, 0].astype(np.int32), range(len(pixels)), pixels.__getitem__)


SETS = {
    "cifar10": _set(
        10,
        _Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", "batches.meta.txt", _BINARIES, "test_batch.bin", 1),
        _Form("cifar-10-batches-py", "cifar-10-python.tar.gz", "batches.meta", _BATCHES, "test_batch", "labels"),
    ),
    "cifar100": _set(
        100,
        _Form("cifar-100-binary", "cifar-100-binary.tar.gz", "fine_label_names.txt", ["train.bin"], "test.bin", 2),
        _Form("cifar-100-python", "cifar-100-python.tar.gz", "meta", ["train"], "test", "fine_labels"),
    ),
}
