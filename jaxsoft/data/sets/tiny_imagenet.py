"""TinyImageNet: the published zip or its folder, also with `val` sorted into class folders.

Its test images have no labels, so `val` is the test split.
"""

import collections
import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw
from jaxsoft.data.formats import archive, images
from jaxsoft.data.sets import Published

SOURCE = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
LICENCE = "non-commercial research (terms of ImageNet)"

TRAIN_PER_CLASS = 500
TEST_PER_CLASS = 50
_FOLDER = "tiny-imagenet-200"


def find(where: Path, argument: str) -> Path | None:
    """The published archive or folder."""
    return archive.locate(where, _FOLDER, f"{_FOLDER}.zip")


def read(found: Path, resize: int | None) -> raw.Raw:
    """500 train and 50 test images of each class that `wnids.txt` lists; classes are numbered in sorted order."""
    files = archive.files(found, _FOLDER)
    wnids = sorted(_lines(files, "wnids.txt"))
    words = dict(line.split("\t", 1) for line in _lines(files, "words.txt") if "\t" in line)
    class_names = tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)
    number = {wnid: k for k, wnid in enumerate(wnids)}

    def image(name: str) -> UInt8[np.ndarray, "H W C"]:
        return images.decode(files.read(name), f"{found}: {name}")

    def part(names: dict[str, str]) -> raw.Part:
        if missing := sorted(names.keys() - files.contents.keys()):
            told = f"{missing[0]} ({len(missing)} of {len(names)} images are missing)"
            raise errors.DataError(f"{files.path} lacks {told}")
        return raw.Part(np.array([number[wnid] for wnid in names.values()], np.int32), list(names), image)

    if strangers := {name.split("/")[1] for name in files.contents if name.startswith("train/")} - set(wnids):
        raise errors.DataError(f"{files.path}: train/{min(strangers)} is not among the classes of wnids.txt")
    train = {f"train/{w}/images/{w}_{i}.JPEG": w for w in wnids for i in range(TRAIN_PER_CLASS)}
    return raw.Raw(class_names, part(train), part(_test(files, wnids)), SOURCE, LICENCE)


def _lines(files: archive.Files, name: str) -> list[str]:
    return files.read(name).decode(errors="replace").splitlines()


def _test(files: archive.Files, wnids: list[str]) -> dict[str, str]:
    """File -> class as the class folders say, or else as annotated; the same number of every class, and no other class."""
    where, names = "val", _in_class_folders(files)
    if not names:
        where = "val/val_annotations.txt"
        rows = [line.split("\t") for line in _lines(files, where)]
        names = {f"val/images/{row[0]}": row[1] for row in rows if len(row) > 1}
    counts = collections.Counter(names.values())
    for wnid in sorted({*wnids, *counts}):
        wanted = TEST_PER_CLASS if wnid in wnids else 0
        if counts[wnid] != wanted:
            told = f"{where} lists {counts[wnid]} images of class {wnid} instead of {wanted}"
            raise errors.DataError(f"{files.path}: {told}")
    return names


def _in_class_folders(files: archive.Files) -> dict[str, str]:
    """Images of val/<class>/images or val/<class>, in published order, which is that of the numbers in their names."""
    paths = (name.split("/") for name in files.contents if name.startswith("val/") and name.upper().endswith(".JPEG"))
    found = {"/".join(path): path[1] for path in paths if len(path) > 2 and path[1] != "images"}
    numbers = {name: [int(digits) for digits in re.findall(r"\d+", name.split("/")[-1])] for name in found}
    return {name: found[name] for name in sorted(found, key=lambda name: (numbers[name], name))}


FILES = f"{_FOLDER}.zip or its folder {_FOLDER}"
TITLE, COUNTS = "110,000 photographs, 64x64, 200 classes", (200, TRAIN_PER_CLASS, TEST_PER_CLASS)
SETS = {"tiny_imagenet": Published(TITLE, SOURCE, FILES, 64, find, read, counts=COUNTS)}
