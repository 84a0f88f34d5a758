"""CIFAR-10: as published, binary or for Python, packed or not, or as TensorFlow Datasets prepared it in array_record."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import archive, pickled, raw, tfds

TITLE = "60,000 photographs, 32x32, 10 classes"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
LICENCE = "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
FILES = "cifar-10-binary.tar.gz or its folder cifar-10-batches-bin (or cifar-10-python.tar.gz or cifar-10-batches-py)"
SIDE = 32

RECORDS_PER_FILE = 10_000
_FOLDER = "cifar-10-batches-bin"
_PYTHON = ("cifar-10-batches-py", "cifar-10-python.tar.gz")


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    published = archive.locate(where, _FOLDER, "cifar-10-binary.tar.gz") or archive.locate(where, *_PYTHON)
    return published or tfds.find(where, "cifar10")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images."""
    if tfds.is_prepared(found):
        return tfds.read(found, resize)
    if found.name in _PYTHON:
        return _read_python(archive.files(found, _PYTHON[0]))
    files = archive.files(found, _FOLDER)
    names = words(files, "batches.meta.txt", 10)
    train = [records(files, f"data_batch_{i}.bin", RECORDS_PER_FILE, label_bytes=1) for i in range(1, 6)]
    test = records(files, "test_batch.bin", RECORDS_PER_FILE, label_bytes=1)
    return raw.Raw(names, part(np.concatenate(train)), part(test), SOURCE, LICENCE)


def _read_python(files: archive.Files) -> raw.Raw:
    names = pickled_words(files, "batches.meta", "label_names", 10)
    *train, test = (
        pickled_records(files, name, RECORDS_PER_FILE, "labels")
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    )
    return raw.Raw(names, part(np.concatenate(train)), part(test), SOURCE, LICENCE)


def words(files: archive.Files, name: str, count: int) -> tuple[str, ...]:
    """The class names, one a line."""
    found = tuple(files.read(name).decode(errors="replace").split())
    if len(found) != count:
        raise errors.DataError(f"{files.path}: {name} names {len(found)} classes instead of {count}")
    return found


def records(files: archive.Files, name: str, count: int, label_bytes: int) -> UInt8[np.ndarray, "N R"]:
    """The records of one binary file: label bytes, then 3 x 32 x 32 pixels, colour by colour."""
    data = files.read(name)
    size = label_bytes + 3 * SIDE * SIDE
    if len(data) != count * size:
        raise errors.DataError(f"{files.path}: {name} has {len(data):,} bytes instead of {count * size:,}")
    return np.frombuffer(data, np.uint8).reshape(count, size)


def pickled_words(files: archive.Files, name: str, key: str, count: int) -> tuple[str, ...]:
    """The class names of the version for Python."""
    found = _unpickled(files, name).get(key)
    if type(found) is not list or len(found) != count or not all(type(word) in (str, bytes) for word in found):
        raise errors.DataError(f"{files.path}: {name} does not name {count} classes as {key}")
    return tuple(word.decode("latin-1") if type(word) is bytes else word for word in found)


def pickled_records(files: archive.Files, name: str, count: int, key: str) -> UInt8[np.ndarray, "N R"]:
    """The records of one file of the version for Python, as the binary version has them with one label byte."""
    content = _unpickled(files, name)
    labels, pixels = content.get(key), content.get("data", np.zeros(0))
    if pixels.shape != (count, 3 * SIDE * SIDE) or pixels.dtype != np.uint8:
        raise errors.DataError(
            f"{files.path}: {name} has pixels {pixels.dtype} {pixels.shape} instead of {count} images"
        )
    if type(labels) is not list or len(labels) != count or not all(type(k) is int and 0 <= k < 256 for k in labels):
        raise errors.DataError(f"{files.path}: {name} does not hold {count} class numbers as {key}")
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)


def _unpickled(files: archive.Files, name: str) -> dict[str, Any]:
    """What a file of the version for Python holds, `data` as an array."""
    try:
        found = pickled.load(files.read(name))
        if type(found) is not dict:
            raise ValueError("it holds no dictionary")
        content = {key.decode("latin-1") if type(key) is bytes else key: value for key, value in found.items()}
        return {key: pickled.array(value) if key == "data" else value for key, value in content.items()}
    except ValueError as problem:
        raise raw.unreadable(f"{files.path}: {name} cannot be read", problem) from None


def part(rows: UInt8[np.ndarray, "N R"]) -> raw.Part:
    """Records as a split; the last label byte is the class."""
    pixels = rows[:, -3 * SIDE * SIDE :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    labels = rows[:, -3 * SIDE * SIDE - 1].astype(np.int32)
    return raw.Part(labels, range(len(rows)), pixels.__getitem__)
