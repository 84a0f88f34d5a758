"""CIFAR-100: the published binary version, packed or not, or a set that TensorFlow Datasets prepared as array_record."""

from pathlib import Path

from jaxsoft.data import archive, cifar10, raw, tfds

TITLE = "60,000 photographs, 32x32, 100 classes"
SOURCE = cifar10.SOURCE
LICENCE = cifar10.LICENCE
FILES = "cifar-100-binary.tar.gz or its folder cifar-100-binary"
SIDE = 32

TRAIN_RECORDS, TEST_RECORDS = 50_000, 10_000
_FOLDER = "cifar-100-binary"


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder, else a TensorFlow Datasets folder."""
    return archive.locate(where, _FOLDER, "cifar-100-binary.tar.gz") or tfds.find(where, "cifar100")


def read(found: Path, resize: int | None) -> raw.Raw:
    """50,000 train and 10,000 test images with their fine labels; the coarse label byte before them is not used."""
    if tfds.is_prepared(found):
        return tfds.read(found, resize)
    files = archive.files(found, _FOLDER)
    names = cifar10.words(files, "fine_label_names.txt", 100)
    train = cifar10.records(files, "train.bin", TRAIN_RECORDS, label_bytes=2)
    test = cifar10.records(files, "test.bin", TEST_RECORDS, label_bytes=2)
    return raw.Raw(names, cifar10.part(train), cifar10.part(test), SOURCE, LICENCE)
