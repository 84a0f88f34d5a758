"""CIFAR-10: as published, binary or for Python, packed or not, or as TensorFlow Datasets prepared it in array_record."""

from pathlib import Path

from jaxsoft.data import raw
from jaxsoft.data.sets import _cifar

TITLE = "60,000 photographs, 32x32, 10 classes"
SOURCE, LICENCE, SIDE = _cifar.SOURCE, _cifar.LICENCE, _cifar.SIDE
FILES = "cifar-10-binary.tar.gz or its folder cifar-10-batches-bin (or cifar-10-python.tar.gz or cifar-10-batches-py)"

RECORDS = (10_000, 10_000)  # of a train file, of the test file
_BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
_FORMS = (
    _cifar.Form(
        *("cifar-10-batches-bin", "cifar-10-binary.tar.gz", "batches.meta.txt"),
        *([f"{batch}.bin" for batch in _BATCHES], "test_batch.bin"),
        label_bytes=1,
    ),
    _cifar.Form(
        *("cifar-10-batches-py", "cifar-10-python.tar.gz", "batches.meta", _BATCHES, "test_batch"),
        keys=("labels", "label_names"),
    ),
)


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    return _cifar.find(where, _FORMS, "cifar10")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images."""
    return _cifar.read(found, _FORMS, 10, RECORDS)
