"""CIFAR-100: as published, binary or for Python, packed or not, or as TensorFlow Datasets prepared it in array_record."""

from pathlib import Path

from jaxsoft.data import raw
from jaxsoft.data.sets import _cifar

TITLE = "60,000 photographs, 32x32, 100 classes"
SOURCE, LICENCE, SIDE = _cifar.SOURCE, _cifar.LICENCE, _cifar.SIDE
FILES = "cifar-100-binary.tar.gz or its folder cifar-100-binary (or cifar-100-python.tar.gz or cifar-100-python)"

RECORDS = (50_000, 10_000)  # of the train file, of the test file
_FORMS = (
    _cifar.Form(
        *("cifar-100-binary", "cifar-100-binary.tar.gz", "fine_label_names.txt", ["train.bin"], "test.bin"),
        label_bytes=2,  # the coarse label, then the fine one
    ),
    _cifar.Form(
        *("cifar-100-python", "cifar-100-python.tar.gz", "meta", ["train"], "test"),
        keys=("fine_labels", "fine_label_names"),
    ),
)


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    return _cifar.find(where, _FORMS, "cifar100")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images with their fine labels; the coarse ones are not used."""
    return _cifar.read(found, _FORMS, 100, RECORDS)
