"""CIFAR-100: as published, binary or for Python, packed or not, or as TensorFlow Datasets prepared it in array_record."""

from pathlib import Path

from jaxsoft.data import archive, cifar10, raw, tfds

TITLE = "60,000 photographs, 32x32, 100 classes"
SOURCE = cifar10.SOURCE
LICENCE = cifar10.LICENCE
FILES = "cifar-100-binary.tar.gz or its folder cifar-100-binary (or cifar-100-python.tar.gz or cifar-100-python)"
SIDE = 32

TRAIN_RECORDS, TEST_RECORDS = 50_000, 10_000
_FOLDER = "cifar-100-binary"
_PYTHON = ("cifar-100-python", "cifar-100-python.tar.gz")


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    published = archive.locate(where, _FOLDER, "cifar-100-binary.tar.gz") or archive.locate(where, *_PYTHON)
    return published or tfds.find(where, "cifar100")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images with their fine labels; the coarse label byte before them is not used."""
    if tfds.is_prepared(found):
        return tfds.read(found, resize)
    if found.name in _PYTHON:
        return _read_python(archive.files(found, _PYTHON[0]))
    files = archive.files(found, _FOLDER)
    names = cifar10.words(files, "fine_label_names.txt", 100)
    train = cifar10.records(files, "train.bin", TRAIN_RECORDS, label_bytes=2)
    test = cifar10.records(files, "test.bin", TEST_RECORDS, label_bytes=2)
    return raw.Raw(names, cifar10.part(train), cifar10.part(test), SOURCE, LICENCE)


def _read_python(files: archive.Files) -> raw.Raw:
    names = cifar10.pickled_words(files, "meta", "fine_label_names", 100)
    train = cifar10.pickled_records(files, "train", TRAIN_RECORDS, "fine_labels")
    test = cifar10.pickled_records(files, "test", TEST_RECORDS, "fine_labels")
    return raw.Raw(names, cifar10.part(train), cifar10.part(test), SOURCE, LICENCE)
