"""CIFAR-10: the published binary version, packed or not, or a set that TensorFlow Datasets prepared as array_record."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import archive, raw, tfds

TITLE = "60,000 photographs, 32x32, 10 classes"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
LICENCE = "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
FILES = "cifar-10-binary.tar.gz or its folder cifar-10-batches-bin"
SIDE = 32

RECORDS_PER_FILE = 10_000
_FOLDER = "cifar-10-batches-bin"


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    return archive.locate(where, _FOLDER, "cifar-10-binary.tar.gz") or tfds.find(where, "cifar10")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images."""
    if tfds.is_prepared(found):
        return tfds.read(found, resize)
    files = archive.files(found, _FOLDER)
    names = words(files, "batches.meta.txt", 10)
    train = [records(files, f"data_batch_{i}.bin", RECORDS_PER_FILE, label_bytes=1) for i in range(1, 6)]
    test = records(files, "test_batch.bin", RECORDS_PER_FILE, label_bytes=1)
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


def part(rows: UInt8[np.ndarray, "N R"]) -> raw.Part:
    """Records as a split; the last label byte is the class."""
    pixels = rows[:, -3 * SIDE * SIDE :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    labels = rows[:, -3 * SIDE * SIDE - 1].astype(np.int32)
    return raw.Part(labels, range(len(rows)), pixels.__getitem__)
